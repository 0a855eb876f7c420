//! Requests for secrets that must not be answered, at the agent of a laptop.
//!
//! What must not be answered comes first, then a request of the phone. When that is answered and
//! the agent has worked off everything, all other answers would have been sent.

use serde_json::{Value, json};

use crate::agents::RunningAgent;
use crate::liar::{BACKUP, Liar, SELF_SIGNING, USER_SIGNING};
use crate::peer::{Peer, Target};
use crate::proxy::Message;

/// A laptop that answers its phone.
pub(crate) struct Answering {
    agent: RunningAgent,
    pub(crate) liar: Liar,
    pub(crate) phone: Peer,
    pub(crate) laptop: Target,
    /// What was sent to be sure that the agent answers.
    first: usize,
}

impl Answering {
    fn new() -> Self {
        Self::with(&[
            (BACKUP, "allow"),
            (SELF_SIGNING, "allow"),
            (USER_SIGNING, "deny"),
        ])
    }

    pub(crate) fn with(rules: &[(&str, &str)]) -> Self {
        let liar = Liar::new();
        let mut phone = liar.phone();
        liar.imitate(&phone);
        let laptop = liar.to_laptop(&phone);
        let agent = liar.agent(rules);
        let is_answering = rules.contains(&(SELF_SIGNING, "allow"));
        if is_answering {
            phone.ask(&laptop, "the first", SELF_SIGNING);
            phone.wait_for_answer("the first");
        }
        Self {
            first: usize::from(is_answering),
            agent,
            laptop,
            phone,
            liar,
        }
    }

    /// How many answers were sent.
    fn answers(&self) -> usize {
        self.liar.sent().len() - self.first
    }

    fn phone_sends(&mut self, content: &Value) {
        self.phone.send(&self.laptop, "m.secret.request", content);
    }

    /// What the phone gets after all this is the answer to its last request alone.
    #[track_caller]
    fn answers_only_the_last(mut self) -> Self {
        self.phone.ask(&self.laptop, "the last", BACKUP);
        let secret = self.phone.wait_for_answer("the last");
        assert_eq!(secret, self.liar.stored(BACKUP));
        self.liar.settle(&mut self.phone);
        assert_eq!(self.answers(), 1);
        self
    }

    pub(crate) fn settle(&mut self) {
        self.liar.settle(&mut self.phone);
    }

    pub(crate) fn event(&self, sender: &str, content: &Value) -> Value {
        json!({"type": "m.secret.request", "sender": sender, "content": content})
    }
}

// Words that look like a request.
// shows: SHR-19, RQ-01
#[test]
fn a_request_with_another_action_is_not_answered() {
    let scene = Answering::new();
    scene.liar.play("request-with-another-action");
    scene.answers_only_the_last();
}

// Names that are none, nearly one, of a key of secret storage, and of what is never shared.
// shows: AGT-05, RQ-02
#[test]
fn a_request_for_another_name_is_not_answered() {
    let scene = Answering::new();
    scene.liar.play("request-for-another-name");
    scene.answers_only_the_last();
}

// In the name of the laptop itself, of nobody, of another user's device, and of no device.
// shows: SHR-16, RQ-03
#[test]
fn a_request_of_another_device_is_not_answered() {
    let scene = Answering::new();
    scene.liar.play("request-of-another-device");
    scene.liar.play("request-of-another-user");
    scene.answers_only_the_last();
}

// IDs that nobody could log or send back.
// shows: SHR-19, RQ-09
#[test]
fn a_request_with_an_odd_id_is_not_answered() {
    let scene = Answering::new();
    scene.liar.play("request-with-an-odd-id");
    scene.answers_only_the_last();
}

// A device that is not verified asks, in its own name and in that of the phone, encrypted.
// shows: SHR-11, RQ-10
#[test]
fn a_request_of_a_stranger_in_the_name_of_the_phone_is_answered_to_the_phone_alone() {
    let scene = Answering::new();
    let mut stranger = scene.liar.stranger();
    stranger.ask(&scene.laptop, "of the stranger", BACKUP);
    let content = scene.phone.request("in its name", BACKUP);
    let payload = stranger.payload(&scene.laptop, "m.secret.request", &content);
    stranger.send_payload(&scene.laptop, &payload);
    let mut phone = scene.phone;
    phone.ask(&scene.laptop, "the last", BACKUP);
    phone.wait_for_answer("the last");
    scene.liar.settle(&mut phone);
    let key = phone.account.curve25519_key().to_base64();
    for (_, body) in scene.liar.sent() {
        let to = body["messages"][&phone.user_id].as_object().unwrap();
        assert_eq!(to.keys().collect::<Vec<_>>(), [&phone.device_id]);
        let ciphertext = to[&phone.device_id]["ciphertext"].as_object().unwrap();
        assert_eq!(ciphertext.keys().collect::<Vec<_>>(), [&key]);
    }
    stranger.sync(0);
    assert_eq!(stranger.secrets(), []);
}

// The homeserver says that the devices changed, and does not say how.
// shows: SHR-11, RQ-04
#[test]
fn nothing_is_answered_while_the_devices_are_not_known() {
    let mut scene = Answering::new();
    scene.settle();
    scene.liar.play("query-that-is-refused");
    scene.phone.ask(&scene.laptop, "early", BACKUP);
    scene.settle();
    assert_eq!(scene.answers(), 0);
    scene.liar.be_honest();
    scene.settle();
    assert_eq!(
        scene.phone.wait_for_answer("early"),
        scene.liar.stored(BACKUP)
    );
}

// The phone was verified when it asked, and is not any more when a session with it can be made.
// shows: SHR-12, RQ-05
#[test]
fn a_device_that_is_blocked_before_there_is_a_session_gets_no_answer() {
    let mut scene = Answering::new();
    let mut tablet = scene.liar.phone();
    std::mem::swap(&mut scene.phone, &mut tablet);
    scene.settle();
    let is_claim = |one: &Message| one.head.contains("/keys/claim ");
    let before = scene.liar.proxy.seen().len();
    scene.liar.imitate(&scene.phone);
    scene.liar.play("no-one-time-keys");
    scene.phone.ask(&scene.laptop, "early", BACKUP);
    scene
        .liar
        .proxy
        .wait_until(|seen| seen.iter().skip(before).any(|(one, _)| is_claim(one)));
    scene.liar.be_honest();
    scene.liar.play("device-that-is-not-verified-any-more");
    scene.settle();
    tablet.ask(&scene.laptop, "of the tablet", BACKUP);
    tablet.wait_for_answer("of the tablet");
    scene.settle();
    assert_eq!(scene.answers(), 1);
}

// Real requests of a verified device, again and again.
// shows: AGT-06, RQ-06
#[test]
fn the_fourth_request_in_an_hour_is_refused_and_told() {
    let mut scene = Answering::new();
    for number in 1..=4 {
        scene
            .phone
            .ask(&scene.laptop, &format!("request {number}"), BACKUP);
    }
    scene.settle();
    assert_eq!(scene.answers(), 3);
    scene.phone.wait_for_answer("request 3");
    assert_eq!(scene.phone.secrets().len(), 3 + scene.first);
    assert_eq!(scene.liar.logged("alert"), 1);
}

// The agent ends while it asks the user.
// shows: AGT-07, RQ-08
#[test]
fn a_question_that_a_restart_cut_off_is_a_no() {
    let mut scene = Answering::with(&[(BACKUP, "ask")]);
    scene.phone.ask(&scene.laptop, "early", BACKUP);
    scene.settle();
    let questions = |scene: &Answering| {
        let call = scene.liar.laptop.call(&["agent", "questions", "--json"]);
        call.run().json().as_array().unwrap().len()
    };
    assert_eq!(questions(&scene), 1);
    scene.agent.kill();
    scene.agent = scene.liar.agent(&[(BACKUP, "ask")]);
    scene.settle();
    // The same once more, as servers do.
    scene.phone.ask(&scene.laptop, "early", BACKUP);
    scene.settle();
    assert_eq!(questions(&scene), 0);
    assert_eq!(scene.answers(), 0);
    assert_eq!(scene.liar.logged("refused"), 1);
}

// The homeserver forges requests of the phone by the thousand.
// shows: AGT-06, AGT-08, MS-14
#[test]
fn a_flood_in_the_name_of_the_phone_gets_three_answers() {
    let mut scene = Answering::new();
    scene.settle();
    scene.liar.play("flood-in-the-name-of-a-trusted-device");
    scene.settle();
    scene.settle();
    let sent = scene.answers();
    assert!((1..=3).contains(&sent), "{sent}");
    assert!(scene.liar.logged("alert") <= 1);
    assert!(
        scene.agent.memory() < 200_000,
        "{} KiB",
        scene.agent.memory()
    );
}

// The same in the name of users and devices that do not exist.
// shows: SHR-16, AGT-08, MS-15
#[test]
fn a_flood_in_the_name_of_nobody_asks_for_nothing() {
    let mut scene = Answering::new();
    scene.settle();
    let queries = scene.liar.count("/keys/query ");
    scene.liar.play("flood-in-the-name-of-nobody");
    scene.settle();
    assert_eq!(scene.liar.count("/keys/query "), queries);
    scene.phone.ask(&scene.laptop, "the last", BACKUP);
    scene.phone.wait_for_answer("the last");
    scene.settle();
    assert_eq!(scene.answers(), 1);
    assert!(
        scene.agent.memory() < 200_000,
        "{} KiB",
        scene.agent.memory()
    );
}

// The homeserver gives everything three times, backwards, and again later.
// shows: SHR-17, MS-16
#[test]
fn a_repeated_request_is_answered_once_and_prompts_once() {
    let mut scene = Answering::with(&[(BACKUP, "allow"), (SELF_SIGNING, "ask")]);
    scene.liar.play("every-event-thrice");
    scene.phone.ask(&scene.laptop, "one", BACKUP);
    scene.phone.ask(&scene.laptop, "two", SELF_SIGNING);
    scene.settle();
    scene.phone.ask(&scene.laptop, "three", BACKUP);
    scene.phone.wait_for_answer("three");
    scene.settle();
    let mut ids: Vec<_> = scene
        .phone
        .secrets()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    ids.sort();
    assert_eq!(ids, ["one", "three"]);
    assert_eq!(scene.liar.logged("prompted"), 1);
    assert_eq!(scene.liar.logged("shared"), 2);
}

// Every second event gets lost on the way to the laptop, and the phone asks until it is heard.
#[test]
fn a_request_of_which_half_is_lost_is_answered_once() {
    let mut scene = Answering::new();
    scene.liar.play("every-second-request-lost");
    for id in ["one", "two"] {
        for _ in 0..4 {
            scene.phone.ask(&scene.laptop, id, BACKUP);
            scene.settle();
        }
        assert_eq!(scene.phone.wait_for_answer(id), scene.liar.stored(BACKUP));
    }
    assert_eq!(scene.answers(), 2);
    assert_eq!(scene.phone.secrets().len(), scene.first + 2);
}

// Cancellations before the request, after it, and of other devices.
// shows: SHR-17, MS-17
#[test]
fn a_request_that_was_taken_back_is_not_answered_and_others_are() {
    let mut scene = Answering::new();
    let mut tablet = scene.liar.phone();
    let taken_back = |peer: &Peer, id: &str| {
        let mut content = peer.request(id, BACKUP);
        content["action"] = json!("request_cancellation");
        content
    };
    let before = taken_back(&scene.phone, "before");
    scene.phone_sends(&before);
    scene.phone.ask(&scene.laptop, "before", BACKUP);
    // Both in one batch.
    let request = scene.phone.request("after", BACKUP);
    let after = taken_back(&scene.phone, "after");
    let user = scene.phone.user_id.clone();
    scene.liar.inject(vec![
        scene.event(&user, &request),
        scene.event(&user, &after),
    ]);
    // The tablet takes back what the phone asks for: by its own ID.
    let other = taken_back(&tablet, "the last");
    tablet.send(&scene.laptop, "m.secret.request", &other);
    scene.answers_only_the_last();
}

//! Secrets that a homeserver, or a device that must not, sends to one that asked.
//!
//! What must not be taken comes first, then the answer of the phone. When that is what the command
//! prints, everything before it was worked off and not taken.

use serde_json::{Value, json};

use crate::agents::RunningAgent;
use crate::canary::Canary;
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar, SELF_SIGNING, received};
use crate::peer::{Peer, Target};

const WALLET: &str = "org.example.wallet";

/// A laptop that asks its phone for a secret.
struct Asking {
    liar: Liar,
    phone: Peer,
    laptop: Target,
    request: std::process::Child,
    id: String,
}

impl Asking {
    fn new() -> Self {
        let liar = Liar::new();
        let mut phone = liar.phone();
        let laptop = liar.to_laptop(&phone);
        let request = liar.request(WALLET);
        let id = phone.wait_for_request();
        liar.imitate(&phone);
        liar.aim(|victim| victim.request_id.clone_from(&id));
        Self {
            liar,
            phone,
            laptop,
            request,
            id,
        }
    }

    fn send(&self, secret: &str) -> Value {
        json!({"request_id": self.id, "secret": secret})
    }

    fn payload(&self) -> Value {
        let content = self.send("of the liar");
        self.phone.payload(&self.laptop, "m.secret.send", &content)
    }

    /// The phone encrypts this.
    fn send_payload(&mut self, payload: &Value) {
        self.phone.send_payload(&self.laptop, payload);
    }

    /// The same, and waits until the laptop has it.
    fn sends_alone(&mut self, payload: &Value) {
        let since = self.liar.proxy.seen().len();
        self.send_payload(payload);
        self.liar.has_told(since, "m.room.encrypted", 1);
    }

    /// Only the phone's own answer is taken.
    #[track_caller]
    fn gets_the_answer(mut self) {
        self.phone.answer(&self.laptop, &self.id, "of the phone");
        assert_eq!(received(self.request), "of the phone");
        drop(self.liar);
    }
}

// The homeserver makes up an answer, which is not encrypted.
// shows: SHR-01, OE-01
#[test]
fn a_secret_in_clear_is_not_taken() {
    let asking = Asking::new();
    asking.liar.play("secret-in-clear");
    asking.gets_the_answer();
}

// An answer is called Megolm, which says nothing of the device that wrote it.
// shows: SHR-01, OE-02
#[test]
fn a_secret_by_megolm_is_not_taken() {
    let mut asking = Asking::new();
    let payload = asking.payload();
    asking.liar.play("event-called-megolm");
    asking.sends_alone(&payload);
    asking.liar.play("secret-by-megolm");
    asking.gets_the_answer();
}

// Somebody else guesses the ID of the request.
// shows: SHR-02, OE-03
#[test]
fn a_secret_of_another_user_is_not_taken() {
    let asking = Asking::new();
    asking.liar.server.register("mallory");
    let mut mallory = Peer::log_in(&asking.liar.server.address, "mallory");
    let alice = &asking.phone.user_id;
    let mut payload = mallory.payload(&asking.laptop, "m.secret.send", &asking.send("of the liar"));
    payload["recipient"] = json!(alice);
    for sender in [mallory.user_id.clone(), alice.clone()] {
        payload["sender"] = json!(sender);
        // As it is, and said to be of the user.
        for lie in [None, Some("event-in-the-name-of-the-user")] {
            let since = asking.liar.proxy.seen().len();
            if let Some(lie) = lie {
                asking.liar.play(lie);
            }
            let content = mallory.encrypt(&asking.laptop, alice, &payload);
            let laptop = &asking.laptop.device_id;
            mallory.send_to(alice, laptop, "m.room.encrypted", &content);
            asking.liar.has_told(since, "m.room.encrypted", 1);
        }
    }
    asking.gets_the_answer();
}

// A log-in of somebody who knows the password, but no key of the user.
// shows: SHR-09, OE-04
#[test]
fn a_secret_of_an_unverified_device_is_not_taken() {
    let asking = Asking::new();
    let mut stranger = asking.liar.stranger();
    stranger.answer(&asking.laptop, &asking.id, "of the liar");
    asking.gets_the_answer();
}

// A verified device that appeared after the request.
// shows: SHR-04, OE-05
#[test]
fn a_secret_of_a_device_that_was_not_asked_is_not_taken() {
    let asking = Asking::new();
    let mut tablet = asking.liar.phone();
    tablet.answer(&asking.laptop, &asking.id, "of the tablet");
    asking.gets_the_answer();
}

// IDs that nobody asked with, that are no IDs, and the ID of something else.
// shows: SHR-04, OE-06
#[test]
fn a_secret_for_no_open_request_is_not_taken() {
    let mut asking = Asking::new();
    for id in ["", "unknown", "1", "a\nb", &"x".repeat(10_000)] {
        asking.phone.answer(&asking.laptop, id, "of the liar");
    }
    asking.gets_the_answer();
}

// The answer to a request that was taken back.
// shows: SHR-04, OE-06
#[test]
fn a_secret_for_a_cancelled_request_is_not_taken() {
    let asking = Asking::new();
    let Asking {
        liar,
        mut phone,
        laptop,
        mut request,
        id: cancelled,
    } = asking;
    let process = rustix::process::Pid::from_child(&request);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    request.wait().unwrap();
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    assert_ne!(id, cancelled);
    phone.answer(&laptop, &cancelled, "of the liar");
    phone.answer(&laptop, &id, "of the phone");
    assert_eq!(received(request), "of the phone");
}

// The homeserver says that the event is of another user than the one inside.
// shows: SHR-03, OE-07
#[test]
fn a_secret_with_another_sender_inside_is_not_taken() {
    let mut asking = Asking::new();
    let mut payload = asking.payload();
    payload["sender"] = json!("@mallory:localhost");
    asking.sends_alone(&payload);
    // And of another user outside.
    asking.liar.play("event-in-the-name-of-another-user");
    let payload = asking.payload();
    asking.send_payload(&payload);
    asking.gets_the_answer();
}

// A message to somebody else is passed on to this device.
// shows: SHR-03, OE-08
#[test]
fn a_secret_for_another_recipient_is_not_taken() {
    let mut asking = Asking::new();
    let mut payload = asking.payload();
    payload["recipient"] = json!("@mallory:localhost");
    asking.send_payload(&payload);
    let mut payload = asking.payload();
    payload["recipient_keys"]["ed25519"] = payload["keys"]["ed25519"].clone();
    asking.send_payload(&payload);
    asking.gets_the_answer();
}

// The device inside is another one than the one that wrote it.
// shows: SHR-02, SHR-03, OE-09
#[test]
fn a_secret_with_the_keys_of_another_device_is_not_taken() {
    let mut asking = Asking::new();
    let stranger = asking.liar.stranger();
    let mut payload = asking.payload();
    payload["keys"]["ed25519"] = json!(stranger.account.ed25519_key().to_base64());
    asking.send_payload(&payload);
    let mut payload = asking.payload();
    payload["sender_device_keys"] = stranger.device_keys();
    asking.send_payload(&payload);
    let mut payload = asking.payload();
    payload["sender_device_keys"]["signatures"] = json!({});
    asking.send_payload(&payload);
    asking.gets_the_answer();
}

// The homeserver exchanges the key that says who wrote it.
// shows: SHR-02, OE-11
#[test]
fn a_secret_under_the_sender_key_of_another_device_is_not_taken() {
    let mut asking = Asking::new();
    let mut stranger = asking.liar.stranger();
    asking.liar.aim(|victim| victim.other = stranger.device());
    let mut payload = asking.payload();
    payload["sender_device_keys"] = asking.phone.device_keys();
    let since = asking.liar.proxy.seen().len();
    asking.liar.play("sender-key-of-a-trusted-device");
    stranger.send_payload(&asking.laptop, &payload);
    asking.liar.has_told(since, "m.room.encrypted", 1);
    // And the other way round.
    asking.liar.play("sender-key-of-another-device");
    asking.send_payload(&payload);
    asking.gets_the_answer();
}

// Values that cannot be what was asked for.
// shows: SHR-05, SHR-06, OE-12
#[test]
fn a_secret_that_is_none_leaves_the_request_open() {
    let mut asking = Asking::new();
    for secret in [json!(""), json!(7), json!(null), json!({"a": 1})] {
        let mut payload = asking.payload();
        payload["content"]["secret"] = secret;
        asking.send_payload(&payload);
    }
    asking.gets_the_answer();
}

// A secret of a megabyte, and one that is a byte too long.
// shows: SHR-06, OE-12
#[test]
fn a_secret_that_is_too_long_leaves_the_request_open() {
    let mut asking = Asking::new();
    for length in [1_000_000, fourfold::Secret::MAX_BYTES + 1] {
        let content = asking.send(&"x".repeat(length));
        let payload = asking
            .phone
            .payload(&asking.laptop, "m.secret.send", &content);
        let user = asking.phone.user_id.clone();
        let content = asking.phone.encrypt(&asking.laptop, &user, &payload);
        let event = json!({"type": "m.room.encrypted", "sender": user, "content": content});
        asking.liar.inject(vec![event]);
    }
    asking.gets_the_answer();
}

// Values that do not fit the public key which is published: one of nobody, and one that belongs to
// another name.
// shows: SHR-05, SHR-06, OE-12
#[test]
fn a_secret_that_fits_no_public_key_leaves_the_request_open() {
    for (name, other) in [(BACKUP, SELF_SIGNING), (SELF_SIGNING, BACKUP)] {
        let liar = Liar::new();
        let mut phone = liar.phone();
        let laptop = liar.to_laptop(&phone);
        let (right, other) = (liar.stored(name), liar.stored(other));
        let request = liar.request(name);
        let id = phone.wait_for_request();
        let wrong = fourfold::base64::encode([7; 32]);
        for secret in [wrong.as_str(), "of the liar", &other] {
            phone.answer(&laptop, &id, secret);
        }
        phone.answer(&laptop, &id, &right);
        assert_eq!(received(request), right);
    }
}

// The homeserver shows the backup with the signature of the identity, and then without.
// shows: SHR-08
#[test]
fn a_backup_that_the_identity_did_not_sign_is_told() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let secret = liar.stored(BACKUP);
    for is_signed in [true, false] {
        if !is_signed {
            liar.play("backup-without-signatures");
        }
        let request = liar.request(BACKUP);
        let id = phone.wait_for_request();
        phone.answer(&laptop, &id, &secret);
        let output = request.wait_with_output().unwrap();
        assert_eq!(output.stdout, secret.as_bytes());
        let said = String::from_utf8(output.stderr).unwrap();
        let is_told = said.contains("which your identity did not sign");
        assert_eq!(is_told, !is_signed, "{said}");
    }
}

// The homeserver gives the same message again and again.
// shows: SHR-06, OE-15
#[test]
fn a_replayed_secret_is_not_taken() {
    let mut asking = Asking::new();
    let mut payload = asking.payload();
    payload["content"]["request_id"] = json!("another");
    let user = asking.phone.user_id.clone();
    let content = asking.phone.encrypt(&asking.laptop, &user, &payload);
    for _ in 0..5 {
        asking
            .phone
            .send(&asking.laptop, "m.room.encrypted", &content);
    }
    asking.gets_the_answer();
}

// The tablet was verified when it was asked, and is not when it answers.
// shows: SHR-09, OE-17
#[test]
fn a_secret_of_a_device_that_is_not_verified_any_more_is_not_taken() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let mut tablet = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    assert_eq!(tablet.wait_for_request(), id);
    liar.imitate(&tablet);
    liar.play("device-that-is-not-verified-any-more");
    tablet.answer(&laptop, &id, "of the tablet");
    phone.answer(&laptop, &id, "of the phone");
    assert_eq!(received(request), "of the phone");
}

// Two verified devices say different things.
// shows: SHR-06, OE-13
#[test]
fn the_first_of_two_answers_is_taken_and_the_second_is_an_alert() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let mut tablet = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let _agent = liar.agent(&[]);
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    phone.answer(&laptop, &id, "of the phone");
    assert_eq!(received(request), "of the phone");
    tablet.answer(&laptop, &id, "of the tablet");
    liar.settle(&mut tablet);
    let alerts: Vec<_> = liar
        .log()
        .into_iter()
        .filter(|line| line["event"] == "alert")
        .map(|line| line["device_id"].clone())
        .collect();
    assert_eq!(alerts, [json!(tablet.device_id)]);
}

/// A laptop whose command was killed while it waited for its devices, and whose agent is locked.
struct Locked {
    liar: Liar,
    laptop: Target,
    agent: RunningAgent,
    id: String,
}

impl Locked {
    /// These devices were asked.
    fn after_asking(liar: Liar, devices: &mut [&mut Peer]) -> Self {
        let laptop = liar.to_laptop(devices[0]);
        let mut request = liar.request(WALLET);
        let ids: Vec<_> = devices
            .iter_mut()
            .map(|device| device.wait_for_request())
            .collect();
        request.kill().unwrap();
        request.wait().unwrap();
        Self {
            id: ids[0].clone(),
            laptop,
            agent: RunningAgent::start(sealed(&liar.laptop, &["agent"])),
            liar,
        }
    }

    /// Nothing like this is in a file.
    fn keeps_sealed(&self, secret: &str) {
        Canary::new("the secret", secret).is_in_no_file(&self.liar.laptop.state());
    }
}

// An answer comes while the agent has no key, and nobody waits.
// shows: AGT-04, OE-14
#[test]
fn a_secret_that_comes_to_a_locked_agent_is_kept_sealed_and_taken_later() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let locked = Locked::after_asking(liar, &mut [&mut phone]);
    phone.answer(&locked.laptop, &locked.id, "canary of the phone");
    locked.liar.settle(&mut phone);
    locked.keeps_sealed("canary of the phone");
    assert_eq!(locked.liar.logged("received"), 0);
    let asked = locked.liar.count("/sendToDevice/m.secret.request/");
    // A crash loses nothing of it.
    locked.agent.kill();
    let _agent = RunningAgent::start(sealed(&locked.liar.laptop, &["agent"]));
    locked.liar.laptop.unlock("key").run().succeeds();
    assert_eq!(received(locked.liar.request(WALLET)), "canary of the phone");
    assert_eq!(locked.liar.logged("received"), 1);
    // Nobody is asked once more.
    assert_eq!(locked.liar.count("/sendToDevice/m.secret.request/"), asked);
}

// Whoever sent it is not trusted any more when the agent is unlocked.
#[test]
fn a_secret_that_came_to_a_locked_agent_is_checked_by_what_holds_later() {
    let liar = Liar::new();
    let (mut phone, mut tablet) = (liar.phone(), liar.phone());
    let locked = Locked::after_asking(liar, &mut [&mut phone, &mut tablet]);
    tablet.answer(&locked.laptop, &locked.id, "of the tablet");
    locked.liar.settle(&mut phone);
    locked.liar.imitate(&tablet);
    locked.liar.play("device-that-is-not-verified-any-more");
    locked.liar.settle(&mut phone);
    locked.liar.laptop.unlock("key").run().succeeds();
    let request = locked.liar.request(WALLET);
    locked.liar.settle(&mut phone);
    phone.answer(&locked.laptop, &locked.id, "of the phone");
    assert_eq!(received(request), "of the phone");
}

/// A laptop whose agent asks the phone, which has sent it something before.
fn asking_agent() -> (Asking, RunningAgent) {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[]);
    phone.answer(&laptop, "of nobody", "whatever");
    liar.settle(&mut phone);
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    let asking = Asking {
        liar,
        phone,
        laptop,
        request,
        id,
    };
    (asking, agent)
}

// Messages between are lost: as many as it makes up for, and one more.
// shows: SHR-21, OE-16
#[test]
fn a_message_too_far_ahead_is_lost_and_the_agent_begins_anew() {
    let (mut asking, _agent) = asking_agent();
    asking.phone.lose(&asking.laptop, 2001);
    asking.phone.answer(&asking.laptop, &asking.id, "too far");
    // The phone hears that it should begin anew.
    let is_empty = |payload: &Value| payload["type"] == "m.dummy";
    while !asking.phone.decrypted.iter().any(is_empty) {
        asking.phone.sync(1000);
    }
    asking.phone.lose(&asking.laptop, 50);
    asking.gets_the_answer();
}

// The phone forgets everything again and again, as after an update that went wrong.
#[test]
fn a_device_that_begins_ten_sessions_in_a_row_is_heard() {
    let (mut asking, _agent) = asking_agent();
    for number in 0..10 {
        asking.phone.forget_session(&asking.laptop);
        let id = format!("session {number}");
        asking.phone.answer(&asking.laptop, &id, "whatever");
    }
    asking.gets_the_answer();
}

// The master key is not even asked for.
// shows: OE-18
#[test]
fn the_master_key_is_not_asked_for() {
    let liar = Liar::new();
    let _phone = liar.phone();
    let request = sealed(&liar.laptop, &["request", "m.cross_signing.master"]);
    request.run().fails(6);
    assert_eq!(liar.count("/sendToDevice/"), 0);
}

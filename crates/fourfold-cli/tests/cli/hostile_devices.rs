//! A homeserver that lies about the devices and the identity of a user, before an agent that would
//! share a secret with a verified device, and would take one from it.

use fourfold_hostile::ROGUE;
use serde_json::json;

use crate::agents::RunningAgent;
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar};
use crate::peer::{Peer, Target};

pub(crate) struct Household {
    pub(crate) agent: RunningAgent,
    pub(crate) liar: Liar,
    pub(crate) phone: Peer,
    pub(crate) laptop: Target,
    pub(crate) user: String,
}

pub(crate) const RULES: [(&str, &str); 1] = [(BACKUP, "allow")];

impl Household {
    /// An agent that has answered its phone once.
    pub(crate) fn new() -> Self {
        let liar = Liar::new();
        let mut phone = liar.phone();
        liar.imitate(&phone);
        let laptop = liar.to_laptop(&phone);
        let agent = liar.agent(&RULES);
        phone.ask(&laptop, "the first", BACKUP);
        phone.wait_for_answer("the first");
        liar.settle(&mut phone);
        Self {
            user: phone.user_id.clone(),
            agent,
            liar,
            phone,
            laptop,
        }
    }

    /// An agent on a machine that never saw the true self-signing key, because this lie is told from
    /// when the machine holds on to the master key. Nothing else keeps a false one from it.
    fn of_another_laptop(lie: &str) -> Self {
        let mut liar = Liar::new();
        let phone = liar.phone();
        liar.imitate(&phone);
        liar.aim_with_master_key();
        liar.move_to_another_laptop(lie);
        Self {
            user: phone.user_id.clone(),
            agent: liar.agent(&RULES),
            laptop: liar.to_laptop(&phone),
            liar,
            phone,
        }
    }

    /// In the name of this device, a secret is asked for: nothing is answered.
    #[track_caller]
    pub(crate) fn does_not_answer(&mut self, device_id: &str) {
        let before = self.liar.sent().len();
        let mut content = self.phone.request("of the liar", BACKUP);
        content["requesting_device_id"] = json!(device_id);
        content["request_id"] = json!(format!("request {}", self.liar.proxy.seen().len()));
        self.phone.send(&self.laptop, "m.secret.request", &content);
        self.liar.settle(&mut self.phone);
        assert_eq!(self.liar.sent().len(), before);
    }

    /// The phone is answered as before.
    pub(crate) fn answers_the_phone(&mut self) {
        self.phone.ask(&self.laptop, "the last", BACKUP);
        self.phone.wait_for_answer("the last");
    }

    pub(crate) fn warns_of(&self, words: &str) {
        let log = self.liar.log();
        let has = log.iter().any(|line| {
            line["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains(words))
        });
        assert!(has, "{words}: {log:?}");
    }

    fn master_key(&self) -> String {
        let query = json!({"device_keys": {&self.user: []}});
        let query = self.phone.call("POST", "keys/query", &query);
        let keys = query["master_keys"][&self.user]["keys"]
            .as_object()
            .unwrap();
        keys.values().next().unwrap().as_str().unwrap().to_owned()
    }
}

// Another identity is published, and everything is signed by it.
// shows: SHR-10, MS-04
#[test]
fn nothing_is_shared_with_another_identity() {
    let mut home = Household::new();
    home.liar.play("another-identity");
    let device = home.phone.device_id.clone();
    home.does_not_answer(&device);
    home.warns_of("identity");
    // Nothing is asked for either.
    home.liar.laptop.call(&["request", BACKUP]).run().fails(8);
    // Not after a restart, nor when the homeserver shows the true one again.
    home.agent.kill();
    home.agent = home.liar.agent(&RULES);
    home.does_not_answer(&device);
    home.liar.be_honest();
    home.liar.say_changed();
    home.does_not_answer(&device);
}

// The self-signing key is another one, signed by another master key than the one that is shown, and
// under the name of that one.
// shows: SHR-09, MS-05
#[test]
fn a_self_signing_key_of_another_master_key_signs_nothing() {
    for lie in [
        "self-signing-key-of-another-master-key",
        "self-signing-key-that-claims-the-masters-signature",
    ] {
        let mut home = Household::new();
        home.liar.play(lie);
        let device = home.phone.device_id.clone();
        home.does_not_answer(&device);
    }
}

// The same, before a machine that has pinned no self-signing key yet: only the missing signature of the
// master key speaks against it.
// shows: SHR-09, MS-05
#[test]
fn a_self_signing_key_of_another_master_key_is_not_pinned_first() {
    for lie in [
        "self-signing-key-of-another-master-key",
        "self-signing-key-that-claims-the-masters-signature",
    ] {
        let mut home = Household::of_another_laptop(lie);
        let device = home.phone.device_id.clone();
        home.does_not_answer(&device);
        // It was the lie that kept the phone from it.
        home.liar.be_honest();
        home.liar.say_changed();
        home.liar.settle(&mut home.phone);
        home.answers_the_phone();
    }
}

// A device of the homeserver's own is listed: signed by itself, by a key that is nobody's, and by
// the key of another user; and with a signature under the name of the true key.
// shows: SHR-09, MS-06
#[test]
fn a_device_that_the_identity_did_not_sign_gets_nothing() {
    let mut home = Household::new();
    for lie in [
        "device-of-its-own",
        "device-signed-by-nobodys-key",
        "device-signed-as-another-user",
        "device-under-the-name-of-the-true-key",
    ] {
        home.liar.play(lie);
        home.does_not_answer(ROGUE);
    }
    home.answers_the_phone();
}

// A device of the homeserver's own is signed by the identity of another user, which is shown with
// everything that proves whose it is; and then as the key of the user.
// shows: SHR-09, MS-06
#[test]
fn a_device_that_the_identity_of_another_user_signed_gets_nothing() {
    let mut home = Household::new();
    for lie in [
        "device-of-another-users-identity",
        "device-that-another-users-identity-signed-as-the-user",
    ] {
        home.liar.play(lie);
        home.does_not_answer(ROGUE);
    }
    home.answers_the_phone();
    home.liar.settle(&mut home.phone);
    home.liar.play("self-signing-key-of-another-user");
    home.does_not_answer(ROGUE);
}

// What the user's key signed is a device and something else, too.
// shows: SHR-09, SHR-15
#[test]
fn a_device_that_is_a_cross_signing_key_too_gets_nothing() {
    let mut home = Household::new();
    home.liar.play("device-with-usage");
    home.does_not_answer(ROGUE);
    home.answers_the_phone();
}

// What the user's master key signed is a self-signing key of the homeserver's own, and what the user
// meant to sign: the data of a backup, or the description of a key.
// shows: SHR-09, SHR-15
#[test]
fn a_self_signing_key_that_is_something_else_too_signs_nothing() {
    for lie in [
        "backup-as-self-signing-key",
        "description-as-self-signing-key",
    ] {
        let mut home = Household::new();
        home.liar.aim_with_master_key();
        home.liar.play(lie);
        home.does_not_answer(ROGUE);
    }
}

// The same, before a machine that has pinned no self-signing key yet: only what else it is speaks against
// it, for the user's master key did sign it.
// shows: SHR-09, SHR-15
#[test]
fn a_self_signing_key_that_is_something_else_too_is_not_pinned_first() {
    for lie in [
        "backup-as-self-signing-key",
        "description-as-self-signing-key",
    ] {
        let mut home = Household::of_another_laptop(lie);
        home.does_not_answer(ROGUE);
        home.liar.be_honest();
        home.liar.say_changed();
        home.liar.settle(&mut home.phone);
        home.answers_the_phone();
    }
}

// A device is gone from the list, and back some time later.
// shows: SHR-14, MS-07
#[test]
fn a_device_that_was_gone_gets_nothing_when_it_is_back() {
    let mut home = Household::new();
    let device = home.phone.device_id.clone();
    home.liar.play("device-that-is-gone");
    home.does_not_answer(&device);
    home.liar.be_honest();
    home.liar.say_changed();
    home.does_not_answer(&device);
    assert!(home.liar.logged("alert") > 0);
    home.agent.kill();
    home.agent = home.liar.agent(&RULES);
    home.does_not_answer(&device);
}

// The phone has other keys all at once, signed by the true identity.
// shows: SHR-14, MS-08
#[test]
fn a_device_with_other_keys_gets_nothing() {
    let mut home = Household::new();
    let device = home.phone.device_id.clone();
    home.liar.play("device-with-other-keys");
    home.does_not_answer(&device);
    assert!(home.liar.logged("alert") > 0);
    home.liar.be_honest();
    home.liar.say_changed();
    home.does_not_answer(&device);
}

// A device is named like the master key: who signs the one signs the other.
#[test]
fn a_device_that_is_named_like_the_master_key_gets_nothing() {
    let mut home = Household::new();
    let master_key = home.master_key();
    for (lie, id) in [
        ("device-named-like-the-master-key", master_key.clone()),
        (
            "device-named-like-the-master-key-padded",
            format!("{master_key}="),
        ),
    ] {
        home.liar.play(lie);
        home.does_not_answer(&id);
    }
    home.warns_of("key of the account");
}

// A device is to be verified by emoji, while another one is named like a key of the user.
// shows: SHR-07, MS-10
#[test]
fn nothing_is_verified_beside_a_device_that_is_named_like_a_key() {
    let liar = Liar::new();
    let signatures = liar.count("/signatures/upload ");
    let tablet = liar.stranger();
    for lie in [
        "device-named-like-the-master-key",
        "device-named-like-the-master-key-padded",
        "device-named-like-the-self-signing-key",
        "device-named-like-the-self-signing-key-padded",
        "device-named-like-the-user-signing-key",
        "device-named-like-the-user-signing-key-padded",
    ] {
        liar.play(lie);
        sealed(&liar.laptop, &["device", "verify", &tablet.device_id])
            .run()
            .fails(8)
            .says("the ID of one may be a key of the account");
    }
    assert_eq!(liar.count("/sendToDevice/m.key.verification"), 0);
    assert_eq!(liar.count("/signatures/upload "), signatures);
}

// The list of devices is without the user, full of failures, or endless.
// shows: SHR-11, MS-11
#[test]
fn without_a_list_of_devices_nothing_is_shared() {
    let mut home = Household::new();
    let device = home.phone.device_id.clone();
    for lie in [
        "no-answer-about-devices",
        "nobodys-devices",
        "failed-query",
        "devices-that-are-a-number",
        "query-that-is-a-list",
    ] {
        home.liar.play(lie);
        home.does_not_answer(&device);
    }
}

// Ten thousand devices.
// shows: LIB-22, MS-11
#[test]
fn a_huge_list_of_devices_is_bounded() {
    let mut home = Household::new();
    home.liar.play("ten-thousand-devices");
    home.liar.settle(&mut home.phone);
    home.does_not_answer("DEVICE7");
    let memory = home.agent.most_memory();
    assert!(memory < 200_000, "{memory} KiB");
}

// The answer to `/sync` never gets on: the same position, an empty one, a huge one.
// shows: AGT-15, MS-18
#[test]
fn a_homeserver_that_never_gets_on_is_not_asked_all_the_time() {
    let mut home = Household::new();
    for lie in ["empty-position", "same-position", "huge-position"] {
        let before = home.liar.proxy.seen().len();
        let begun = std::time::Instant::now();
        home.liar.proxy.play(lie);
        // The one that waits for something comes back at once.
        home.phone
            .send(&home.laptop, "org.example.wake", &json!({}));
        home.liar.proxy.wait_until(|seen| {
            let syncs = seen.iter().skip(before).filter(|(one, _)| one.is_sync());
            syncs.count() >= 4
        });
        assert!(begun.elapsed().as_millis() > 400, "{:?}", begun.elapsed());
    }
}

// Names of a megabyte, which would do something to the terminal.
// shows: AGT-07, LIB-19
#[test]
fn a_name_is_neither_long_nor_heard_by_the_terminal() {
    let liar = Liar::new();
    liar.play("names-of-a-megabyte");
    for command in [["device", "ls"].as_slice(), &["key", "ls"], &["status"]] {
        let outcome = liar.laptop.call(command).run();
        let said = [outcome.stdout, outcome.stderr.into_bytes()].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(said.len() < 10_000, "{command:?}: {} bytes", said.len());
        assert!(said.contains("owned"), "{command:?}: {said}");
        assert!(!said.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{said}");
    }
}

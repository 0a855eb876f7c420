//! Secrets that a homeserver, or a device that must not, sends to one that asked.
//!
//! What must not be taken comes first, then the answer of the phone. When that is what the command
//! prints, everything before it was worked off and not taken.

use serde_json::{Value, json};

use crate::{
    key_endpoints::sealed,
    liar::{BACKUP, Liar, received},
    peer::{Peer, Target},
};

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

    /// The phone encrypts this, and the homeserver changes it on its way.
    fn send_changed(&mut self, payload: &Value, change: impl FnOnce(&mut Value)) {
        let user = self.phone.user_id.clone();
        let mut content = self.phone.encrypt(&self.laptop, &user, payload);
        change(&mut content);
        self.phone.send(&self.laptop, "m.room.encrypted", &content);
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
#[test]
fn a_secret_in_clear_is_not_taken() {
    let mut asking = Asking::new();
    let content = asking.send("of the liar");
    asking.phone.send(&asking.laptop, "m.secret.send", &content);
    asking.gets_the_answer();
}

// An answer is called Megolm, which says nothing of the device that wrote it.
#[test]
fn a_secret_by_megolm_is_not_taken() {
    let mut asking = Asking::new();
    let payload = asking.payload();
    asking.send_changed(&payload, |content| {
        content["algorithm"] = json!("m.megolm.v1.aes-sha2");
    });
    let megolm = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "session_id": "x",
        "ciphertext": "AwgAEnACgAkLmt6qF84IK",
        "secret": "of the liar",
        "request_id": asking.id,
    });
    asking
        .phone
        .send(&asking.laptop, "m.room.encrypted", &megolm);
    asking.gets_the_answer();
}

// Somebody else guesses the ID of the request.
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
        let content = mallory.encrypt(&asking.laptop, alice, &payload);
        mallory.send_to(
            alice,
            &asking.laptop.device_id,
            "m.room.encrypted",
            &content,
        );
        // The homeserver says that it is of the user.
        let event = json!({"type": "m.room.encrypted", "sender": alice, "content": content});
        asking.liar.inject(vec![event]);
    }
    asking.gets_the_answer();
}

// A log-in of somebody who knows the password, but no key of the user.
#[test]
fn a_secret_of_an_unverified_device_is_not_taken() {
    let asking = Asking::new();
    let mut stranger = asking.liar.stranger();
    stranger.answer(&asking.laptop, &asking.id, "of the liar");
    asking.gets_the_answer();
}

// A verified device that appeared after the request.
#[test]
fn a_secret_of_a_device_that_was_not_asked_is_not_taken() {
    let asking = Asking::new();
    let mut tablet = asking.liar.phone();
    tablet.answer(&asking.laptop, &asking.id, "of the tablet");
    asking.gets_the_answer();
}

// IDs that nobody asked with, that are no IDs, and the ID of something else.
#[test]
fn a_secret_for_no_open_request_is_not_taken() {
    let mut asking = Asking::new();
    for id in ["", "unknown", "1", "a\nb", &"x".repeat(10_000)] {
        asking.phone.answer(&asking.laptop, id, "of the liar");
    }
    asking.gets_the_answer();
}

// The answer to a request that was taken back.
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
#[test]
fn a_secret_with_another_sender_inside_is_not_taken() {
    let mut asking = Asking::new();
    let mut payload = asking.payload();
    payload["sender"] = json!("@mallory:localhost");
    asking.send_changed(&payload, |_| {});
    asking.gets_the_answer();
}

// A message to somebody else is passed on to this device.
#[test]
fn a_secret_for_another_recipient_is_not_taken() {
    let mut asking = Asking::new();
    let mut payload = asking.payload();
    payload["recipient"] = json!("@mallory:localhost");
    asking.send_changed(&payload, |_| {});
    let mut payload = asking.payload();
    payload["recipient_keys"]["ed25519"] = payload["keys"]["ed25519"].clone();
    asking.send_changed(&payload, |_| {});
    asking.gets_the_answer();
}

// The device inside is another one than the one that wrote it.
#[test]
fn a_secret_with_the_keys_of_another_device_is_not_taken() {
    let mut asking = Asking::new();
    let stranger = asking.liar.stranger();
    let mut payload = asking.payload();
    payload["keys"]["ed25519"] = json!(stranger.account.ed25519_key().to_base64());
    asking.send_changed(&payload, |_| {});
    let mut payload = asking.payload();
    payload["sender_device_keys"] = stranger.device_keys();
    asking.send_changed(&payload, |_| {});
    let mut payload = asking.payload();
    payload["sender_device_keys"]["signatures"] = json!({});
    asking.send_changed(&payload, |_| {});
    asking.gets_the_answer();
}

// The homeserver exchanges the key that says who wrote it.
#[test]
fn a_secret_under_the_sender_key_of_another_device_is_not_taken() {
    let mut asking = Asking::new();
    let mut stranger = asking.liar.stranger();
    let phone = asking.phone.account.curve25519_key().to_base64();
    let user = stranger.user_id.clone();
    let mut payload = asking.payload();
    payload["sender_device_keys"] = asking.phone.device_keys();
    let mut content = stranger.encrypt(&asking.laptop, &user, &payload);
    content["sender_key"] = json!(phone);
    stranger.send(&asking.laptop, "m.room.encrypted", &content);
    // And the other way round.
    let other = stranger.account.curve25519_key().to_base64();
    asking.send_changed(&payload, |content| content["sender_key"] = json!(other));
    asking.gets_the_answer();
}

// Values that cannot be what was asked for.
#[test]
fn a_secret_that_is_none_leaves_the_request_open() {
    let mut asking = Asking::new();
    for secret in [json!(""), json!(7), json!(null), json!({"a": 1})] {
        let mut payload = asking.payload();
        payload["content"]["secret"] = secret;
        asking.send_changed(&payload, |_| {});
    }
    asking.gets_the_answer();
}

// A value that does not fit the public key which is published.
#[test]
fn a_secret_that_fits_no_public_key_leaves_the_request_open() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let right = liar.stored(BACKUP);
    let request = liar.request(BACKUP);
    let id = phone.wait_for_request();
    let wrong = fourfold::base64::encode([7; 32]);
    for secret in [wrong.as_str(), "of the liar"] {
        phone.answer(&laptop, &id, secret);
    }
    phone.answer(&laptop, &id, &right);
    assert_eq!(received(request), right);
}

// The homeserver gives the same message again and again.
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
#[test]
fn a_secret_of_a_device_that_is_not_verified_any_more_is_not_taken() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let mut tablet = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    assert_eq!(tablet.wait_for_request(), id);
    let (user, device) = (tablet.user_id.clone(), tablet.device_id.clone());
    let bare = tablet.device_keys();
    liar.lie_about_keys(move |body| body["device_keys"][&user][&device] = bare.clone());
    tablet.answer(&laptop, &id, "of the tablet");
    phone.answer(&laptop, &id, "of the phone");
    assert_eq!(received(request), "of the phone");
}

// Two verified devices say different things.
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

// An answer comes while the agent has no key, and nobody waits.
#[test]
fn a_secret_that_comes_to_a_locked_agent_is_not_kept_in_clear() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[]);
    let request = liar.request(WALLET);
    let id = phone.wait_for_request();
    agent.kill();
    request.wait_with_output().unwrap();
    let agent = crate::agents::RunningAgent::start(sealed(&liar.laptop, &["agent"]));
    phone.answer(&laptop, &id, "canary of the phone");
    liar.settle(&mut phone);
    for file in std::fs::read_dir(liar.laptop.state()).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let needle = b"canary of the phone";
        let is_in_clear = bytes.windows(needle.len()).any(|part| part == needle);
        assert!(!is_in_clear, "{}", path.display());
    }
    // The device works, and what comes later is taken as ever.
    liar.laptop.unlock("key").run().succeeds();
    let request = liar.request("org.example.other");
    let id = phone.wait_for_request();
    phone.answer(&laptop, &id, "another");
    assert_eq!(received(request), "another");
    drop(agent);
}

// The master key is not even asked for.
#[test]
fn the_master_key_is_not_asked_for() {
    let liar = Liar::new();
    let _phone = liar.phone();
    let request = sealed(&liar.laptop, &["request", "m.cross_signing.master"]);
    request.run().fails(6);
    assert_eq!(liar.count("/sendToDevice/"), 0);
}

//! Lies about what other devices send: events that nobody sent, and events that were changed on
//! their way.

use serde_json::{Value, json};

use super::lie::{Forgery, Lie, SYNC, Tell};
use crate::victim::Victim;

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "secret-in-clear",
        does: "makes up an answer to a request, which is not encrypted",
        attacks: &["SHR-01", "OE-01"],
        tell: Tell::Events(|victim| {
            let content = json!({"request_id": victim.request_id, "secret": "of the liar"});
            vec![event(victim, "m.secret.send", &content)]
        }),
    },
    Lie {
        name: "secret-by-megolm",
        does: "makes up an answer to a request, which is called Megolm",
        attacks: &["SHR-01", "OE-02"],
        tell: Tell::Events(|victim| {
            let content = json!({
                "algorithm": MEGOLM,
                "session_id": "x",
                "ciphertext": "AwgAEnACgAkLmt6qF84IK",
                "secret": "of the liar",
                "request_id": victim.request_id,
            });
            vec![event(victim, "m.room.encrypted", &content)]
        }),
    },
    Lie {
        name: "event-called-megolm",
        does: "says of an event by Olm that it is one by Megolm",
        attacks: &["SHR-01", "OE-02"],
        tell: Tell::Forgeries(|_| {
            first_encrypted(|event| event["content"]["algorithm"] = json!(MEGOLM))
        }),
    },
    Lie {
        name: "event-in-the-name-of-the-user",
        does: "says of an event of another user that it is of this one",
        attacks: &["SHR-02", "OE-03"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            first_encrypted(move |event| event["sender"] = json!(user))
        }),
    },
    Lie {
        name: "event-in-the-name-of-another-user",
        does: "says of an event of the user that it is of another one",
        attacks: &["SHR-03", "OE-07"],
        tell: Tell::Forgeries(|victim| {
            let other = victim.another_user();
            first_encrypted(move |event| event["sender"] = json!(other))
        }),
    },
    Lie {
        name: "sender-key-of-a-trusted-device",
        does: "says of an event that a trusted device encrypted it",
        attacks: &["SHR-02", "OE-11"],
        tell: Tell::Forgeries(|victim| {
            let key = victim.trusted.curve25519.clone();
            first_encrypted(move |event| event["content"]["sender_key"] = json!(key))
        }),
    },
    Lie {
        name: "sender-key-of-another-device",
        does: "says of the event of a trusted device that another one encrypted it",
        attacks: &["SHR-02", "OE-11"],
        tell: Tell::Forgeries(|victim| {
            let key = victim.other.curve25519.clone();
            first_encrypted(move |event| event["content"]["sender_key"] = json!(key))
        }),
    },
    Lie {
        name: "every-event-thrice",
        does: "gives every event three times, backwards, and again later",
        attacks: &["SHR-17", "MS-16"],
        tell: Tell::Forgeries(|_| {
            let mut earlier: Vec<Value> = Vec::new();
            vec![Forgery::of_json(SYNC, move |body| {
                let Some(events) = body["to_device"]["events"].as_array_mut() else {
                    return;
                };
                let new = events.clone();
                for _ in 0..2 {
                    events.extend(new.iter().rev().cloned());
                }
                events.extend(earlier.iter().cloned());
                earlier.extend(new);
            })]
        }),
    },
    Lie {
        name: "every-second-request-lost",
        does: "loses every second request for a secret",
        attacks: &["MS-16"],
        tell: Tell::Forgeries(|_| {
            let mut is_lost = false;
            vec![Forgery::of_json(SYNC, move |body| {
                if let Some(events) = body["to_device"]["events"].as_array_mut() {
                    events.retain(|event| {
                        let is_request = event["type"] == "m.secret.request";
                        is_lost ^= is_request;
                        !(is_request && is_lost)
                    });
                }
            })]
        }),
    },
];

/// An event of the user's.
fn event(victim: &Victim, event_type: &str, content: &Value) -> Value {
    json!({"type": event_type, "sender": victim.user_id, "content": content})
}

/// Changes the first encrypted event that comes, as often as it comes, and no other one.
fn first_encrypted(change: impl Fn(&mut Value) + Send + 'static) -> Vec<Forgery> {
    let mut first = None;
    vec![Forgery::of_json(SYNC, move |body| {
        let events = body["to_device"]["events"].as_array_mut();
        let events = events.into_iter().flatten();
        for event in events.filter(|event| event["type"] == "m.room.encrypted") {
            if first.get_or_insert_with(|| event.clone()) == event {
                change(event);
            }
        }
    })]
}

const MEGOLM: &str = "m.megolm.v1.aes-sha2";

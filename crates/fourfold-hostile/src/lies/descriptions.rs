//! Lies about the descriptions of keys of secret storage, and about what was stored earlier.

use serde_json::{Value, json};

use super::lie::{Forgery, Lie, SYNC, Tell, members};
use crate::attacker::Attacker;
use crate::message::{Message, Script, Turn};
use crate::victim::Victim;

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "fewer-iterations",
        does: "says that a passphrase takes fewer iterations than it does",
        attacks: &["KEY-06", "KEY-08", "KD-18"],
        tell: Tell::Forgeries(|_| {
            described(|key| replace(key, "/passphrase/iterations", json!(100_000)))
        }),
    },
    Lie {
        name: "another-salt",
        does: "says that a passphrase has another salt than it has",
        attacks: &["KEY-06", "KEY-08", "KD-18"],
        tell: Tell::Forgeries(|_| {
            described(|key| replace(key, "/passphrase/salt", json!("another salt")))
        }),
    },
    Lie {
        name: "algorithm-of-2019",
        does: "says that a key is one of the algorithm of 2019",
        attacks: &["KEY-06", "KEY-08", "KD-18"],
        tell: Tell::Forgeries(|_| described(|key| replace(key, "/algorithm", json!(OF_2019)))),
    },
    Lie {
        name: "other-check-data",
        does: "shows other data by which a key is checked",
        attacks: &["KEY-06", "KEY-08", "KD-18"],
        tell: Tell::Forgeries(|_| described(|key| replace(key, "/mac", json!(OTHER_MAC)))),
    },
    Lie {
        name: "other-check-data-and-iv",
        does: "shows other data by which a key is checked, and another IV for it",
        attacks: &["KEY-06", "KEY-08"],
        tell: Tell::Forgeries(|_| {
            described(|key| {
                key["iv"] = json!("BwcHBwcHBwcHBwcHBwcHBw");
                key["mac"] = json!(OTHER_MAC);
            })
        }),
    },
    Lie {
        name: "public-key-of-2019",
        does: "shows a public key of its own for a key of 2019, signed by a key of its own under the name of the user's",
        attacks: &["KEY-01", "KEY-06"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            described(move |key| {
                let named = key["signatures"][&user]
                    .as_object()
                    .cloned()
                    .unwrap_or_default();
                key["pubkey"] = json!(Attacker::new().curve25519());
                key["signatures"] = json!({});
                for key_id in named.keys() {
                    *key = Attacker::new().master().named(key_id).sign(key, &user);
                }
            })
        }),
    },
    Lie {
        name: "earlier-content",
        does: "goes back to what was stored earlier",
        attacks: &["STO-07"],
        tell: Tell::Turns(|victim| earlier(victim, |_| {})),
    },
    Lie {
        name: "earlier-content-with-an-unknown-member",
        does: "goes back to what was stored earlier, with a member that nobody knows in it",
        attacks: &["STO-07"],
        tell: Tell::Turns(|victim| {
            earlier(victim, |content| {
                entry(content, |entry| entry["org.example"] = json!(1));
            })
        }),
    },
    Lie {
        name: "earlier-content-beside-an-unknown-member",
        does: "goes back to what was stored earlier, beside a member that nobody knows",
        attacks: &["STO-07"],
        tell: Tell::Turns(|victim| earlier(victim, |content| content["org.example"] = json!(1))),
    },
    Lie {
        name: "earlier-content-padded",
        does: "goes back to what was stored earlier, with padding after its base64",
        attacks: &["STO-07"],
        tell: Tell::Turns(|victim| earlier(victim, |content| entry(content, pad))),
    },
];

/// Shows the description of each key in another way, in every answer that it is a part of.
fn described(change: impl Fn(&mut Value) + Clone + Send + 'static) -> Vec<Forgery> {
    let of_sync = change.clone();
    vec![
        Forgery::of_json(SYNC, move |sync| {
            let events = sync.pointer_mut("/account_data/events");
            let events = events.and_then(Value::as_array_mut);
            for event in events.into_iter().flatten() {
                let event_type = event["type"].as_str();
                if event_type.is_some_and(|one| one.starts_with(DESCRIPTION)) {
                    of_sync(&mut event["content"]);
                }
            }
        }),
        Forgery::of_json("/account_data/m.secret_storage.key.", move |content| {
            // Neither an error nor the answer to a write.
            if content.get("algorithm").is_some() {
                change(content);
            }
        }),
    ]
}

/// Shows what the homeserver kept, in every answer that it is a part of.
fn earlier(victim: &Victim, change: fn(&mut Value)) -> Script {
    let (event_type, mut kept) = victim.kept.clone();
    change(&mut kept);
    Box::new(move |request| {
        if request.reads(&event_type) {
            return Turn::Answered(Message::json(&kept));
        }
        if !request.is_sync() {
            return Turn::Honest;
        }
        let (event_type, kept) = (event_type.clone(), kept.clone());
        Turn::Altered(Box::new(move |answer| {
            answer.with_json(|sync| {
                let events = sync.pointer_mut("/account_data/events");
                let Some(events) = events.and_then(Value::as_array_mut) else {
                    return;
                };
                events.retain(|event| event["type"] != event_type.as_str());
                events.push(json!({"type": event_type, "content": kept}));
            })
        }))
    })
}

fn replace(content: &mut Value, pointer: &str, value: Value) {
    if let Some(member) = content.pointer_mut(pointer) {
        *member = value;
    }
}

/// Changes each entry of a secret.
fn entry(content: &mut Value, change: impl Fn(&mut Value)) {
    members(&mut content["encrypted"]).for_each(change);
}

fn pad(entry: &mut Value) {
    for text in ["iv", "ciphertext", "mac"] {
        let shown = entry[text].as_str().unwrap_or_default().to_owned();
        let padding = "=".repeat((4 - shown.len() % 4) % 4);
        entry[text] = json!(shown + &padding);
    }
}

const OF_2019: &str = "m.secret_storage.v1.curve25519-aes-sha2";
const DESCRIPTION: &str = "m.secret_storage.key.";
const OTHER_MAC: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

//! Lies that cost memory and time: more of something than anybody needs, or more often.

use serde_json::{Value, json};

use super::lie::{DEVICES, Forgery, Lie, QUERY, SYNC, Tell};
use crate::attacker::{Attacker, ROGUE};
use crate::message::{Message, Script, Turn};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "account-data-of-sixty-megabytes",
        does: "shows sixty events of account data of a megabyte each",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| more_events(large(60))),
    },
    Lie {
        name: "account-data-of-seventy-megabytes",
        does: "shows seventy events of account data of a megabyte each",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| more_events(large(70))),
    },
    Lie {
        name: "two-million-events",
        does: "shows nearly two million empty events of account data",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| {
            let event = |number| format!(r#"{{"type":"{number}","content":{{}}}}"#);
            more_events((0..1_800_000).map(event))
        }),
    },
    Lie {
        name: "twenty-thousand-secrets",
        does: "shows nearly as many secrets as a client may have to read",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| {
            let secret = r#"{"encrypted":{"key":{"iv":"AA","ciphertext":"AA","mac":"AA"}}}"#;
            let event = |number| format!(r#"{{"type":"org.example.{number}","content":{secret}}}"#);
            more_events((0..19_900).map(event))
        }),
    },
    Lie {
        name: "endless-query",
        does: "answers to a query of keys with four million members",
        attacks: &["LIB-22", "MS-11"],
        tell: Tell::Answers(QUERY, |_| endless()),
    },
    Lie {
        name: "endless-backup",
        does: "answers with four million members when it is asked for the backup",
        attacks: &["LIB-22"],
        tell: Tell::Answers("/room_keys/version ", |_| endless()),
    },
    Lie {
        name: "refusal-of-sixty-megabytes",
        does: "refuses with sixty megabytes of words",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| huge_error(403)),
    },
    Lie {
        name: "delay-of-sixty-megabytes",
        does: "asks for patience with sixty megabytes of words",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| huge_error(429)),
    },
    Lie {
        name: "failure-of-sixty-megabytes",
        does: "fails with sixty megabytes of words",
        attacks: &["LIB-22"],
        tell: Tell::Turns(|_| huge_error(500)),
    },
    Lie {
        name: "two-hundred-expensive-keys",
        does: "shows two hundred keys, each of whose passphrases takes seconds to try",
        attacks: &["KEY-05", "LIB-22"],
        tell: Tell::Turns(|_| {
            more_events((0..200).map(|number| expensive_key(number).to_string()))
        }),
    },
    Lie {
        name: "names-of-a-megabyte",
        does: "gives devices and keys names of a megabyte, which command the terminal",
        attacks: &["AGT-07", "CLI-07", "LIB-19"],
        tell: Tell::Forgeries(|_| named(&huge_name())),
    },
    Lie {
        name: "devices-that-come-and-go",
        does: "lists three hundred devices that nobody ever saw, and other ones the next time",
        attacks: &["AGT-09"],
        tell: Tell::Forgeries(|victim| {
            let (user, mut round) = (victim.user_id.clone(), 0);
            vec![Forgery::of_json(QUERY, move |body| {
                for number in 0..300 {
                    let id = format!("{ROGUE}{round}x{number}");
                    let keys = Attacker::new().device_keys(&user, &id);
                    body["device_keys"][&user][id] = keys;
                }
                round += 1;
            })]
        }),
    },
];

/// Puts the texts of these events before those of the account data.
fn more_events(events: impl Iterator<Item = String>) -> Script {
    let events: String = events.map(|event| event + ",").collect();
    Box::new(move |request| {
        if !request.is_sync() {
            return Turn::Honest;
        }
        let events = events.clone();
        Turn::Altered(Box::new(move |answer| {
            // As text: parsed, it would take this process too much memory.
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            let Some((before, after)) = body.split_once(r#""account_data""#) else {
                return answer;
            };
            let after = after.replacen('[', &format!("[{events}"), 1);
            answer.with_body(format!(r#"{before}"account_data"{after}"#))
        }))
    })
}

fn large(megabytes: usize) -> impl Iterator<Item = String> {
    let content = "x".repeat(1_000_000);
    (0..megabytes).map(move |number| {
        format!(r#"{{"type":"org.example.{number}","content":{{"a":"{content}"}}}}"#)
    })
}

fn endless() -> Message {
    let members: String = (0..4_000_000).map(|n| format!(r#""{n}":0,"#)).collect();
    Message::answer(200, "application/json", format!(r#"{{{members}"a":0}}"#))
}

/// Answers to each sync with an error that is parsed, and has anything in it.
fn huge_error(status: u16) -> Script {
    let zeros = "0,".repeat(30_000_000);
    let error = format!(r#"{{"errcode":"M_X","error":[{zeros}0]}}"#);
    Box::new(move |request| {
        if request.is_sync() {
            Turn::Answered(Message::answer(status, "application/json", error.clone()))
        } else {
            Turn::Honest
        }
    })
}

/// Calls the first device and each key like this.
fn named(name: &str) -> Vec<Forgery> {
    let (of_device, of_key) = (json!(name), json!(name));
    vec![
        Forgery::of_json(DEVICES, move |body| {
            if let Some(device) = body.pointer_mut("/devices/0") {
                device["display_name"] = of_device.clone();
            }
        }),
        Forgery::of_json(SYNC, move |sync| {
            let events = sync.pointer_mut("/account_data/events");
            for event in events.and_then(Value::as_array_mut).into_iter().flatten() {
                let event_type = event["type"].as_str();
                if event_type.is_some_and(|one| one.starts_with("m.secret_storage.key.")) {
                    event["content"]["name"] = of_key.clone();
                }
            }
        }),
    ]
}

fn huge_name() -> String {
    let filler = "x".repeat(1_000_000);
    format!("\u{1b}]0;owned\u{7}\r\u{202e}{filler}")
}

fn expensive_key(number: u32) -> Value {
    json!({
        "type": format!("m.secret_storage.key.expensive{number}"),
        "content": {
            "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
            "passphrase": {
                "algorithm": "m.pbkdf2",
                "salt": "saltsaltsalt",
                "iterations": 10_000_000,
            },
        },
    })
}

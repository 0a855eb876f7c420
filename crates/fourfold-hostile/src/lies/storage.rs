//! Lies about account data: what is stored, and what becomes of a write.

use serde_json::{Value, json};

use super::lie::{Lie, Tell};
use crate::message::{Message, Script, Turn};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "no-default-key",
        does: "shows no default key, although there is one",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| shows(None)),
    },
    Lie {
        name: "empty-default-key",
        does: "shows an empty object in place of the default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| shows(Some(json!({})))),
    },
    Lie {
        name: "null-default-key",
        does: "shows null in place of the default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| shows(Some(Value::Null))),
    },
    Lie {
        name: "no-account-data",
        does: "shows an account in which nothing was ever stored",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| Box::new(forgets_everything)),
    },
    Lie {
        name: "nothing-but-an-empty-default-key",
        does: "shows an account in which nothing is stored but an empty default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| nothing_but(json!({}))),
    },
    Lie {
        name: "nothing-but-a-null-default-key",
        does: "shows an account in which nothing is stored but null in place of the default key",
        attacks: &["STO-06", "MS-01"],
        tell: Tell::Turns(|_| nothing_but(Value::Null)),
    },
    Lie {
        name: "moved-default-key",
        does: "says that another key is the default key",
        attacks: &["KEY-08", "STO-05", "KD-17"],
        tell: Tell::Turns(|victim| shows(Some(json!({"key": victim.other_key})))),
    },
    Lie {
        name: "forgets-a-write",
        does: "acknowledges the first write and keeps nothing of it",
        attacks: &["STO-10", "MS-02"],
        tell: Tell::Turns(|_| {
            let mut done = Some(Message::json(&json!({})));
            Box::new(move |request| {
                let answer = request.is_write().then(|| done.take()).flatten();
                answer.map_or(Turn::Honest, Turn::Answered)
            })
        }),
    },
    Lie {
        name: "keeps-another-value",
        does: "keeps another value than the one that was written",
        attacks: &["STO-10", "MS-02"],
        tell: Tell::Turns(|_| {
            Box::new(|request| {
                if request.is_write() {
                    Turn::Forged(request.with_body(r#"{"encrypted":{}}"#))
                } else {
                    Turn::Honest
                }
            })
        }),
    },
];

const DEFAULT_KEY: &str = "m.secret_storage.default_key";

/// Shows the default key like this, in every answer that it is a part of.
fn shows(content: Option<Value>) -> Script {
    Box::new(move |request| {
        let content = content.clone();
        if request.is_sync() {
            return Turn::Altered(Box::new(move |answer| {
                answer.with_json(|sync| {
                    let events = sync.pointer_mut("/account_data/events");
                    let Some(events) = events.and_then(Value::as_array_mut) else {
                        return;
                    };
                    events.retain(|event| {
                        event.get("type").and_then(Value::as_str) != Some(DEFAULT_KEY)
                    });
                    let shown =
                        content.map(|content| json!({"type": DEFAULT_KEY, "content": content}));
                    events.extend(shown);
                })
            }));
        }
        if !request.reads(DEFAULT_KEY) {
            return Turn::Honest;
        }
        Turn::Answered(match content {
            Some(content) => Message::json(&content),
            None => Message::error(404, "M_NOT_FOUND", "there is none"),
        })
    })
}

/// Shows this default key, and nothing else, to anyone who asks for all there is.
fn nothing_but(default_key: Value) -> Script {
    Box::new(move |request| {
        let event = json!({"type": DEFAULT_KEY, "content": default_key});
        if !request.is_sync() {
            return Turn::Honest;
        }
        Turn::Altered(Box::new(move |answer| {
            answer.with_json(|sync| {
                if let Some(events) = sync.pointer_mut("/account_data/events") {
                    *events = json!([event]);
                }
            })
        }))
    })
}

fn forgets_everything(request: &Message) -> Turn {
    if request.is_sync() {
        Turn::Altered(Box::new(|answer| {
            answer.with_json(|sync| {
                if let Some(events) = sync.pointer_mut("/account_data/events") {
                    *events = json!([]);
                }
            })
        }))
    } else if request.head.contains("/account_data/") {
        Turn::Answered(Message::error(404, "M_NOT_FOUND", "there is none"))
    } else {
        Turn::Honest
    }
}

//! Lies about the devices of a user.

use serde_json::json;

use super::{Lie, QUERY, Tell, members};
use crate::proxy::Message;

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "no-answer-about-devices",
        does: "answers to a query of keys with an empty object",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!({}))),
    },
    Lie {
        name: "nobodys-devices",
        does: "answers to a query of keys with the devices of nobody",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!({"device_keys": {}}))),
    },
    Lie {
        name: "failed-query",
        does: "says that it could not reach itself when keys are queried",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| {
            Message::json(&json!({"device_keys": {}, "failures": {"localhost": {}}}))
        }),
    },
    Lie {
        name: "devices-that-are-a-number",
        does: "answers to a query of keys with a number for each user",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |answer| {
            answer.with_json(|body| {
                for devices in members(&mut body["device_keys"]) {
                    *devices = json!(7);
                }
            })
        }),
    },
    Lie {
        name: "query-that-is-a-list",
        does: "answers to a query of keys with a list",
        attacks: &["SHR-11", "MS-11"],
        tell: Tell::Answers(QUERY, |_| Message::json(&json!([]))),
    },
];

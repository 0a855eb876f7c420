//! Lies about which devices there are, and which are logged in.

use serde_json::json;

use super::lie::{DEVICES, Forgery, Lie, QUERY, Tell, members};
use crate::message::Message;

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
    Lie {
        name: "device-that-is-not-logged-in",
        does: "leaves a trusted device out of those that are logged in, and shows its keys",
        attacks: &["SHR-11", "SHR-14"],
        tell: Tell::Forgeries(|victim| {
            let left_out = victim.trusted.id.clone();
            vec![Forgery::of_json(DEVICES, move |body| {
                if let Some(devices) = body["devices"].as_array_mut() {
                    devices.retain(|device| device["device_id"] != left_out.as_str());
                }
            })]
        }),
    },
    Lie {
        name: "log-ins-that-nobody-knows",
        does: "does not know who is logged in",
        attacks: &["SHR-11"],
        tell: Tell::Answers(DEVICES, |_| Message::error(404, "M_UNRECOGNIZED", "no")),
    },
    Lie {
        name: "log-ins-that-fail",
        does: "fails when it is asked who is logged in",
        attacks: &["SHR-11"],
        tell: Tell::Answers(DEVICES, |_| Message::error(500, "M_UNKNOWN", "no")),
    },
    Lie {
        name: "no-log-ins",
        does: "says that nobody is logged in",
        attacks: &["SHR-11"],
        tell: Tell::Answers(DEVICES, |_| Message::json(&json!({"devices": []}))),
    },
    Lie {
        name: "log-ins-that-are-a-number",
        does: "says that a number is logged in",
        attacks: &["SHR-11"],
        tell: Tell::Answers(DEVICES, |_| Message::json(&json!({"devices": 7}))),
    },
    Lie {
        name: "query-that-is-refused",
        does: "refuses to say which devices there are",
        attacks: &["SHR-11", "RQ-04"],
        tell: Tell::Answers(QUERY, |_| Message::error(403, "M_FORBIDDEN", "no")),
    },
];

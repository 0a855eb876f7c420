//! Lies about the one-time keys of a device.

use serde_json::{Value, json};

use super::{CLAIM, Lie, Tell, members};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "unsigned-one-time-key",
        does: "hands out one-time keys without their signatures",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| change_keys(body, |key| key["signatures"] = json!({})))
        }),
    },
    Lie {
        name: "fallback-that-is-none",
        does: "says of a one-time key that it is the last one and may be used again",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| change_keys(body, |key| key["fallback"] = json!(true)))
        }),
    },
];

/// Changes each one-time key in an answer.
fn change_keys(body: &mut Value, change: impl Fn(&mut Value)) {
    for user in members(&mut body["one_time_keys"]) {
        for device in members(user) {
            members(device).for_each(&change);
        }
    }
}

//! Lies about the one-time keys of a device.

use serde_json::{Value, json};

use super::lie::{CLAIM, Forgery, Lie, Tell, members};
use crate::attacker::{Attacker, ROGUE};
use crate::message::Message;
use crate::signer::Signer;
use crate::victim::needed;

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
    Lie {
        name: "one-time-key-that-was-exchanged",
        does: "hands out a key of its own with the signature that the device made of another one",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| {
                change_keys(body, |key| key["key"] = json!(Attacker::new().curve25519()));
            })
        }),
    },
    Lie {
        name: "one-time-key-of-an-attacker",
        does: "hands out a key of its own that a device of its own signed",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            let signer = Attacker::new().device_signer(ROGUE);
            let key = signer.sign(&json!({"key": Attacker::new().curve25519()}), &user);
            vec![Forgery::of_json(CLAIM, move |body| {
                change_keys(body, |changed| *changed = key.clone());
            })]
        }),
    },
    Lie {
        name: "one-time-key-that-another-device-signed",
        does: "hands out the key with the signature of another device of the user, which is trusted",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            signed(needed(&victim.signers.other), user)
        }),
    },
    Lie {
        name: "one-time-key-that-another-user-signed",
        does: "hands out the key with the signature of a device of another user",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Forgeries(|victim| {
            let other = victim.another_user();
            signed(Attacker::new().device_signer(ROGUE), other)
        }),
    },
    Lie {
        name: "one-time-key-of-low-order",
        does: "hands out a key that every agreement comes out the same with, which the device signed",
        attacks: &["SHR-20", "MS-12"],
        tell: Tell::Forgeries(|victim| {
            let (user, signer) = (victim.user_id.clone(), needed(&victim.signers.trusted));
            let low = signer.sign(&json!({"key": "A".repeat(43)}), &user);
            vec![Forgery::of_json(CLAIM, move |body| {
                change_keys(body, |key| *key = low.clone());
            })]
        }),
    },
    Lie {
        name: "one-time-key-of-another-device",
        does: "hands out the key of one device for another one",
        attacks: &["SHR-13", "MS-13"],
        tell: Tell::Forgeries(|victim| {
            let (user, other) = (victim.user_id.clone(), victim.other.id.clone());
            vec![Forgery::of_json(CLAIM, move |body| {
                let of_user = &mut body["one_time_keys"][&user];
                let key = members(of_user).next().cloned();
                *of_user = json!({&other: key});
            })]
        }),
    },
    Lie {
        name: "fallback-without-a-signature",
        does: "hands out a key of its own as the last one, without a signature",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Answers(CLAIM, |answer| {
            let fallback = json!({"key": Attacker::new().curve25519(), "fallback": true});
            answer.with_json(|body| change_keys(body, |key| *key = fallback.clone()))
        }),
    },
    Lie {
        name: "one-time-key-that-was-used",
        does: "hands out once more the key that it handed out first",
        attacks: &["SHR-13", "MS-12"],
        tell: Tell::Forgeries(|_| {
            let mut first: Option<Message> = None;
            let again = move |answer| first.get_or_insert(answer).clone();
            vec![Forgery::new(CLAIM, again)]
        }),
    },
    Lie {
        name: "no-one-time-keys",
        does: "hands out no one-time keys",
        attacks: &["RQ-05"],
        tell: Tell::Answers(CLAIM, |answer| {
            answer.with_json(|body| body["one_time_keys"] = json!({}))
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

/// Hands out the same keys, each signed by this key alone.
fn signed(signer: Signer, entity: String) -> Vec<Forgery> {
    vec![Forgery::of_json(CLAIM, move |body| {
        change_keys(body, |key| {
            *key = signer.sign(&json!({"key": key["key"]}), &entity);
        });
    })]
}

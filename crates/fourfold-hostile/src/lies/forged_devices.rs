//! Lies about single devices: forged ones, and true ones that are shown in another way.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::lie::{CLAIM, DEVICES, Forgery, Lie, QUERY, Tell, key_of};
use crate::attacker::{Attacker, ROGUE};
use crate::signer::Signer;
use crate::victim::{Victim, needed};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "device-of-its-own",
        does: "lists a device of its own that nobody but itself signed",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| lists(victim, ROGUE, |_, keys| keys)),
    },
    Lie {
        name: "device-signed-by-nobodys-key",
        does: "lists a device of its own that a key of its own signed",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            lists(victim, ROGUE, move |_, keys| {
                Attacker::new().self_signing().sign(&keys, &user)
            })
        }),
    },
    Lie {
        name: "device-signed-as-another-user",
        does: "lists a device of its own that a key of its own signed in the name of another user",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| {
            let other = victim.another_user();
            lists(victim, ROGUE, move |_, keys| {
                Attacker::new().self_signing().sign(&keys, &other)
            })
        }),
    },
    Lie {
        name: "device-under-the-name-of-the-true-key",
        does: "lists a device of its own that a key of its own signed under the name of the user's",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            lists(victim, ROGUE, move |body, keys| {
                let named = format!("ed25519:{}", key_of(body, "self_signing_keys", &user));
                let signer = Attacker::new().self_signing().named(&named);
                signer.sign(&keys, &user)
            })
        }),
    },
    Lie {
        name: "device-with-usage",
        does: "lists a device of its own that is a self-signing key too, which the user's key signed",
        attacks: &["SHR-15", "SHR-09"],
        tell: Tell::Forgeries(|victim| {
            let (user, signer) = (victim.user_id.clone(), needed(&victim.signers.self_signing));
            lists(victim, ROGUE, move |_, mut keys| {
                keys["usage"] = json!(["self_signing"]);
                signer.sign(&signed_by_itself(keys, &user), &user)
            })
        }),
    },
    Lie {
        name: "device-with-the-key-of-another-one",
        does: "lists a device of its own that has the Curve25519 key of a trusted one",
        attacks: &["SHR-02"],
        tell: Tell::Forgeries(|victim| {
            let (user, trusted) = (victim.user_id.clone(), victim.trusted.clone());
            lists(victim, ROGUE, move |_, mut keys| {
                keys["keys"][format!("curve25519:{ROGUE}")] = json!(trusted.curve25519);
                signed_by_itself(keys, &user)
            })
        }),
    },
    Lie {
        name: "device-named-like-the-master-key",
        does: "lists a device whose ID is the user's master key, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "master_keys", "")),
    },
    Lie {
        name: "device-named-like-the-master-key-padded",
        does: "lists a device whose ID is the user's master key, padded, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "master_keys", "=")),
    },
    Lie {
        name: "device-named-like-the-self-signing-key",
        does: "lists a device whose ID is the user's self-signing key, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "self_signing_keys", "")),
    },
    Lie {
        name: "device-named-like-the-self-signing-key-padded",
        does: "lists a device whose ID is the user's self-signing key, padded, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "self_signing_keys", "=")),
    },
    Lie {
        name: "device-named-like-the-user-signing-key",
        does: "lists a device whose ID is the user's user-signing key, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "user_signing_keys", "")),
    },
    Lie {
        name: "device-named-like-the-user-signing-key-padded",
        does: "lists a device whose ID is the user's user-signing key, padded, which the user's key signed",
        attacks: &["SHR-07", "MS-10"],
        tell: Tell::Forgeries(|victim| named_like(victim, "user_signing_keys", "=")),
    },
    Lie {
        name: "device-that-is-gone",
        does: "leaves out a device that the other ones trust",
        attacks: &["SHR-14", "MS-07"],
        tell: Tell::Forgeries(|victim| {
            let (user, gone) = (victim.user_id.clone(), victim.trusted.id.clone());
            vec![Forgery::of_json(QUERY, move |body| {
                if let Some(devices) = body["device_keys"][&user].as_object_mut() {
                    devices.remove(&gone);
                }
            })]
        }),
    },
    Lie {
        name: "device-with-other-keys",
        does: "shows keys of its own for a device that is trusted, which the user's key signed",
        attacks: &["SHR-14", "MS-08"],
        tell: Tell::Forgeries(|victim| {
            let (user, signer) = (victim.user_id.clone(), needed(&victim.signers.self_signing));
            lists(victim, &victim.trusted.id, move |_, keys| {
                signer.sign(&keys, &user)
            })
        }),
    },
    Lie {
        name: "own-device-with-false-keys",
        does: "shows keys of its own for the device that asks",
        attacks: &["SHR-15", "MS-09"],
        tell: Tell::Forgeries(|victim| lists(victim, &victim.device_id, |_, keys| keys)),
    },
    Lie {
        name: "device-that-is-not-verified-any-more",
        does: "shows a device that was verified with no signature but its own",
        attacks: &["SHR-09", "SHR-12", "OE-17", "RQ-05"],
        tell: Tell::Forgeries(|victim| {
            let (user, id) = (victim.user_id.clone(), victim.trusted.id.clone());
            vec![Forgery::of_json(QUERY, move |body| {
                let devices = body["device_keys"].get_mut(&user);
                if let Some(device) = devices.and_then(|devices| devices.get_mut(&id)) {
                    only_its_own(device, &user, &id);
                }
            })]
        }),
    },
    Lie {
        name: "ten-thousand-devices",
        does: "lists ten thousand devices",
        attacks: &["LIB-22", "MS-11"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            let keys = Attacker::new().device_keys(&user, ROGUE);
            vec![Forgery::of_json(QUERY, move |body| {
                for number in 0..10_000 {
                    body["device_keys"][&user][format!("DEVICE{number}")] = keys.clone();
                }
            })]
        }),
    },
];

/// Lists a device of the attacker's under this ID, logged in and ready for a session, so that
/// anyone who trusts it sends to it. The answer to the query and the keys, which the device signed,
/// are at hand.
pub(super) fn lists(
    victim: &Victim,
    id: &str,
    change: impl Fn(&mut Value, Value) -> Value + Send + 'static,
) -> Vec<Forgery> {
    let user = victim.user_id.clone();
    let keys = Attacker::new().device_keys(&user, id);
    let (owner, id) = (user.clone(), id.to_owned());
    let mut forgeries = ready_for_a_session(&user, &Arc::new(Mutex::new(id.clone())));
    forgeries.push(Forgery::of_json(QUERY, move |body| {
        let keys = change(body, keys.clone());
        body["device_keys"][&owner][&id] = keys;
    }));
    forgeries
}

/// Lists a device whose ID is a cross-signing key of the user.
fn named_like(victim: &Victim, member: &'static str, padding: &'static str) -> Vec<Forgery> {
    let user = victim.user_id.clone();
    let signer = needed(&victim.signers.self_signing);
    let named = Arc::new(Mutex::new(String::new()));
    let mut forgeries = ready_for_a_session(&user, &named);
    forgeries.push(Forgery::of_json(QUERY, move |body| {
        let id = key_of(body, member, &user) + padding;
        let keys = Attacker::new().device_keys(&user, &id);
        body["device_keys"][&user][&id] = signer.sign(&keys, &user);
        if let Ok(mut named) = named.lock() {
            *named = id;
        }
    }));
    forgeries
}

/// A device of the attacker's is logged in, and has one-time keys: as soon as it has an ID.
fn ready_for_a_session(user: &str, id: &Arc<Mutex<String>>) -> Vec<Forgery> {
    let (user, listed, claimed) = (user.to_owned(), Arc::clone(id), Arc::clone(id));
    vec![
        Forgery::of_json(DEVICES, move |body| {
            let (devices, id) = (body["devices"].as_array_mut(), read(&listed));
            if let (Some(devices), Some(id)) = (devices, id)
                && devices.iter().all(|one| one["device_id"] != id.as_str())
            {
                devices.push(json!({"device_id": id}));
            }
        }),
        Forgery::of_json(CLAIM, move |body| {
            if let Some(id) = read(&claimed) {
                let key = Attacker::new().one_time_key(&user, &id);
                body["one_time_keys"][&user][&id] = key;
            }
        }),
    ]
}

fn read(id: &Mutex<String>) -> Option<String> {
    let id = id.lock().ok()?;
    (!id.is_empty()).then(|| id.clone())
}

/// Keys of the attacker's device with the signature that they need after a change.
fn signed_by_itself(mut keys: Value, user: &str) -> Value {
    keys["signatures"] = json!({});
    let id = keys["device_id"].as_str().unwrap_or_default().to_owned();
    Attacker::new().device_signer(&id).sign(&keys, user)
}

/// Takes every signature off a device but its own.
pub(super) fn only_its_own(device: &mut Value, user: &str, id: &str) {
    let own = format!("ed25519:{id}");
    let signatures = device
        .pointer_mut("/signatures")
        .and_then(|all| all.get_mut(user));
    if let Some(signatures) = signatures.and_then(Value::as_object_mut) {
        signatures.retain(|key_id, _| *key_id == own);
    }
}

/// A device that this key signed, and no other one but itself.
pub(super) fn signed_again(body: &mut Value, user: &str, id: &str, signer: &Signer) {
    let devices = body
        .get_mut("device_keys")
        .and_then(|all| all.get_mut(user));
    if let Some(device) = devices.and_then(|devices| devices.get_mut(id)) {
        only_its_own(device, user, id);
        *device = signer.sign(device, user);
    }
}

//! Lies about the identity of a user: the three cross-signing keys.

use serde_json::{Value, json};

use super::forged_devices::{lists, signed_again};
use super::lie::{Forgery, Lie, QUERY, Tell, key_of};
use crate::attacker::{Attacker, ROGUE};
use crate::signer::Signer;
use crate::victim::{Victim, needed};

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "another-identity",
        does: "shows an identity of its own, which signed a trusted device",
        attacks: &["SHR-10", "MS-04"],
        tell: Tell::Forgeries(|victim| {
            shows(victim, |body, user| {
                Attacker::new().shows_identity(body, user)
            })
        }),
    },
    Lie {
        name: "self-signing-key-of-another-master-key",
        does: "shows a self-signing key that another master key signed, and which signed a trusted device",
        attacks: &["SHR-09", "MS-05"],
        tell: Tell::Forgeries(|victim| {
            shows(victim, |body, user| {
                let attacker = Attacker::new();
                let key = attacker.bare_self_signing_key(user);
                body["self_signing_keys"][user] = attacker.master().sign(&key, user);
            })
        }),
    },
    Lie {
        name: "self-signing-key-that-claims-the-masters-signature",
        does: "shows a self-signing key of its own with a signature under the name of the user's master key",
        attacks: &["SHR-09", "MS-05"],
        tell: Tell::Forgeries(|victim| {
            shows(victim, |body, user| {
                let attacker = Attacker::new();
                let named = format!("ed25519:{}", key_of(body, "master_keys", user));
                let key = attacker.bare_self_signing_key(user);
                body["self_signing_keys"][user] = attacker.master().named(&named).sign(&key, user);
            })
        }),
    },
    Lie {
        name: "device-of-another-users-identity",
        does: "shows the identity of another user, which signed a device in that user's name",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| of_another_user(victim, victim.another_user())),
    },
    Lie {
        name: "device-that-another-users-identity-signed-as-the-user",
        does: "shows the identity of another user, which signed a device in the name of this one",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| of_another_user(victim, victim.user_id.clone())),
    },
    Lie {
        name: "self-signing-key-of-another-user",
        does: "shows the self-signing key of another user as that of this one",
        attacks: &["SHR-09", "MS-06"],
        tell: Tell::Forgeries(|victim| {
            let (user, other) = (victim.user_id.clone(), victim.another_user());
            lists_under(victim, move |body| {
                let key = Attacker::new().bare_self_signing_key(&other);
                body["self_signing_keys"][&user] = Attacker::new().master().sign(&key, &other);
            })
        }),
    },
    Lie {
        name: "backup-as-self-signing-key",
        does: "shows the data of a backup, which the user's master key signed, as a self-signing key",
        attacks: &["SHR-15", "SHR-09"],
        tell: Tell::Forgeries(|victim| {
            foreign(victim, "public_key", json!(Attacker::new().curve25519()))
        }),
    },
    Lie {
        name: "description-as-self-signing-key",
        does: "shows the description of a key, which the user's master key signed, as a self-signing key",
        attacks: &["SHR-15", "SHR-09"],
        tell: Tell::Forgeries(|victim| {
            foreign(
                victim,
                "algorithm",
                json!("m.secret_storage.v1.curve25519-aes-sha2"),
            )
        }),
    },
    Lie {
        name: "no-identity",
        does: "hides the identity of the user",
        attacks: &["SHR-10", "STO-06"],
        tell: Tell::Answers(QUERY, |answer| {
            answer.with_json(|body| {
                for member in ["master_keys", "self_signing_keys", "user_signing_keys"] {
                    if let Some(body) = body.as_object_mut() {
                        body.remove(member);
                    }
                }
            })
        }),
    },
];

/// Shows other keys of the user, and a trusted device that the attacker's self-signing key signed.
fn shows(victim: &Victim, change: impl Fn(&mut Value, &str) + Send + 'static) -> Vec<Forgery> {
    let (user, id) = (victim.user_id.clone(), victim.trusted.id.clone());
    vec![Forgery::of_json(QUERY, move |body| {
        change(body, &user);
        signed_again(body, &user, &id, &Attacker::new().self_signing());
    })]
}

/// Lists a device that the attacker's self-signing key signed in the name of the user, and changes
/// the rest of the answer.
fn lists_under(victim: &Victim, change: impl Fn(&mut Value) + Send + 'static) -> Vec<Forgery> {
    let user = victim.user_id.clone();
    lists(victim, ROGUE, move |body, keys| {
        change(body);
        Attacker::new().self_signing().sign(&keys, &user)
    })
}

/// Lists a device that the identity of another user signed as this one, and everything that proves
/// whose identity it is.
fn of_another_user(victim: &Victim, signed_as: String) -> Vec<Forgery> {
    let other = victim.another_user();
    lists(victim, ROGUE, move |body, keys| {
        Attacker::new().shows_identity(body, &other);
        Attacker::new().self_signing().sign(&keys, &signed_as)
    })
}

/// Shows a self-signing key that is something else, too: for its sake the user's master key signed
/// it. A device is listed that it signed.
fn foreign(victim: &Victim, member: &'static str, value: Value) -> Vec<Forgery> {
    let (user, master): (_, Signer) = (victim.user_id.clone(), needed(&victim.signers.master));
    lists_under(victim, move |body| {
        let mut key = Attacker::new().bare_self_signing_key(&user);
        key[member] = value.clone();
        body["self_signing_keys"][&user] = master.sign(&key, &user);
    })
}

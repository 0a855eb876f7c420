//! Lies about the key backup.

use serde_json::{Map, Value, json};

use super::forged_devices::lists;
use super::lie::{Forgery, Lie, Tell};
use crate::attacker::{Attacker, ROGUE};
use crate::message::Message;
use crate::victim::Victim;

pub(super) const LIES: &[Lie] = &[
    Lie {
        name: "backup-that-is-a-self-signing-key",
        does: "adds to the data of the backup what makes it a self-signing key of its own, once it is signed",
        attacks: &["SHR-15"],
        tell: Tell::Forgeries(|victim| {
            let user = victim.user_id.clone();
            changed(move |auth_data| {
                auth_data.remove("signatures");
                auth_data.insert("user_id".to_owned(), json!(user));
                auth_data.insert("usage".to_owned(), json!(["self_signing"]));
                auth_data.insert("keys".to_owned(), Attacker::new().self_signing_keys());
            })
        }),
    },
    Lie {
        name: "backup-with-an-unknown-member",
        does: "adds to the data of the backup what nobody knows today",
        attacks: &["SHR-15"],
        tell: Tell::Forgeries(|_| {
            changed(|auth_data| {
                auth_data.remove("signatures");
                auth_data.insert("org.example.unknown".to_owned(), json!("of the liar"));
            })
        }),
    },
    Lie {
        name: "backup-without-signatures",
        does: "takes the signatures off the data of the backup",
        attacks: &["SHR-08"],
        tell: Tell::Forgeries(|_| {
            changed(|auth_data| {
                auth_data.insert("signatures".to_owned(), json!({}));
            })
        }),
    },
    Lie {
        name: "backup-of-its-own",
        does: "shows a backup with a key of its own, which a device of its own signed",
        attacks: &["SHR-08", "STO-08", "SHR-15"],
        tell: Tell::Forgeries(of_its_own),
    },
    Lie {
        name: "backup-of-an-unknown-algorithm",
        does: "shows a backup of an algorithm that nobody knows",
        attacks: &["SHR-08", "STO-08"],
        tell: Tell::Answers(VERSION, |answer| {
            answer.with_json(|body| body["algorithm"] = json!("org.example.unknown"))
        }),
    },
    Lie {
        name: "no-backup",
        does: "hides the backup",
        attacks: &["STO-06"],
        tell: Tell::Answers(VERSION, |_| {
            Message::error(404, "M_NOT_FOUND", "there is none")
        }),
    },
];

/// Shows the data of the backup in another way.
fn changed(change: impl Fn(&mut Map<String, Value>) + Send + 'static) -> Vec<Forgery> {
    vec![Forgery::of_json(VERSION, move |body| {
        if let Some(auth_data) = body["auth_data"].as_object_mut() {
            change(auth_data);
        }
    })]
}

fn of_its_own(victim: &Victim) -> Vec<Forgery> {
    let user = victim.user_id.clone();
    let attacker = Attacker::new();
    let bare = json!({"public_key": attacker.curve25519()});
    let auth_data = attacker.device_signer(ROGUE).sign(&bare, &user);
    let auth_data = attacker.self_signing().sign(&auth_data, &user);
    let mut forgeries = lists(victim, ROGUE, |_, keys| keys);
    forgeries.push(Forgery::of_json(VERSION, move |body| {
        body["auth_data"] = auth_data.clone();
    }));
    forgeries
}

const VERSION: &str = "GET /_matrix/client/v3/room_keys/version ";

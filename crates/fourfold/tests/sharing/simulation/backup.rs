//! The key backups that the server shows: the user's, and those that it made or altered.

use fourfold::{BackupVersion, Content, PublishedKeys, Secret, SecretName, Verdict, base64};
use serde_json::{Value, json};

use crate::own_devices::forge;

/// The seed of the user's backup key, and that of a key that the server made.
pub(super) const OURS: u8 = 7;
pub(super) const HOSTILE: u8 = 66;

/// A backup as the server shows it, and the truth about it, which no machine sees.
#[derive(Clone)]
pub(super) struct Shown {
    /// What a machine makes of it; `None` when it is none that it can use.
    pub(super) backup: Option<BackupVersion>,
    /// The seed of its key; `None` when no key may be taken for its.
    pub(super) seed: Option<u8>,
    /// Whether the user's master key signed it.
    pub(super) is_signed: bool,
}

/// All that the server can show of an account with this seed, the honest one first.
pub(super) fn all(seed: u8) -> Vec<Shown> {
    let signed = |backup: u8| signed_by(seed, auth_data(backup));
    let with = |member: &str, value: Value| {
        let mut auth_data = signed(OURS);
        auth_data.insert(member, &value);
        auth_data
    };
    let mut stolen = auth_data(HOSTILE);
    let signatures: Value = signed(OURS).get("signatures").unwrap().unwrap();
    stolen.insert("signatures", &signatures);
    let usable = |auth_data: Content, seed: u8, is_signed: bool| Shown {
        backup: Some(read(ALGORITHM, &auth_data).unwrap()),
        seed: Some(seed),
        is_signed,
    };
    let unusable = |algorithm: &str, auth_data: Content| Shown {
        backup: read(algorithm, &auth_data),
        seed: None,
        is_signed: false,
    };
    vec![
        usable(signed(OURS), OURS, true),
        // Without its signature, or with one of another key: the user's self-signing key, a stranger.
        usable(auth_data(OURS), OURS, false),
        usable(signed_by(seed + 1, auth_data(OURS)), OURS, false),
        usable(signed_by(HOSTILE, auth_data(OURS)), OURS, false),
        // With a member that was not signed.
        usable(with("org.example", json!(1)), OURS, false),
        // With another key: unsigned, signed by the server, under the signature of the user's.
        usable(auth_data(HOSTILE), HOSTILE, false),
        usable(signed_by(HOSTILE, auth_data(HOSTILE)), HOSTILE, false),
        usable(stolen, HOSTILE, false),
        // What could be another thing that carries signatures.
        unusable(ALGORITHM, with("usage", json!(["self_signing"]))),
        unusable(ALGORITHM, with("keys", json!({"ed25519:x": "x"}))),
        unusable("org.example.other", signed(OURS)),
        unusable("m.megolm_backup.v2", signed(HOSTILE)),
    ]
}

const ALGORITHM: &str = "m.megolm_backup.v1.curve25519-aes-sha2";

fn read(algorithm: &str, auth_data: &Content) -> Option<BackupVersion> {
    let mut body = Content::default();
    body.insert("algorithm", algorithm);
    body.insert("version", "1");
    body.insert("auth_data", auth_data);
    BackupVersion::from_json(&body.to_json()).ok()
}

fn auth_data(seed: u8) -> Content {
    let secret = Secret::new(base64::encode([seed; 32]));
    let derived = match PublishedKeys::default().judge(&SecretName::backup_key(), &secret) {
        Ok(Verdict::NothingToCompare { derived }) => derived,
        other => panic!("{other:?}"),
    };
    let mut auth_data = Content::default();
    auth_data.insert("public_key", &derived);
    auth_data
}

fn signed_by(seed: u8, mut auth_data: Content) -> Content {
    forge(seed, &mut auth_data);
    auth_data
}

//! Real accounts, written by other clients: everything in them opens with every key of theirs.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test helpers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use fourfold::passphrase::{Bounds, Passphrase};
use fourfold::plan::{self, Destination};
use fourfold::{
    AccountData, Algorithm, Authenticity, Content, EventState, KeyCheckOutcome, KeyId, NewKey,
    OpenError, PublishedKeys, Quirk, SecretKind, SecretName, SecretStorage, SecretStorageKey,
    Snapshot, Verdict,
};
use serde::Deserialize;

#[test]
fn every_secret_opens_with_every_key_of_its_account() {
    for account in accounts() {
        let expected = &account.given.expected_plaintext;
        let storage = SecretStorage::new(&account.snapshot.account_data);
        let mut opened: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let keys = account.keys();
        let tried: BTreeSet<_> = keys.iter().map(SecretStorageKey::id).collect();
        assert_eq!(
            tried.len(),
            storage.keys().count(),
            "{account}: a key is not tried"
        );
        for key in keys.iter() {
            assert_eq!(storage.check(key), KeyCheckOutcome::Verified, "{account}");
            for (name, secret) in storage.secrets() {
                if secret.entry(key.id()).is_none() {
                    assert!(matches!(
                        storage.open(&name, key),
                        Err(OpenError::NotEncryptedUnderKey { .. })
                    ));
                    continue;
                }
                let found = storage.open(&name, key).unwrap();
                assert_eq!(found.authenticity, Authenticity::Authenticated);
                opened.entry(name.to_string()).or_default().insert(
                    key.id().to_string(),
                    found.secret.expose_secret().to_owned(),
                );
            }
        }
        assert_eq!(&opened, expected, "{account}");
    }
}

#[test]
fn standard_secrets_belong_to_the_published_keys() {
    let mut compared = 0;
    for account in accounts() {
        let storage = SecretStorage::new(&account.snapshot.account_data);
        let published_keys = account.snapshot.published_keys();
        for key in account.keys() {
            for (name, _) in storage.secrets() {
                let Ok(opened) = storage.open(&name, &key) else {
                    continue;
                };
                let verdict = published_keys.judge(&name, &opened.secret).unwrap();
                let published = match SecretKind::of(&name) {
                    SecretKind::Other => None,
                    SecretKind::BackupKey => Some(published_keys.backup.is_some()),
                    _ => Some(published_keys.identity.is_some()),
                };
                match published {
                    None => assert_eq!(verdict, Verdict::Untyped),
                    Some(false) => assert!(matches!(verdict, Verdict::NothingToCompare { .. })),
                    Some(true) => {
                        assert!(
                            matches!(verdict, Verdict::Matches { .. }),
                            "{account}: {name}"
                        );
                        compared += 1;
                    }
                }
                // The same value under the name of another key is told apart.
                let other = SecretName::master_key();
                if name != other && published == Some(true) && published_keys.identity.is_some() {
                    assert!(published_keys.judge(&other, &opened.secret).is_err());
                }
            }
        }
    }
    assert!(compared >= 18, "{compared}");
}

#[test]
fn how_the_data_of_a_client_deviates_is_told() {
    let padded = BTreeSet::from([Quirk::PaddedBase64]);
    for account in accounts() {
        let (of_key, of_secrets) = match &*account.file {
            "js-sdk-recovery-key.json" => (padded.clone(), padded.clone()),
            "mautrix-recovery-key.json" => (BTreeSet::from([Quirk::IvBit63Set]), BTreeSet::new()),
            _ => Default::default(),
        };
        let storage = SecretStorage::new(&account.snapshot.account_data);
        for key in account.keys() {
            let description = storage.key(key.id()).unwrap();
            assert_eq!(description.quirks(), of_key, "{account}");
            for (name, secret) in storage.secrets() {
                if secret.entry(key.id()).is_some() {
                    let opened = storage.open(&name, &key).unwrap();
                    assert_eq!(opened.quirks, of_secrets, "{account}: {name}");
                }
            }
        }
    }
}

#[test]
fn wrong_keys_open_nothing() {
    for account in accounts() {
        let storage = SecretStorage::new(&account.snapshot.account_data);
        for description in storage.keys() {
            let id = description.id().clone();
            let key = SecretStorageKey::from_bytes(id, Algorithm::AesHmacSha2, [7; 32].into());
            assert_eq!(storage.check(&key), KeyCheckOutcome::Mismatch);
            for (name, secret) in storage.secrets() {
                if secret.entry(key.id()).is_some() {
                    let error = storage.open(&name, &key).unwrap_err();
                    assert_eq!(error, OpenError::WrongKey, "{account}: {name}");
                }
            }
            let not_proven = storage.prove(key).unwrap_err();
            assert_eq!(not_proven.to_string(), "this is not the right key");
        }
    }
}

#[test]
fn snapshots_round_trip_byte_for_byte() {
    for account in accounts() {
        let written = account.snapshot.to_json();
        let read = Snapshot::from_json(&written).unwrap();
        assert_eq!(read.to_json(), written);
        assert_eq!(read.user_id, account.snapshot.user_id);
        for event_type in account.snapshot.account_data.event_types() {
            let (before, after) = (&account.snapshot.account_data, &read.account_data);
            assert_eq!(
                before.raw(event_type),
                after.raw(event_type),
                "{event_type}"
            );
        }
        let (before, after) = (account.snapshot.published_keys(), read.published_keys());
        let version = |of: &PublishedKeys| {
            of.backup
                .as_ref()
                .map(|one| (one.version().to_owned(), one.public_key()))
        };
        assert_eq!(version(&before), version(&after));
        let master = |published_keys: &PublishedKeys| {
            let identity = published_keys.identity.as_ref();
            identity.map(|identity| identity.master_key())
        };
        assert_eq!(master(&before), master(&after));
    }
}

// shows: LIB-16, STO-01
#[test]
fn unknown_members_survive_a_rotation() {
    for account in accounts() {
        let mut data = account.snapshot.account_data.clone();
        let marked = mark(&mut data);
        let before = data.clone();
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let new = NewKey::random(None, &mut rng);
        let keys = account.keys();
        let old = keys.first().unwrap();
        plan::rotate(
            &SecretStorage::new(&data),
            old,
            Destination::New(&new),
            &account.snapshot.published_keys(),
            &mut rng,
        )
        .unwrap()
        .apply_to(&mut data);
        for event_type in &marked {
            let EventState::Content(content) = data.state(event_type) else {
                panic!("{account}: {event_type}");
            };
            assert_eq!(content.raw("org.example.mark"), Some(MARK), "{event_type}");
        }
        for event_type in before.event_types().filter(|one| !is_rewritten(one)) {
            if !marked.iter().any(|marked| marked == event_type) {
                assert_eq!(before.raw(event_type), data.raw(event_type), "{event_type}");
            }
        }
        let storage = SecretStorage::new(&data);
        let names = SecretStorage::new(&before).secrets();
        for (name, _) in names.filter(|(_, secret)| secret.entry(old.id()).is_some()) {
            assert!(
                storage.open(&name, new.key().key()).is_ok(),
                "{account}: {name}"
            );
        }
    }
}

const MARK: &str = r#"{"big":12345678901234567890123,"float":[1.50,1e400]}"#;

/// Adds a member that no client knows to every secret.
fn mark(data: &mut AccountData) -> Vec<String> {
    let names: Vec<_> = SecretStorage::new(data)
        .secrets()
        .map(|(name, _)| name.to_string())
        .collect();
    for name in &names {
        let json = data
            .raw(name)
            .unwrap()
            .trim_end()
            .strip_suffix('}')
            .unwrap();
        let json = format!("{json},\"org.example.mark\":{MARK}}}");
        data.insert_json(name, json).unwrap();
    }
    names
}

fn is_rewritten(event_type: &str) -> bool {
    event_type == "m.secret_storage.default_key" || KeyId::from_event_type(event_type).is_some()
}

fn accounts() -> Vec<Account> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let mut accounts = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let json = fs::read_to_string(&path).unwrap();
        let given: Given =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        accounts.push(Account {
            file: path.file_name().unwrap().display().to_string(),
            given,
            snapshot: Snapshot::from_json(&json).unwrap(),
        });
    }
    assert!(accounts.len() >= 3);
    accounts
}

/// A fixture: a snapshot, and what it must open to.
struct Account {
    file: String,
    given: Given,
    snapshot: Snapshot,
}

/// The keys of a fixture, and the values of its secrets under the ID of each key.
#[derive(Deserialize)]
struct Given {
    expected_plaintext: BTreeMap<String, BTreeMap<String, String>>,
    recovery_key: Option<String>,
    previous_recovery_key: Option<String>,
    passphrase: Option<String>,
    default_key_hex: Option<String>,
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)
    }
}

impl Account {
    /// Every key that the fixture gives, each in every way that it is given.
    fn keys(&self) -> Vec<SecretStorageKey> {
        let storage = SecretStorage::new(&self.snapshot.account_data);
        let default = storage.default_key().key_id().unwrap().clone();
        let default = storage.key(&default).unwrap();
        let mut keys = Vec::new();
        if let Some(text) = &self.given.recovery_key {
            keys.push(SecretStorageKey::from_recovery_key(&default, text).unwrap());
        }
        if let Some(text) = &self.given.passphrase {
            let passphrase = Passphrase::new(text.as_str());
            let key = SecretStorageKey::from_passphrase(
                &default,
                &passphrase,
                &mut Bounds::DEFAULT.budget(),
            );
            keys.push(key.unwrap());
        }
        if let Some(hex) = &self.given.default_key_hex {
            let mut bytes = [0; 32];
            for (index, byte) in bytes.iter_mut().enumerate() {
                let digits = hex.get(2 * index..2 * index + 2).unwrap();
                *byte = u8::from_str_radix(digits, 16).unwrap();
            }
            let (id, algorithm) = (default.id().clone(), default.algorithm().unwrap());
            keys.push(SecretStorageKey::from_bytes(id, algorithm, bytes.into()));
        }
        if let Some(text) = &self.given.previous_recovery_key {
            let others = storage.keys().filter(|key| key.id() != default.id());
            let fitting = others
                .map(|other| SecretStorageKey::from_recovery_key(&other, text).unwrap())
                .find(|key| storage.check(key) == KeyCheckOutcome::Verified);
            keys.push(fitting.unwrap());
        }
        assert!(!keys.is_empty(), "{self} gives no key");
        keys
    }
}

#[test]
fn a_fixture_is_no_content_of_another_shape() {
    // The members beside the snapshot are not taken for account data.
    for account in accounts() {
        let content = Content::from_json(&account.snapshot.to_json()).unwrap();
        for member in content.members() {
            assert!(["account_data", "backup_version", "keys_query", "user_id"].contains(&member));
        }
    }
}

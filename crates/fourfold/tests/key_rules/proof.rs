//! What it takes to be allowed to write.

use fourfold::passphrase::PassphraseParameters;
use fourfold::signed_json::SigningKey;
use fourfold::{
    AccountData, Algorithm, Content, KeyCheckOutcome, KeyInputError, NewKey, NotProvenReason,
    OpenError, SecretName, SecretStorage, SecretStorageKey, base64, recovery_key,
};

use crate::scripted_rng::Scripted;
use crate::{change, copy, described, name, put_entry, put_secret, rng, without_check_data, wrong};

// shows: KEY-02, KD-08, KD-09
#[test]
fn a_key_without_check_data_is_unproven_until_a_secret_opens() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    let mut data = described(&[&new]);
    without_check_data(&mut data, id);

    // In an empty store the right key and a wrong one look the same: neither may write.
    let storage = SecretStorage::new(&data);
    for key in [copy(&new), wrong(id)] {
        assert_eq!(storage.check(&key), KeyCheckOutcome::Unverifiable);
        let not_proven = storage.prove(key).unwrap_err();
        assert_eq!(not_proven.reason, NotProvenReason::NoSecretOpens);
    }

    put_secret(&mut data, &name(), &new, "value");
    let storage = SecretStorage::new(&data);
    assert_eq!(storage.check(&copy(&new)), KeyCheckOutcome::Verified);
    assert!(storage.prove(copy(&new)).is_ok());
    let not_proven = storage.prove(wrong(id)).unwrap_err();
    assert_eq!(not_proven.reason, NotProvenReason::NoSecretOpens);
    assert_eq!(
        storage.open(&name(), &not_proven.key).unwrap_err(),
        OpenError::WrongKey
    );
}

// shows: KEY-03, KD-10
#[test]
fn half_or_damaged_check_data_is_not_missing_check_data() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    let damages: [fn(&mut Content); 6] = [
        |content| {
            content.remove("iv");
        },
        |content| {
            content.remove("mac");
        },
        |content| content.insert("mac", ""),
        |content| content.insert("mac", "AAAA"),
        |content| content.insert("iv", &7),
        |content| content.insert("iv", "AAAA"),
    ];
    for damage in damages {
        let mut data = described(&[&new]);
        change(&mut data, id, damage);
        let storage = SecretStorage::new(&data);
        assert!(storage.key(id).unwrap().check(&copy(&new)).is_err());
        let not_proven = storage.prove(copy(&new)).unwrap_err();
        assert_eq!(not_proven.reason, NotProvenReason::NoSecretOpens);
    }
}

// shows: KEY-02
#[test]
fn a_key_with_another_check_is_the_wrong_key() {
    let (new, other) = (
        NewKey::random(None, &mut rng()),
        NewKey::random(None, &mut Scripted::new(&[1; 32])),
    );
    let id = new.key().id();
    let mut data = described(&[&new]);
    let iv_and_mac = other.description().content().clone();
    change(&mut data, id, |content| {
        for member in ["iv", "mac"] {
            content.insert(member, &iv_and_mac.get::<String>(member).unwrap().unwrap());
        }
    });
    let not_proven = SecretStorage::new(&data).prove(copy(&new)).unwrap_err();
    assert_eq!(not_proven.reason, NotProvenReason::Mismatch);
}

// shows: KEY-02
#[test]
fn a_key_of_another_algorithm_than_its_description_is_never_proven() {
    let today = NewKey::random(None, &mut rng());
    let master = SigningKey::from_seed(&[1; 32].into());
    let old = NewKey::random_2019("m.default", "@a:b", &master, &mut rng()).unwrap();
    for (new, other) in [
        (&today, Algorithm::Curve25519AesSha2),
        (&old, Algorithm::AesHmacSha2),
    ] {
        let data = described(&[new]);
        let storage = SecretStorage::new(&data);
        assert!(storage.prove(copy(new)).is_ok());
        let bytes = recovery_key::decode(&new.key().key().expose_recovery_key()).unwrap();
        let key = SecretStorageKey::from_bytes(new.key().id().clone(), other, bytes);
        let not_proven = storage.prove(key).unwrap_err();
        assert_eq!(not_proven.reason, NotProvenReason::Mismatch);
    }
}

// shows: KEY-01, KEY-02
#[test]
fn what_a_public_key_opens_proves_nothing() {
    let master = SigningKey::from_seed(&[1; 32].into());
    let old = NewKey::random_2019("m.default", "@a:b", &master, &mut rng()).unwrap();
    let id = old.key().id();
    let mut data = described(&[&old]);
    change(&mut data, id, |content| {
        content.remove("pubkey");
    });
    let entry = Content::from_json(r#"{"passthrough":true}"#).unwrap();
    put_entry(&mut data, &SecretName::backup_key(), id, &entry);
    let storage = SecretStorage::new(&data);
    assert!(storage.open(&SecretName::backup_key(), &copy(&old)).is_ok());
    let not_proven = storage.prove(copy(&old)).unwrap_err();
    assert_eq!(not_proven.reason, NotProvenReason::NoSecretOpens);
}

// shows: KEY-02
#[test]
fn a_key_without_a_description_is_not_proven() {
    let new = NewKey::random(None, &mut rng());
    let mut data = described(&[&new]);
    put_secret(&mut data, &name(), &new, "value");
    for json in [
        None,
        Some("{}"),
        Some("null"),
        Some("[]"),
        Some(r#"{"algorithm":7}"#),
    ] {
        data.remove(&new.key().id().event_type());
        if let Some(json) = json {
            data.insert_json(new.key().id().event_type(), json).unwrap();
        }
        let not_proven = SecretStorage::new(&data).prove(copy(&new)).unwrap_err();
        let NotProvenReason::NoDescription(_) = not_proven.reason else {
            panic!("{json:?}: {not_proven:?}");
        };
    }
}

// shows: KEY-01, KD-14
#[test]
fn unknown_algorithms_are_listed_and_never_used() {
    let mut data = AccountData::default();
    data.insert_json(
        "m.secret_storage.key.new",
        r#"{"algorithm":"org.example.new","x":1}"#,
    )
    .unwrap();
    let storage = SecretStorage::new(&data);
    let description = storage.keys().next().unwrap();
    assert_eq!(description.algorithm(), None);
    assert_eq!(description.algorithm_name(), "org.example.new");
    let text = recovery_key::encode(&[7; 32]);
    assert_eq!(
        SecretStorageKey::from_recovery_key(&description, &text).unwrap_err(),
        KeyInputError::UnsupportedAlgorithm
    );
    let id = description.id().clone();
    assert!(storage.prove(wrong(&id)).is_err());
}

// shows: KEY-01, KEY-09
#[test]
fn new_keys_are_as_the_rules_say() {
    let parameters = PassphraseParameters::random(&mut rng());
    assert!(parameters.iterations() >= 500_000);
    assert!(parameters.salt().len() >= 24);
    let (one, two) = (
        NewKey::random(None, &mut rng()),
        NewKey::random(Some("two"), &mut Scripted::new(&[9; 3])),
    );
    assert_ne!(one.key().id(), two.key().id());
    assert_ne!(
        *one.key().key().expose_recovery_key(),
        *two.key().key().expose_recovery_key()
    );
    for new in [one, two] {
        assert_eq!(new.key().id().as_str().len(), 32);
        assert_eq!(new.key().key().algorithm(), Algorithm::AesHmacSha2);
        let content = new.description().content();
        let iv = base64::decode(&content.get::<String>("iv").unwrap().unwrap()).unwrap();
        assert_eq!((iv.bytes.len(), iv.bytes[8] & 0x80), (16, 0));
        assert!(iv.quirks.is_empty());
        assert!(content.raw("mac").is_some());
        assert!(content.raw("passphrase").is_none());
    }
}

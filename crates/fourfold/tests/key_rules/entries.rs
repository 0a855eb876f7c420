//! Secrets, IDs and names as a server can change them.

use fourfold::algorithm::OpenEntryError;
use fourfold::signed_json::SigningKey;
use fourfold::{
    AccountData, DefaultKey, EncryptedSecret, KeyDescriptionError, KeyId, NewKey, OpenError,
    PublishedKeys, Secret, SecretName, SecretState, SecretStorage, SecretStorageKey,
    SecretValueError, Snapshot, Verdict, base64,
};

use crate::{copy, described, name, put_entry, put_secret, rng, wrong};

/// The MAC does not cover the IV, so a changed one gives another plaintext with a valid MAC.
// shows: LIB-09, SE-02
#[test]
fn every_bit_of_the_iv_of_a_cross_signing_key_is_covered_by_its_public_key() {
    let new = NewKey::random(None, &mut rng());
    let seed = [5; 32];
    let published_keys = evidence_for(&seed);
    let name = SecretName::master_key();
    let mut data = described(&[&new]);
    put_secret(&mut data, &name, &new, &base64::encode(seed));
    let secret = EncryptedSecret::from_json(data.raw(name.as_str()).unwrap()).unwrap();
    let entry = secret.entry(new.key().id()).unwrap().as_ref().unwrap();
    let iv = entry.get::<String>("iv").unwrap().unwrap();
    let iv = base64::decode_array::<16>(&iv).unwrap();
    let mut passed_the_mac = 0;
    for bit in 0..128 {
        let mut changed_iv = *iv;
        changed_iv[bit / 8] ^= 1 << (bit % 8);
        let mut changed = entry.clone();
        changed.insert("iv", &base64::encode(changed_iv));
        match new.key().key().open(&name, &changed) {
            Ok((secret, _)) => {
                passed_the_mac += 1;
                assert!(published_keys.judge(&name, &secret).is_err(), "bit {bit}");
            }
            Err(error) => assert_ne!(error, OpenEntryError::Mac, "bit {bit}"),
        }
    }
    let (secret, _) = new.key().key().open(&name, entry).unwrap();
    let verdict = published_keys.judge(&name, &secret).unwrap();
    assert!(matches!(verdict, Verdict::Matches { .. }));
    // Most give no text at all; the short ones would pass, which is why the public key decides.
    assert!(passed_the_mac < 128);
}

fn evidence_for(seed: &[u8; 32]) -> PublishedKeys {
    let public = SigningKey::from_seed(&(*seed).into()).public_key();
    let query = format!(
        r#"{{"master_keys":{{"@a:b":{{"user_id":"@a:b","usage":["master"],
            "keys":{{"{}":"{public}"}}}}}}}}"#,
        public.key_id()
    );
    Snapshot::new("@a:b", AccountData::default(), Some(query), None)
        .unwrap()
        .published_keys()
}

// shows: LIB-09, SE-19
#[test]
fn a_seed_from_before_an_identity_reset_shows_both_public_keys() {
    let error = evidence_for(&[6; 32])
        .judge(
            &SecretName::master_key(),
            &Secret::new(base64::encode([5; 32])),
        )
        .unwrap_err();
    let SecretValueError::Mismatch { derived, published } = &error else {
        panic!("{error:?}");
    };
    let text = error.to_string();
    assert!(text.contains(derived) && text.contains(published) && derived != published);
    assert!(!text.contains(&base64::encode([5; 32])));
}

// shows: LIB-07, SE-06
#[test]
fn entries_that_are_swapped_do_not_open() {
    let new = NewKey::random(None, &mut rng());
    let names: Vec<_> = (0..6)
        .map(|number| SecretName::new(format!("org.example.{number}")).unwrap())
        .collect();
    let mut refused = 0;
    for from in &names {
        let entry = new
            .key()
            .seal(from, &Secret::new("value"), &mut rng())
            .unwrap();
        for to in &names {
            let opened = new.key().key().open(to, &entry);
            if from == to {
                assert!(opened.is_ok());
            } else {
                assert_eq!(opened.unwrap_err(), OpenEntryError::Mac);
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 30);
}

#[test]
fn an_entry_that_is_damaged_is_told_from_a_wrong_key() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    let mut data = described(&[&new]);
    let entry = new
        .key()
        .seal(&name(), &Secret::new("x"), &mut rng())
        .unwrap();
    let other = SecretName::new("org.example.other").unwrap();
    put_entry(&mut data, &other, id, &entry);
    let error = SecretStorage::new(&data)
        .open(&other, &copy(&new))
        .unwrap_err();
    assert_eq!(error, OpenError::Entry(OpenEntryError::Mac));
    let error = SecretStorage::new(&data)
        .open(&other, &wrong(id))
        .unwrap_err();
    assert_eq!(error, OpenError::WrongKey);
}

// shows: LIB-14
#[test]
fn ids_and_names_are_data_whatever_they_are_called() {
    for id in [
        "__proto__",
        "constructor",
        "toString",
        "a/b+c==",
        "%2e%2e",
        "../../whoami",
    ] {
        let new = NewKey::random(None, &mut rng());
        let id = KeyId::new(id).unwrap();
        let mut data = AccountData::default();
        data.insert(id.event_type(), new.description().content());
        let json = format!(r#"{{"key":"{id}"}}"#);
        data.insert_json(DefaultKey::EVENT_TYPE, json).unwrap();
        let entry = new
            .key()
            .seal(&name(), &Secret::new("value"), &mut rng())
            .unwrap();
        put_entry(&mut data, &name(), &id, &entry);
        let storage = SecretStorage::new(&data);
        assert_eq!(storage.default_key(), DefaultKey::Key(id.clone()));
        let description = storage.key(&id).unwrap();
        let text = new.key().key().expose_recovery_key();
        let key = SecretStorageKey::from_recovery_key(&description, &text).unwrap();
        assert!(storage.open(&name(), &key).is_ok(), "{id}");
        assert!(storage.prove(key).is_ok(), "{id}");
    }
}

// shows: STO-06, KD-16
#[test]
fn a_default_key_that_names_nothing_is_told_apart() {
    let long = format!(r#"{{"key":"{}"}}"#, "x".repeat(10_000));
    for (json, expected) in [
        ("{}", DefaultKey::Deleted),
        ("null", DefaultKey::Malformed),
        ("[]", DefaultKey::Malformed),
        (r#"{"x":1}"#, DefaultKey::Malformed),
        (r#"{"key":""}"#, DefaultKey::Malformed),
        (r#"{"key":7}"#, DefaultKey::Malformed),
        (r#"{"key":"a\u0000"}"#, DefaultKey::Malformed),
        (&long, DefaultKey::Malformed),
        (
            r#"{"key":"gone"}"#,
            DefaultKey::Dangling(KeyId::new("gone").unwrap()),
        ),
    ] {
        let mut data = AccountData::default();
        data.insert_json(DefaultKey::EVENT_TYPE, json).unwrap();
        assert_eq!(
            SecretStorage::new(&data).default_key(),
            expected,
            "{json:.40}"
        );
        assert_eq!(SecretStorage::new(&data).default_key().key_id(), None);
    }
}

// shows: LIB-24
#[test]
fn a_name_that_stands_twice_is_refused_and_hides_nothing_else() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    let entry = new
        .key()
        .seal(&name(), &Secret::new("value"), &mut rng())
        .unwrap();
    let entry = entry.to_json();
    let mut data = described(&[&new]);
    data.insert_json(
        "m.secret_storage.key.twice",
        r#"{"algorithm":"a","algorithm":"b"}"#,
    )
    .unwrap();
    put_secret(
        &mut data,
        &SecretName::new("org.example.good").unwrap(),
        &new,
        "good",
    );
    for json in [
        format!(r#"{{"encrypted":{{"{id}":{entry},"{id}":{entry}}}}}"#),
        format!(r#"{{"encrypted":{{"{id}":{entry}}},"encrypted":{{"{id}":{entry}}}}}"#),
    ] {
        data.insert_json(name().as_str(), json).unwrap();
        let storage = SecretStorage::new(&data);
        assert!(matches!(storage.secret(&name()), SecretState::Malformed(_)));
        assert!(matches!(
            storage.open(&name(), &copy(&new)),
            Err(OpenError::Damaged(_))
        ));
        assert_eq!(storage.secrets().count(), 1);
        assert_eq!(storage.keys().count(), 1);
        assert!(matches!(
            storage.key(&KeyId::new("twice").unwrap()),
            Err(KeyDescriptionError::Content(_))
        ));
    }
}

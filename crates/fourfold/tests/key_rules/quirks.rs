//! How data of other clients deviates, as whoever opens it is told.

use std::collections::BTreeSet;

use fourfold::{
    AccountData, Content, EncryptedSecret, KeyDescription, KeyId, NewKey, Quirk, SecretName,
    SecretStorage, SecretStorageKey, base64,
};

use crate::{described, name, put_entry, put_secret, rng};

fn quirks<const N: usize>(quirks: [Quirk; N]) -> BTreeSet<Quirk> {
    BTreeSet::from(quirks)
}

fn opened(data: &AccountData, name: &SecretName, key: &NewKey) -> BTreeSet<Quirk> {
    let opened = SecretStorage::new(data).open(name, key.key().key());
    opened.unwrap().quirks
}

#[test]
fn what_was_written_here_has_none() {
    let new = NewKey::random(Some("key"), &mut rng());
    let mut data = described(&[&new]);
    assert_eq!(new.description().quirks(), quirks([]));
    for (name, value) in [
        (name(), "119,7"),
        (SecretName::backup_key(), &*base64::encode([7; 32])),
    ] {
        put_secret(&mut data, &name, &new, value);
        assert_eq!(opened(&data, &name, &new), quirks([]));
    }
}

#[test]
fn a_padded_entry_is_told() {
    let new = NewKey::random(None, &mut rng());
    let mut data = described(&[&new]);
    let name = name();
    for member in ["ciphertext", "iv", "mac"] {
        put_secret(&mut data, &name, &new, "four");
        let secret = EncryptedSecret::from_json(data.raw(name.as_str()).unwrap()).unwrap();
        let mut entry = secret.entry(new.key().id()).unwrap().clone().unwrap();
        let text: String = entry.get(member).unwrap().unwrap();
        let padding = "=".repeat((4 - text.len() % 4) % 4);
        entry.insert(member, &(text + &padding));
        put_entry(&mut data, &name, new.key().id(), &entry);
        let found = opened(&data, &name, &new);
        assert_eq!(found, quirks([Quirk::PaddedBase64]), "{member}");
    }
}

#[test]
fn the_form_of_a_key_is_told_and_that_of_other_text_is_nothing() {
    let new = NewKey::random(None, &mut rng());
    let mut data = described(&[&new]);
    let bytes = ["7"; 32].join(",");
    let key = base64::encode([7; 32]);
    for (value, quirk) in [
        (&*bytes, Quirk::CommaSeparatedBytes),
        (&*format!(" {key}\n"), Quirk::SurroundingWhiteSpace),
        (&*format!("{key}="), Quirk::PaddedBase64),
    ] {
        put_secret(&mut data, &SecretName::backup_key(), &new, value);
        let found = opened(&data, &SecretName::backup_key(), &new);
        assert_eq!(found, quirks([quirk]), "{value}");
        put_secret(&mut data, &name(), &new, value);
        let found = opened(&data, &name(), &new);
        assert_eq!(found, quirks([]), "{value}");
    }
}

#[test]
fn an_entry_of_2019_outside_of_encrypted_is_told() {
    let new = NewKey::random(None, &mut rng());
    let id = KeyId::new("old").unwrap();
    let mut data = AccountData::default();
    let public = r#"{"algorithm":"m.secret_storage.v1.curve25519-aes-sha2"}"#;
    data.insert_json(id.event_type(), public).unwrap();
    let backup = SecretName::backup_key();
    data.insert_json(backup.as_str(), r#"{"old":{"passthrough":true}}"#)
        .unwrap();
    let storage = SecretStorage::new(&data);
    let text = new.key().key().expose_recovery_key();
    let description = storage.key(&id).unwrap();
    let key = SecretStorageKey::from_recovery_key(&description, &text).unwrap();
    let found = storage.open(&backup, &key).unwrap().quirks;
    assert_eq!(found, quirks([Quirk::WithoutEncrypted]));
}

#[test]
fn check_data_is_looked_at_without_the_key() {
    let of = |iv: &str, mac: &str| {
        let content = format!(
            r#"{{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","iv":"{iv}","mac":"{mac}"}}"#
        );
        let content = Content::from_json(&content).unwrap();
        let description = KeyDescription::new(KeyId::new("key").unwrap(), content).unwrap();
        description.quirks()
    };
    let mac = base64::encode([9; 32]);
    assert_eq!(of(&base64::encode([0x7F; 16]), &mac), quirks([]));
    assert_eq!(
        of(&base64::encode([0x80; 16]), &format!("{mac}=")),
        quirks([Quirk::IvBit63Set, Quirk::PaddedBase64])
    );
    assert_eq!(of(&base64::encode([1; 32]), &mac), quirks([Quirk::LongIv]));
    // A text that is no base64 is damage, even where it ends like padding or like unused bits.
    for other in ["no base64", "not base64", "x!="] {
        assert_eq!(of(other, &mac), quirks([]), "{other}");
        assert_eq!(of(&base64::encode([1; 16]), other), quirks([]), "{other}");
    }
}

#[test]
fn the_harmless_ones_are_those_that_every_client_reads() {
    for harmless in [Quirk::IvBit63Set, Quirk::PaddedBase64, Quirk::TrailingBits] {
        assert!(harmless.is_harmless(), "{harmless}");
    }
    for other in [
        Quirk::CommaSeparatedBytes,
        Quirk::LongIv,
        Quirk::MacOverClearedIv,
        Quirk::SurroundingWhiteSpace,
        Quirk::WithoutEncrypted,
    ] {
        assert!(!other.is_harmless(), "{other}");
    }
}

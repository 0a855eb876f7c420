//! The rules for keys: which may write, and what a server can make a client believe.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod derivation;
mod entries;
mod finding;
mod proof;
mod quirks;
#[path = "../scripted_rng/mod.rs"]
mod scripted_rng;

use fourfold::{
    AccountData, Algorithm, Content, KeyId, NewKey, Secret, SecretName, SecretStorageKey,
    recovery_key,
};
use scripted_rng::Scripted;

pub(crate) const PASSPHRASE: &str = "wombat plumage tariff hubcap";

pub(crate) fn rng() -> Scripted {
    Scripted::new(&[])
}

pub(crate) fn name() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}

/// Account data with the descriptions of these keys as they were made.
pub(crate) fn described(keys: &[&NewKey]) -> AccountData {
    let mut data = AccountData::default();
    for key in keys {
        let description = key.description();
        data.insert(description.id().event_type(), description.content());
    }
    data
}

pub(crate) fn change(data: &mut AccountData, id: &KeyId, change: impl FnOnce(&mut Content)) {
    let json = data.raw(&id.event_type()).unwrap();
    let mut content = Content::from_json(json).unwrap();
    change(&mut content);
    data.insert(id.event_type(), &content);
}

pub(crate) fn without_check_data(data: &mut AccountData, id: &KeyId) {
    change(data, id, |content| {
        content.remove("iv");
        content.remove("mac");
    });
}

pub(crate) fn put_secret(data: &mut AccountData, name: &SecretName, key: &NewKey, value: &str) {
    let entry = key
        .key()
        .seal(name, &Secret::new(value), &mut rng())
        .unwrap();
    put_entry(data, name, key.key().id(), &entry);
}

pub(crate) fn put_entry(data: &mut AccountData, name: &SecretName, id: &KeyId, entry: &Content) {
    let mut encrypted = Content::default();
    encrypted.insert(id.as_str(), entry);
    let mut content = Content::default();
    content.insert("encrypted", &encrypted);
    data.insert(name.as_str(), &content);
}

pub(crate) fn wrong(id: &KeyId) -> SecretStorageKey {
    SecretStorageKey::from_bytes(id.clone(), Algorithm::AesHmacSha2, [7; 32].into())
}

pub(crate) fn copy(key: &NewKey) -> SecretStorageKey {
    let bytes = recovery_key::decode(&key.key().key().expose_recovery_key()).unwrap();
    let key = key.key().key();
    SecretStorageKey::from_bytes(key.id().clone(), key.algorithm(), bytes)
}

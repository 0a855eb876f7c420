//! Accounts made for a test, healthy or not, as files for `--snapshot`.

use fourfold::passphrase::{Passphrase, PassphraseParameters};
use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{AccountData, NewKey, PublishedKeys, Secret, SecretName, SecretStorage};
use getrandom::SysRng;
use serde_json::{Value, json};

use crate::invocation::Folder;

/// The account data of a user, and what else is published.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) account_data: AccountData,
    pub(crate) backup_version: Option<Value>,
}

impl Made {
    /// An account with one key, which is the default.
    pub(crate) fn with_key() -> (Self, NewKey) {
        let mut made = Self::default();
        let key = made.default_key();
        (made, key)
    }

    /// Makes a key and makes it the default.
    pub(crate) fn default_key(&mut self) -> NewKey {
        let key = NewKey::random(None, &mut rng());
        let storage = SecretStorage::new(&self.account_data);
        plan::create_default_key(&storage, &key).apply_to(&mut self.account_data);
        key
    }

    /// Makes a key that is not the default.
    pub(crate) fn other_key(&mut self) -> NewKey {
        let key = NewKey::random(None, &mut rng());
        let storage = SecretStorage::new(&self.account_data);
        plan::create_key(&storage, &key).apply_to(&mut self.account_data);
        key
    }

    /// Makes a key that a passphrase opens, as the default.
    pub(crate) fn key_of_passphrase(&mut self, passphrase: &str) -> NewKey {
        let parameters = PassphraseParameters::random_with_iterations(CHEAP, &mut rng()).unwrap();
        let passphrase = Passphrase::new(passphrase);
        let key = NewKey::from_passphrase(&passphrase, &parameters, None, &mut rng()).unwrap();
        let storage = SecretStorage::new(&self.account_data);
        plan::create_default_key(&storage, &key).apply_to(&mut self.account_data);
        key
    }

    pub(crate) fn store(&mut self, name: &str, secret: &str, keys: &[&NewKey]) {
        let keys: Vec<_> = keys
            .iter()
            .map(|key| WritingKey::Proven(key.key()))
            .collect();
        let storage = SecretStorage::new(&self.account_data);
        let name = SecretName::new(name).unwrap();
        let (secret, published_keys) = (Secret::new(secret), PublishedKeys::default());
        plan::store(&storage, &name, &secret, &keys, &published_keys, &mut rng())
            .unwrap()
            .apply_to(&mut self.account_data);
    }

    /// Replaces the content of an event.
    pub(crate) fn put(&mut self, event_type: &str, content: &Value) {
        self.account_data
            .insert_json(event_type, content.to_string())
            .unwrap();
    }

    /// Changes the content of an event.
    pub(crate) fn edit(&mut self, event_type: &str, change: impl FnOnce(&mut Value)) {
        let mut content = self.content(event_type);
        change(&mut content);
        self.put(event_type, &content);
    }

    pub(crate) fn content(&self, event_type: &str) -> Value {
        serde_json::from_str(self.account_data.raw(event_type).unwrap()).unwrap()
    }

    /// Writes the account to a file and gives its name, as an argument.
    pub(crate) fn write(&self, folder: &Folder) -> String {
        let account_data: Value = serde_json::from_str(&self.account_data.to_json()).unwrap();
        let mut snapshot = json!({"user_id": "@alice:localhost", "account_data": account_data});
        if let Some(version) = &self.backup_version {
            snapshot["backup_version"] = version.clone();
        }
        folder.write("snapshot.json", snapshot.to_string())
    }
}

/// The recovery key of a key.
pub(crate) fn recovery_key(key: &NewKey) -> String {
    key.key().key().expose_recovery_key().to_string()
}

/// The event type of the description of a key.
pub(crate) fn description_of(key: &NewKey) -> String {
    key.key().id().event_type()
}

pub(crate) fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// The fewest iterations that are not refused.
const CHEAP: u32 = 100_000;

//! A snapshot of an account: everything of it that secret storage is about.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::history::{Changes, History};
use crate::passphrase::Bounds;
use crate::plan::{self, StoreError, WritingKey};
use crate::storage::{JudgedSecret, KeyText, ReadError, UnlockError};
use crate::{
    AccountData, BackupVersion, ContentError, Plan, ProvenKey, PublishedIdentity, PublishedKeys,
    Secret, SecretName, SecretStorage, SecretStorageKey, SecretValueError,
};

/// An account at one moment: what is fetched from a server, or kept in a file.
///
/// `{"user_id": …, "account_data": {type: content, …}, "keys_query": …, "backup_version": …}`; the
/// last two are the bodies of the answers to `POST /keys/query` and `GET /room_keys/version`, and
/// optional. Other members are ignored. It holds ciphertext only, so a file of it is safe to keep.
///
/// ```
/// let snapshot = fourfold::Snapshot::from_json(
///     r#"{"user_id": "@a:example.org", "account_data": {"m.direct": {}}}"#,
/// )?;
/// assert_eq!(snapshot.account_data.event_types().count(), 1);
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The user, such as `@alice:example.org`.
    pub user_id: String,
    /// All global account data.
    pub account_data: AccountData,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys_query: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup_version: Option<Box<RawValue>>,
}

impl Snapshot {
    /// Puts together what was fetched.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when one of the bodies is not JSON.
    pub fn new(
        user_id: impl Into<String>,
        account_data: AccountData,
        keys_query: Option<String>,
        backup_version: Option<String>,
    ) -> Result<Self, ContentError> {
        let raw = |body: Option<String>| body.map(RawValue::from_string).transpose();
        Ok(Self {
            user_id: user_id.into(),
            account_data,
            keys_query: raw(keys_query).map_err(|_| ContentError::NotJson)?,
            backup_version: raw(backup_version).map_err(|_| ContentError::NotJson)?,
        })
    }

    /// Reads a snapshot that was kept.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when it is not a snapshot, [`ContentError::TooManyEvents`].
    pub fn from_json(json: &str) -> Result<Self, ContentError> {
        let snapshot: Self = serde_json::from_str(json).map_err(|_| ContentError::NotJson)?;
        snapshot.account_data.check_number()?;
        Ok(snapshot)
    }

    /// Writes the snapshot to be kept.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The keys and the secrets of the account.
    #[must_use]
    pub fn storage(&self) -> SecretStorage<'_> {
        SecretStorage::new(&self.account_data)
    }

    /// Unlocks secret storage with what a person typed: the recovery key or the passphrase of any
    /// key, the default key being tried first. The key that it is may read and write.
    ///
    /// This takes a good part of a second for each key with a passphrase that is tried.
    /// [`SecretStorage::find_key`] does the same in parts: with chosen keys, other bounds, and signs
    /// of life; and it finds keys that may only read.
    ///
    /// # Errors
    ///
    /// [`UnlockError`]: it is no key, or ([`UnlockError::NotProven`]) one that may only read.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::{NewKey, Secret, SecretName, Snapshot, plan};
    /// let mut snapshot = Snapshot::from_json(r#"{"user_id": "@a:b.org", "account_data": {}}"#)?;
    /// let new = NewKey::random(None, &mut rng);
    /// plan::set_up(&snapshot.storage(), &new)?.apply_to(&mut snapshot.account_data);
    /// let recovery_key = new.key().key().expose_recovery_key();
    ///
    /// // With nothing but what the user wrote down:
    /// let key = snapshot.unlock(&recovery_key)?;
    /// let name = SecretName::new("org.example.token")?;
    /// let plan = snapshot.store(&name, &Secret::new("s3cret"), &key, &mut rng)?;
    /// plan.apply_to(&mut snapshot.account_data); // or at a server, step by step
    /// assert_eq!(snapshot.open(&name, &key)?.secret.expose_secret(), "s3cret");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unlock(&self, text: &str) -> Result<ProvenKey, UnlockError> {
        let storage = self.storage();
        let mut budget = Bounds::DEFAULT.budget();
        let candidates = storage.candidates();
        let found = storage.find_key(KeyText::Either(text), &candidates, &mut budget, |_| {})?;
        let proven = storage.prove(found.key);
        proven.map_err(|not_proven| UnlockError::NotProven(not_proven.reason))
    }

    /// Opens a secret with a key, proven or not, and compares it with what is published: one call for
    /// [`SecretStorage::open`] and [`OpenedSecret::judge`](crate::OpenedSecret::judge).
    ///
    /// A program that keeps a [`History`] calls [`open_with_history`](Self::open_with_history).
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it does not open, or is not what its name says.
    pub fn open(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<JudgedSecret, ReadError> {
        let (key, storage) = (key.as_ref(), self.storage());
        let opened = storage.open(name, key)?;
        let verdict = opened.judge(name, &self.published_keys())?;
        Ok(JudgedSecret::new(opened, key.id().clone(), verdict))
    }

    /// As [`open`](Self::open), with what this machine remembers: nothing is opened when what changed
    /// since forbids it, and how the entry came to be known counts for what vouches for the value.
    ///
    /// # Errors
    ///
    /// [`ReadError`], of which [`ReadError::Suspicious`] is for the user to settle.
    pub fn open_with_history(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
        history: &History,
    ) -> Result<JudgedSecret, ReadError> {
        let changes = Changes::new(history.compare(&self.account_data));
        changes.check_opening(Some(name))?;
        let opened = self.open(name, key)?;
        let known = history.origin_of(&self.account_data, name, &opened.key_id);
        Ok(opened.known_before(known))
    }

    /// As [`open`](Self::open), for a user who said that the account is to be taken as it is: an entry
    /// that says that the key of the backup is the key of secret storage itself
    /// ([`SecretValueError::IsTheKey`]) is believed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_accepted(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<JudgedSecret, ReadError> {
        let key = key.as_ref();
        match self.open(name, key) {
            Err(ReadError::Value(SecretValueError::IsTheKey)) => {
                let opened = self.storage().open(name, key)?;
                let verdict = self.published_keys().judge(name, &opened.secret)?;
                Ok(JudgedSecret::new(opened, key.id().clone(), verdict))
            }
            result => result,
        }
    }

    /// Plans to store a secret under one key, compared with what is published: [`plan::store`] in
    /// short.
    ///
    /// # Errors
    ///
    /// [`StoreError`], such as a value that is not what its name says, or a key of 2019.
    pub fn store(
        &self,
        name: &SecretName,
        secret: &Secret,
        key: &ProvenKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Plan, StoreError> {
        let keys = [WritingKey::Proven(key)];
        plan::store(
            &self.storage(),
            name,
            secret,
            &keys,
            &self.published_keys(),
            rng,
        )
    }

    /// Whether there is a key backup, even one that cannot be read.
    #[must_use]
    pub fn has_key_backup(&self) -> bool {
        self.backup_version.is_some()
    }

    /// What secrets can be compared with. What cannot be read is left out, as if it were not
    /// published.
    #[must_use]
    pub fn published_keys(&self) -> PublishedKeys {
        let identity = self
            .keys_query
            .as_ref()
            .and_then(|body| PublishedIdentity::from_keys_query(&self.user_id, body.get()).ok());
        let backup = self
            .backup_version
            .as_ref()
            .and_then(|body| BackupVersion::from_json(body.get()).ok());
        PublishedKeys { identity, backup }
    }
}

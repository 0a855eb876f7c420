//! A snapshot of an account: everything of it that secret storage is about.

use std::collections::BTreeMap;

use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::history::{Changes, History};
use crate::passphrase::Bounds;
use crate::plan::{self, StoreError, WritingKey};
use crate::storage::{JudgedSecret, KeyText, ReadError, UnlockError};
use crate::{
    AccountData, BackupVersion, ContentError, Plan, ProvenKey, PublishedIdentity, PublishedKeys,
    Secret, SecretName, SecretStorage, SecretStorageKey, SecretValueError, Timestamp,
};

/// An account at one moment: what is fetched from a server, or kept in a file.
///
/// `{"user_id": …, "account_data": {type: content, …}, …}`, and as far as they were asked for:
///
/// | member | is |
/// |---|---|
/// | `keys_query` | the body of the answer to `POST /keys/query` |
/// | `backup_version` | that of `GET /room_keys/version`; `null` when there is no key backup |
/// | `backup_versions` | those of `GET /room_keys/version/{version}` for older versions, as an array |
/// | `devices` | that of `GET /devices` |
/// | `device_id` | the device that looked |
/// | `server` | what else the server said of itself: `versions`, `whoami`, `capabilities`, … |
/// | `taken_at` | when it was taken, in milliseconds since 1970 |
/// | `unavailable` | which of these members were asked for and could not be had: for each, why, in words |
///
/// Other members are ignored. It holds ciphertext only, so a file of it is safe to keep.
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
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    backup_version: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    backup_versions: Vec<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    devices: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unavailable: BTreeMap<String, String>,
}

impl Snapshot {
    /// The name of the member that says which version of the key backup is the current one.
    pub const BACKUP_VERSION: &'static str = "backup_version";

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
            backup_versions: Vec::new(),
            devices: None,
            device_id: None,
            server: None,
            taken_at: None,
            unavailable: BTreeMap::new(),
        })
    }

    /// Says that a member was asked for and could not be had, and why, in words.
    #[must_use]
    pub fn without(mut self, member: &str, why: impl Into<String>) -> Self {
        self.unavailable.insert(member.to_owned(), why.into());
        self
    }

    /// With older versions of the key backup: each a body of `GET /room_keys/version/{version}`.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`].
    pub fn with_backup_versions(
        mut self,
        bodies: impl IntoIterator<Item = String>,
    ) -> Result<Self, ContentError> {
        for body in bodies {
            let version = RawValue::from_string(body).map_err(|_| ContentError::NotJson)?;
            self.backup_versions.push(version);
        }
        Ok(self)
    }

    /// Account data alone, as it is at a moment.
    pub(crate) fn of(user_id: &str, account_data: AccountData, now: Timestamp) -> Self {
        Self {
            user_id: user_id.to_owned(),
            account_data,
            keys_query: None,
            backup_version: None,
            backup_versions: Vec::new(),
            devices: None,
            device_id: None,
            server: None,
            taken_at: Some(now),
            unavailable: Default::default(),
        }
    }

    /// With the device that looked.
    #[must_use]
    pub fn seen_by(mut self, device_id: Option<String>) -> Self {
        self.device_id = device_id;
        self
    }

    /// With the answer to `GET /devices`.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`].
    pub fn with_devices(mut self, body: impl Into<String>) -> Result<Self, ContentError> {
        let devices = RawValue::from_string(body.into()).map_err(|_| ContentError::NotJson)?;
        self.devices = Some(devices);
        Ok(self)
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
    /// [`UnlockError`]: it is not a key, or ([`UnlockError::NotProven`]) one that may only read.
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

    /// As [`open`](Self::open), for handing the secret to its owner: the private key of a former version
    /// of the key backup is no use with the current one, and is theirs all the same
    /// ([`Verdict::OtherVersion`](crate::Verdict::OtherVersion)). Another device is never given one.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_for_owner(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<JudgedSecret, ReadError> {
        let (key, storage) = (key.as_ref(), self.storage());
        let opened = storage.open(name, key)?;
        let verdict = opened.judge_for_owner(name, &self.published_keys())?;
        Ok(JudgedSecret::new(opened, key.id().clone(), verdict))
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

    /// Returns `true` if there is a key backup, even one that cannot be read.
    #[must_use]
    pub fn has_key_backup(&self) -> bool {
        self.backup_version().is_some_and(|body| body != "null")
    }

    /// The answer to `POST /keys/query`.
    #[must_use]
    pub fn keys_query(&self) -> Option<&str> {
        self.keys_query.as_ref().map(|body| body.get())
    }

    /// The answer to `GET /room_keys/version`; `null` when there is no key backup, and `None` when
    /// nobody asked.
    #[must_use]
    pub fn backup_version(&self) -> Option<&str> {
        self.backup_version.as_ref().map(|body| body.get())
    }

    /// The answers to `GET /room_keys/version/{version}` for older versions of the key backup.
    pub fn backup_versions(&self) -> impl Iterator<Item = &str> {
        self.backup_versions.iter().map(|body| body.get())
    }

    /// Why a member could not be had, in words, when it was asked for. Untrusted text.
    #[must_use]
    pub fn why_unavailable(&self, member: &str) -> Option<&str> {
        self.unavailable.get(member).map(String::as_str)
    }

    /// The answer to `GET /devices`.
    #[must_use]
    pub fn devices(&self) -> Option<&str> {
        self.devices.as_ref().map(|body| body.get())
    }

    /// The device that looked. Untrusted text.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        self.device_id.as_deref()
    }

    /// What else the server said of itself.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_ref().map(|body| body.get())
    }

    /// When it was taken.
    #[must_use]
    pub const fn taken_at(&self) -> Option<Timestamp> {
        self.taken_at
    }

    /// The published keys that secrets can be compared with. Unreadable ones are omitted, as if not
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

/// A member that may be `null`, which is not nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Change, Vouched};
    use crate::testing::{Fixed, rng};
    use crate::{Content, NewKey};

    /// An account with a key, and what this machine remembers of it.
    struct Account {
        snapshot: Snapshot,
        key: ProvenKey,
        history: History,
        rng: Fixed,
    }

    impl Account {
        fn new() -> Self {
            let mut rng = rng();
            let mut snapshot =
                Snapshot::new("@a:b.org", AccountData::default(), None, None).unwrap();
            let new = NewKey::random(None, &mut rng);
            let plan = plan::set_up(&snapshot.storage(), &new).unwrap();
            plan.apply_to(&mut snapshot.account_data);
            let key = snapshot.unlock(&new.key().key().expose_recovery_key());
            let mut account = Self {
                snapshot,
                key: key.unwrap(),
                history: History::default(),
                rng,
            };
            account.look();
            account
        }

        /// Somebody stores this: another client of the user, unless it is remembered as written.
        fn store(&mut self, name: &SecretName, value: &str) -> Plan {
            let secret = Secret::new(value);
            let plan = self.snapshot.store(name, &secret, &self.key, &mut self.rng);
            let plan = plan.unwrap();
            plan.apply_to(&mut self.snapshot.account_data);
            plan
        }

        /// What the server shows is accepted.
        fn look(&mut self) {
            self.history.saw(&self.snapshot.account_data);
        }

        /// The server shows a secret again that had been replaced.
        fn roll_back(&mut self, name: &SecretName) {
            self.store(name, "old");
            self.look();
            let old = self.snapshot.account_data.clone();
            self.store(name, "new");
            self.look();
            let old = old.raw(name.as_str()).unwrap();
            let data = &mut self.snapshot.account_data;
            data.insert_json(name.as_str(), old).unwrap();
        }

        fn open(&self, name: &SecretName) -> Result<JudgedSecret, ReadError> {
            self.snapshot
                .open_with_history(name, &self.key, &self.history)
        }
    }

    fn name(text: &str) -> SecretName {
        SecretName::new(text).unwrap()
    }

    #[test]
    fn a_secret_that_was_rolled_back_is_not_opened_and_another_one_is() {
        let mut account = Account::new();
        let (wallet, token) = (name("org.example.wallet"), name("org.example.token"));
        account.store(&token, "value");
        account.roll_back(&wallet);
        let refused = account.open(&wallet).unwrap_err();
        let ReadError::Suspicious(suspicious) = refused else {
            panic!("{refused}");
        };
        let event_type = wallet.as_str().to_owned();
        assert_eq!(suspicious.changes, [Change::RolledBack { event_type }]);
        let opened = account.open(&token).unwrap();
        assert_eq!(opened.secret.expose_secret(), "value");
        // The user says that it is as it is to be.
        account.look();
        assert!(account.open(&wallet).is_ok());
        // The keys themselves forbid everything.
        let mut account = Account::new();
        account.store(&token, "value");
        let event_type = account.key.id().event_type();
        let mut changed =
            Content::from_json(account.snapshot.account_data.raw(&event_type).unwrap());
        let changed = changed.as_mut().unwrap();
        changed.insert("iv", "AAAAAAAAAAAAAAAAAAAAAA");
        account.snapshot.account_data.insert(&event_type, changed);
        let refused = account.open(&token).unwrap_err();
        assert!(matches!(refused, ReadError::Suspicious(_)), "{refused}");
    }

    #[test]
    fn what_this_machine_remembers_of_an_entry_vouches_for_it() {
        let mut account = Account::new();
        let token = name("org.example.token");
        account.store(&token, "value");
        account.look();
        let vouched_by = |account: &Account| account.open(&token).unwrap().vouched_by;
        assert_eq!(vouched_by(&account), Vouched::MacOnly);
        let data = account.snapshot.account_data.clone();
        account.history.opened(&data, &token, account.key.id());
        assert_eq!(vouched_by(&account), Vouched::OpenedBefore);
        // Another client stores another value; then this machine does.
        account.store(&token, "other");
        assert_eq!(vouched_by(&account), Vouched::MacOnly);
        let plan = account.store(&token, "own");
        account.history.wrote(&plan);
        assert_eq!(vouched_by(&account), Vouched::WrittenHere);
    }
}

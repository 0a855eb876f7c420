//! Secret storage: a view of the keys and the secrets in a user's account data.

use std::collections::BTreeSet;

use crate::algorithm::OpenEntryError;
use crate::secret_kind::KeyValue;
use crate::{
    AccountData, Algorithm, Authenticity, DefaultKey, EncryptedSecret, EncryptedSecretError,
    EventState, KeyCheckOutcome, KeyDescription, KeyDescriptionError, KeyId, ProvenKey,
    PublishedKeys, Quirk, Secret, SecretKind, SecretName, SecretState, SecretStorageKey,
    SecretValueError, Verdict,
};

/// A read-only view over [`AccountData`]: which keys there are, which one is the default, which
/// secrets, under which keys each can be opened, and [`open`](Self::open).
///
/// ```
/// use fourfold::{AccountData, DefaultKey, SecretStorage};
/// let account_data = AccountData::from_json("{}")?;
/// let storage = SecretStorage::new(&account_data);
/// assert_eq!(storage.default_key(), DefaultKey::Absent);
/// assert!(storage.is_untouched());
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SecretStorage<'a> {
    account_data: &'a AccountData,
}

impl<'a> SecretStorage<'a> {
    /// Looks at account data.
    #[must_use]
    pub fn new(account_data: &'a AccountData) -> Self {
        Self { account_data }
    }

    /// The account data that is looked at.
    #[must_use]
    pub fn account_data(&self) -> &'a AccountData {
        self.account_data
    }

    /// Returns `true` if nothing of secret storage was ever there: no default key, no key, no
    /// secret, not even deleted or damaged ones.
    ///
    /// Deleted account data is `{}`, whatever it was: it only counts under the names that Matrix
    /// itself gives to secrets.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.default_key() == DefaultKey::Absent
            && self.key_ids().next().is_none()
            && !self.names().any(|name| match self.secret(&name) {
                SecretState::Encrypted(_) | SecretState::Emptied => true,
                SecretState::Malformed(error) => error.can_hide_entries(),
                SecretState::Deleted | SecretState::Null => {
                    SecretKind::of(&name) != SecretKind::Other
                }
                SecretState::Absent | SecretState::NotASecret => false,
            })
    }

    /// Returns `true` if nothing is left that a key could open, and no key: secret storage was never
    /// used, or another client switched it off and left emptied events. A new key is no loss then.
    #[must_use]
    pub fn holds_nothing(&self) -> bool {
        let is_gone = |id: &KeyId| {
            matches!(
                self.key(id),
                Err(KeyDescriptionError::Deleted | KeyDescriptionError::Missing)
            )
        };
        let is_empty = |name: &SecretName| match self.secret(name) {
            SecretState::Encrypted(_) => false,
            SecretState::Malformed(error) => {
                !error.can_hide_entries() && SecretKind::of(name) == SecretKind::Other
            }
            _ => true,
        };
        self.key_ids().all(|id| is_gone(&id)) && self.names().all(|name| is_empty(&name))
    }

    /// The default key.
    #[must_use]
    pub fn default_key(&self) -> DefaultKey {
        DefaultKey::of(self.account_data)
    }

    /// The IDs of all keys for which there is an event, deleted ones included: the default key
    /// first, the others in order, and no more than [`Self::MAX_KEYS`], because each key that a
    /// passphrase is tried on costs a derivation.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + use<'a> {
        let default = self.default_key().key_id().cloned();
        let others = self
            .account_data
            .event_types()
            .filter_map(KeyId::from_event_type)
            .filter({
                let default = default.clone();
                move |id| Some(id) != default.as_ref()
            });
        default.into_iter().chain(others).take(Self::MAX_KEYS)
    }

    /// The most keys of an account that are looked at.
    pub const MAX_KEYS: usize = 256;

    /// The descriptions of all keys that can be read.
    pub fn keys(&self) -> impl Iterator<Item = KeyDescription> + use<'a> {
        let storage = *self;
        self.key_ids().filter_map(move |id| storage.key(&id).ok())
    }

    /// The description of a key.
    ///
    /// # Errors
    ///
    /// [`KeyDescriptionError`] when there is none, it was deleted, or it is damaged.
    pub fn key(&self, id: &KeyId) -> Result<KeyDescription, KeyDescriptionError> {
        match self.account_data.state(&id.event_type()) {
            EventState::Absent => Err(KeyDescriptionError::Missing),
            EventState::Deleted => Err(KeyDescriptionError::Deleted),
            EventState::Null => Err(crate::ContentError::NotAnObject.into()),
            EventState::Malformed(error) => Err(error.into()),
            EventState::Content(content) => KeyDescription::new(id.clone(), content),
        }
    }

    /// All secrets that are encrypted under at least one key, in the order of their names.
    pub fn secrets(&self) -> impl Iterator<Item = (SecretName, EncryptedSecret)> + use<'a> {
        let storage = *self;
        self.names()
            .filter_map(move |name| match storage.secret(&name) {
                SecretState::Encrypted(secret) => Some((name, secret)),
                _ => None,
            })
    }

    /// The names of the secrets that are encrypted under a key, in their order: those that this key
    /// can open and share, and that it alone may hold the last copy of.
    pub fn secrets_under(&self, id: &KeyId) -> impl Iterator<Item = SecretName> + use<'a> {
        let id = id.clone();
        self.secrets()
            .filter(move |(_, secret)| secret.entry(&id).is_some())
            .map(|(name, _)| name)
    }

    /// Whether a secret is encrypted under a key.
    #[must_use]
    pub fn is_encrypted_under(&self, name: &SecretName, id: &KeyId) -> bool {
        matches!(self.secret(name), SecretState::Encrypted(secret) if secret.entry(id).is_some())
    }

    /// The state of the account data under a secret's name.
    #[must_use]
    pub fn secret(&self, name: &SecretName) -> SecretState {
        match self.account_data.raw(name.as_str()) {
            None => SecretState::Absent,
            Some(json) => match SecretState::from_json(json) {
                // The broken form is only taken for a secret when the key it names exists.
                SecretState::Encrypted(secret)
                    if secret.is_passthrough_without_encrypted()
                        && !secret.key_ids().any(|id| self.key(id).is_ok()) =>
                {
                    SecretState::NotASecret
                }
                state => state,
            },
        }
    }

    /// Opens a secret with a key, whether the key is the default or not, proven or not: the
    /// entry's MAC decides.
    ///
    /// The result is not yet compared with what is published: see
    /// [`PublishedKeys::judge`](crate::PublishedKeys::judge).
    ///
    /// # Errors
    ///
    /// [`OpenError`] tells apart: no such secret, not encrypted under this key (and under which it
    /// is), a wrong key, a damaged entry.
    pub fn open(
        &self,
        name: &SecretName,
        key: &SecretStorageKey,
    ) -> Result<OpenedSecret, OpenError> {
        match self.open_entry(name, key) {
            Err(OpenError::Entry(OpenEntryError::Mac))
                if self.check(key) != KeyCheckOutcome::Verified =>
            {
                Err(OpenError::WrongKey)
            }
            result => result,
        }
    }

    /// As [`open`](Self::open), without finding out whether the key or the entry is wrong: that
    /// can take a look at every secret.
    pub(crate) fn open_entry(
        &self,
        name: &SecretName,
        key: &SecretStorageKey,
    ) -> Result<OpenedSecret, OpenError> {
        let secret = match self.secret(name) {
            SecretState::Encrypted(secret) => secret,
            SecretState::Malformed(error) => return Err(OpenError::Damaged(error)),
            SecretState::NotASecret => return Err(OpenError::NotASecret),
            _ => return Err(OpenError::NoSuchSecret),
        };
        let entry = match secret.entry(key.id()) {
            Some(Ok(entry)) => entry,
            Some(Err(error)) => return Err(OpenError::Damaged((*error).into())),
            None => {
                let key_ids = secret.key_ids().cloned().collect();
                return Err(OpenError::NotEncryptedUnderKey { key_ids });
            }
        };
        let (value, authenticity) = key.open(name, entry).map_err(OpenError::Entry)?;
        let mut quirks = Quirk::of_base64(entry, &["ciphertext", "ephemeral", "iv", "mac"]);
        quirks.extend(Quirk::of_iv(entry));
        if secret.is_passthrough_without_encrypted() {
            quirks.insert(Quirk::WithoutEncrypted);
        }
        if SecretKind::of(name) != SecretKind::Other
            && let Ok(read) = KeyValue::read(name, &value)
        {
            quirks.extend(read.quirk);
        }
        Ok(OpenedSecret {
            secret: value,
            authenticity,
            quirks,
        })
    }

    /// Whether a key is the right one, by everything that is known: its key check or, where that is
    /// missing or damaged, a stored secret that opens with it.
    #[must_use]
    pub fn check(&self, key: &SecretStorageKey) -> KeyCheckOutcome {
        let check = self
            .key(key.id())
            .ok()
            .and_then(|description| description.check(key).ok());
        match check.map(|check| check.outcome) {
            Some(outcome @ (KeyCheckOutcome::Verified | KeyCheckOutcome::Mismatch)) => outcome,
            _ if self.opens_something(key) => KeyCheckOutcome::Verified,
            _ => KeyCheckOutcome::Unverifiable,
        }
    }

    /// Whether a key that was proven before, perhaps long ago, is still the one that account data
    /// describes under its ID.
    #[must_use]
    pub fn is_current(&self, key: &ProvenKey) -> bool {
        self.check(key.key()) == KeyCheckOutcome::Verified
    }

    /// Whether a program that keeps a key writes with it when the user chose none: it is the default
    /// key, it is [current](Self::is_current), and it writes in the form of today.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::{AccountData, NewKey, SecretStorage, plan};
    /// let mut account_data = AccountData::default();
    /// let (first, second) = (NewKey::random(None, &mut rng), NewKey::random(None, &mut rng));
    /// plan::set_up(&SecretStorage::new(&account_data), &first)?.apply_to(&mut account_data);
    /// plan::create_key(&SecretStorage::new(&account_data), &second).apply_to(&mut account_data);
    /// let storage = SecretStorage::new(&account_data);
    /// assert!(storage.writes_by_default(first.key()));
    /// assert!(!storage.writes_by_default(second.key()));
    /// # Ok::<(), plan::SetUpError>(())
    /// ```
    #[must_use]
    pub fn writes_by_default(&self, key: &ProvenKey) -> bool {
        self.default_key().key_id() == Some(key.id())
            && key.key().algorithm() == Algorithm::AesHmacSha2
            && self.is_current(key)
    }

    /// Proves that a key is the right one, as [`check`](Self::check) does, which allows to write
    /// with it.
    ///
    /// # Errors
    ///
    /// [`NotProven`] gives the key back, for reading.
    pub fn prove(&self, key: SecretStorageKey) -> Result<ProvenKey, NotProven> {
        let reason = match (self.key(key.id()), self.check(&key)) {
            _ if key.is_weak() => NotProvenReason::WeakDerivation,
            (Err(error), _) => NotProvenReason::NoDescription(error),
            (Ok(_), KeyCheckOutcome::Verified) => return Ok(ProvenKey::assert(key)),
            (Ok(_), KeyCheckOutcome::Mismatch) => NotProvenReason::Mismatch,
            (Ok(_), KeyCheckOutcome::Unverifiable) => NotProvenReason::NoSecretOpens,
        };
        Err(NotProven {
            key: Box::new(key),
            reason,
        })
    }

    /// The names of account data that cannot be read as a secret but mentions a key, so that other
    /// clients may find an entry of that key in it.
    pub(crate) fn unreadable_secrets(&self, id: &KeyId) -> impl Iterator<Item = SecretName> {
        self.names().filter(|name| {
            matches!(self.secret(name), SecretState::Malformed(error) if error.can_hide_entries())
                && self
                    .account_data
                    .raw(name.as_str())
                    .is_some_and(|json| json.contains(id.as_str()))
        })
    }

    /// Names under which there may be a secret.
    pub(crate) fn names(&self) -> impl Iterator<Item = SecretName> + use<'a> {
        self.account_data
            .event_types()
            .filter_map(|event_type| SecretName::new(event_type).ok())
    }

    /// Only the symmetric MAC proves a key: anybody can encrypt to a public one.
    pub(crate) fn opens_something(&self, key: &SecretStorageKey) -> bool {
        key.algorithm() == Algorithm::AesHmacSha2
            && self.secrets().any(|(name, secret)| {
                matches!(secret.entry(key.id()), Some(Ok(entry)) if key.open(&name, entry).is_ok())
            })
    }
}

/// A secret that was opened, and what is known about it.
#[derive(Debug)]
#[non_exhaustive]
pub struct OpenedSecret {
    /// The secret.
    pub secret: Secret,
    /// The evidence of who wrote it.
    pub authenticity: Authenticity,
    /// The deviations from the specification, of the entry and of a value of a known kind.
    pub quirks: BTreeSet<Quirk>,
}

impl OpenedSecret {
    /// Compares it with what is published, as [`PublishedKeys::judge`] does.
    ///
    /// A passthrough entry says that the secret is the key of secret storage itself. Anybody can write
    /// one, so that the key would be handed out as if it were the key of a backup: it counts only when
    /// the published backup has that key.
    ///
    /// # Errors
    ///
    /// [`SecretValueError`], of which [`SecretValueError::IsTheKey`] is such an entry.
    pub fn judge(
        &self,
        name: &SecretName,
        published_keys: &PublishedKeys,
    ) -> Result<Verdict, SecretValueError> {
        match (self.authenticity, published_keys.judge(name, &self.secret)) {
            (_, Ok(Verdict::Matches { public_key })) => Ok(Verdict::Matches { public_key }),
            (Authenticity::Passthrough, _) => Err(SecretValueError::IsTheKey),
            (_, verdict) => verdict,
        }
    }

    /// As [`judge`](Self::judge), where the secret stays its owner's: the private key of a former version
    /// of the key backup is theirs too ([`Verdict::OtherVersion`]), as long as it is certain that
    /// somebody with the key of secret storage stored it.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub(crate) fn judge_for_owner(
        &self,
        name: &SecretName,
        published_keys: &PublishedKeys,
    ) -> Result<Verdict, SecretValueError> {
        match self.judge(name, published_keys) {
            Err(SecretValueError::Mismatch { derived, published })
                if SecretKind::of(name) == SecretKind::BackupKey
                    && self.authenticity == Authenticity::Authenticated =>
            {
                Ok(Verdict::OtherVersion { derived, published })
            }
            verdict => verdict,
        }
    }
}

/// Why a secret does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The account data is damaged.
    #[error("{0}")]
    Damaged(EncryptedSecretError),
    /// The entry under this key is damaged, or does not open although the key is right.
    #[error("the entry under this key is damaged: {0}")]
    Entry(OpenEntryError),
    /// Nothing of that name, or it was deleted.
    #[error("there is no such secret")]
    NoSuchSecret,
    /// The account data of that name is something else.
    #[error("the account data of this name is not a secret")]
    NotASecret,
    /// It is encrypted, but under other keys.
    #[error("the secret is not encrypted under this key")]
    NotEncryptedUnderKey {
        /// The keys that it is encrypted under.
        key_ids: Vec<KeyId>,
    },
    /// The key is not the one of this ID.
    #[error("this is not the right key")]
    WrongKey,
}

crate::error_code::error_codes! {
    OpenError:
    Self::Damaged { .. } => "open_damaged",
    Self::Entry { .. } => "open_entry",
    Self::NoSuchSecret { .. } => "open_no_such_secret",
    Self::NotASecret { .. } => "open_not_a_secret",
    Self::NotEncryptedUnderKey { .. } => "open_not_encrypted_under_key",
    Self::WrongKey { .. } => "open_wrong_key",
}

/// The key could not be proven. It may still read.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct NotProven {
    /// The key, unchanged.
    pub key: Box<SecretStorageKey>,
    /// Why.
    pub reason: NotProvenReason,
}

crate::error_code::error_codes! {
    NotProven:
    ;
    Self { reason, .. } => reason,
}

/// Why a key is not proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotProvenReason {
    /// The key check says that it is another key.
    #[error("this is not the right key")]
    Mismatch,
    /// The key has no usable description.
    #[error("{0}")]
    NoDescription(KeyDescriptionError),
    /// There is no usable key check, and no stored secret opens with the key either.
    #[error("the key has no usable check data and opens no secret, so it may be wrong")]
    NoSecretOpens,
    /// It was derived from a passphrase with so few iterations that it may only read.
    #[error("the key was derived with too few iterations, so it may only read; rotate it")]
    WeakDerivation,
}

crate::error_code::error_codes! {
    NotProvenReason:
    Self::Mismatch { .. } => "not_proven_mismatch",
    Self::NoDescription { .. } => "not_proven_no_description",
    Self::NoSecretOpens { .. } => "not_proven_no_secret_opens",
    Self::WeakDerivation { .. } => "not_proven_weak_derivation",
}

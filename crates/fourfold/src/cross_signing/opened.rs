//! The private keys of an identity, opened from secret storage and compared with what is published.

use super::{KnownKeys, LearnError};
use crate::{
    OpenError, PublishedKeys, SecretName, SecretStorage, SecretStorageKey, SecretValueError,
    Verdict,
};

/// The private keys of the published identity that a key of secret storage opens.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::cross_signing::{OpenedKeys, UnusableKeys};
/// use fourfold::{AccountData, PublishedKeys, NewKey, SecretStorage, plan};
/// let mut account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
///
/// let storage = SecretStorage::new(&account_data);
/// let opened = OpenedKeys::open(&storage, new.key().key(), &PublishedKeys::default());
/// assert!(opened.names().is_empty());
/// assert!(matches!(opened.for_signing_devices(), Err(UnusableKeys::NoSelfSigningKey)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct OpenedKeys {
    keys: KnownKeys,
    names: Vec<SecretName>,
    left_out: Vec<(SecretName, LeftOut)>,
    foreign: Option<(SecretName, SecretValueError)>,
}

impl OpenedKeys {
    /// Opens what the key opens of the three. `published_keys` is what is published now.
    #[must_use]
    pub fn open(
        storage: &SecretStorage<'_>,
        key: &SecretStorageKey,
        published_keys: &PublishedKeys,
    ) -> Self {
        let mut opened = Self::default();
        for name in SecretName::cross_signing() {
            opened.open_one(name, storage, key, published_keys);
        }
        opened
    }

    /// The secrets that opened, whatever became of them.
    #[must_use]
    pub fn names(&self) -> &[SecretName] {
        &self.names
    }

    /// The secrets that are not used, and why.
    #[must_use]
    pub fn left_out(&self) -> &[(SecretName, LeftOut)] {
        &self.left_out
    }

    /// The keys that belong to what is published, the self-signing key among them: with it, devices
    /// of the user can be signed.
    ///
    /// # Errors
    ///
    /// [`UnusableKeys`]: a secret belongs to another identity, or that key is missing.
    pub fn for_signing_devices(self) -> Result<KnownKeys, UnusableKeys> {
        if let Some((name, error)) = self.foreign {
            return Err(UnusableKeys::Foreign { name, error });
        }
        if self.keys.self_signing_key().is_none() {
            return Err(UnusableKeys::NoSelfSigningKey);
        }
        Ok(self.keys)
    }

    fn open_one(
        &mut self,
        name: SecretName,
        storage: &SecretStorage<'_>,
        key: &SecretStorageKey,
        published_keys: &PublishedKeys,
    ) {
        let secret = match storage.open(&name, key) {
            Ok(found) => found.secret,
            Err(error) => {
                self.left_out.push((name, LeftOut::NotOpened(error)));
                return;
            }
        };
        self.names.push(name.clone());
        let learnt = match published_keys.judge(&name, &secret) {
            Ok(Verdict::Matches { .. }) => self.keys.learn(&name, &secret, published_keys),
            Ok(_) => {
                self.left_out.push((name, LeftOut::NotPublished));
                return;
            }
            Err(error) => Err(error.into()),
        };
        if let Err(LearnError::Value(error)) = learnt {
            self.foreign = Some((name, error));
        }
    }
}

/// Why a private key of an identity is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOut {
    /// The key of secret storage does not open it.
    #[error(transparent)]
    NotOpened(OpenError),
    /// Nothing is published that it could belong to.
    #[error("the homeserver publishes no such key")]
    NotPublished,
}

crate::error_code::error_codes! {
    LeftOut:
    Self::NotPublished { .. } => "left_out_not_published",
    ;
    Self::NotOpened(error) => error,
}

/// Why devices cannot be signed with what was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnusableKeys {
    /// A secret is not a key of the published identity.
    #[error("{name} does not belong to the published identity: {error}")]
    Foreign {
        /// The secret.
        name: SecretName,
        /// Why it is none.
        error: SecretValueError,
    },
    /// The self-signing key did not open.
    #[error("the key does not open m.cross_signing.self_signing, so nothing can be signed")]
    NoSelfSigningKey,
}

crate::error_code::error_codes! {
    UnusableKeys:
    Self::Foreign { .. } => "unusable_keys_foreign",
    Self::NoSelfSigningKey { .. } => "unusable_keys_no_self_signing_key",
}

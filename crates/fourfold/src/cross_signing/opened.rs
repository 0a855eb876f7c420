//! The private keys of an identity, opened from secret storage and compared with what is published.

use super::{KnownKeys, LearnError, ReplacedIdentity};
use crate::{
    OpenError, PublishedKeys, Secret, SecretName, SecretStorage, SecretStorageKey,
    SecretValueError, Verdict,
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
/// assert!(matches!(opened.for_signing_devices(), Err(UnusableKeys::NoSelfSigningKey { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct OpenedKeys {
    keys: KnownKeys,
    names: Vec<SecretName>,
    left_out: Vec<(SecretName, LeftOut)>,
    foreign: Option<(SecretName, SecretValueError)>,
    replaced: Option<ReplacedIdentity>,
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
        let mut secrets = Vec::new();
        for name in SecretName::cross_signing() {
            match storage.open(&name, key) {
                Ok(found) => secrets.push((name, found.secret)),
                Err(error) => opened.left_out.push((name, LeftOut::NotOpened(error))),
            }
        }
        let all = secrets.iter().map(|(name, secret)| (name, secret));
        opened.replaced = ReplacedIdentity::compare(all, published_keys);
        for (name, secret) in secrets {
            opened.learn(name, &secret, published_keys);
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

    /// Which keys were replaced since they were stored, if any were.
    #[must_use]
    pub fn replaced(&self) -> Option<&ReplacedIdentity> {
        self.replaced.as_ref()
    }

    /// The keys that belong to what is published, the self-signing key among them: with it, devices
    /// of the user can be signed.
    ///
    /// # Errors
    ///
    /// [`UnusableKeys`]: the self-signing key, or all that is stored, belongs to another identity, or
    /// that key is missing.
    pub fn for_signing_devices(self) -> Result<KnownKeys, UnusableKeys> {
        let replaced = self
            .replaced
            .filter(|replaced| replaced.is_whole() || replaced.is_self_signing_key());
        if let Some(replaced) = replaced {
            return Err(UnusableKeys::Replaced(replaced));
        }
        if let Some((name, error)) = self.foreign {
            return Err(UnusableKeys::Foreign { name, error });
        }
        if self.keys.self_signing_key().is_none() {
            return Err(UnusableKeys::NoSelfSigningKey {
                has_master_key: self.keys.master_key().is_some(),
            });
        }
        Ok(self.keys)
    }

    fn learn(&mut self, name: SecretName, secret: &Secret, published_keys: &PublishedKeys) {
        self.names.push(name.clone());
        let learnt = match published_keys.judge(&name, secret) {
            Ok(Verdict::Matches { .. }) => self.keys.learn(&name, secret, published_keys),
            Ok(_) => {
                self.left_out.push((name, LeftOut::NotPublished));
                return;
            }
            Err(error) => Err(error.into()),
        };
        match learnt {
            // No device is signed with it.
            Err(LearnError::Value(error)) if !signs_devices(&name, &error) => {
                self.left_out.push((name, LeftOut::Foreign(error)));
            }
            Err(LearnError::Value(error)) => self.foreign = Some((name, error)),
            _ => {}
        }
    }
}

/// Whether devices cannot be signed because of what is wrong with a secret: not because the master key
/// is another one, nor because of the user-signing key.
fn signs_devices(name: &SecretName, error: &SecretValueError) -> bool {
    let is_other = matches!(error, SecretValueError::Mismatch { .. });
    *name != SecretName::user_signing_key() && !(is_other && *name == SecretName::master_key())
}

/// Why a private key of an identity is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeftOut {
    /// It is not the private half of the published key.
    #[error("{0}")]
    Foreign(SecretValueError),
    /// The key of secret storage does not open it.
    #[error(transparent)]
    NotOpened(OpenError),
    /// Nothing is published that it could belong to.
    #[error("the homeserver publishes no such key")]
    NotPublished,
}

crate::error_code::error_codes! {
    LeftOut:
    Self::Foreign { .. } => "left_out_foreign",
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
    #[error("the key does not open m.cross_signing.self_signing")]
    NoSelfSigningKey {
        /// Whether the master key did: with it, another self-signing key can be made.
        has_master_key: bool,
    },
    /// The identity, or the self-signing key, was replaced since it was stored.
    #[error("{0}")]
    Replaced(ReplacedIdentity),
}

crate::error_code::error_codes! {
    UnusableKeys:
    Self::Foreign { .. } => "unusable_keys_foreign",
    Self::NoSelfSigningKey { .. } => "unusable_keys_no_self_signing_key",
    Self::Replaced { .. } => "unusable_keys_replaced",
}

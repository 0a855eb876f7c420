//! The key of secret storage that everything goes under.

use crate::storage::NoWritingKey;
use crate::{KeyDescription, NewKey, ProvenKey, SecretStorage};

/// Which key of secret storage the standard secrets go under.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller must handle each of them"
)]
pub enum KeyChoice {
    /// Nothing is there that a key could open: make one.
    Create,
    /// One of these, which the user must give.
    Unlock(Vec<KeyDescription>),
}

impl KeyChoice {
    /// The default key. Without a default it is any key, because an interrupted set-up leaves one
    /// that is not the default yet; and a new one only where secret storage [holds
    /// nothing](SecretStorage::holds_nothing), since something else may hold what opens with the
    /// others.
    ///
    /// # Errors
    ///
    /// [`NoWritingKey`]: the default key is damaged. No other is taken in its place.
    pub fn decide(storage: &SecretStorage<'_>) -> Result<Self, NoWritingKey> {
        if storage.holds_nothing() {
            return Ok(Self::Create);
        }
        match storage.default_key().key_id() {
            Some(_) => Ok(Self::Unlock(vec![storage.writing_candidate()?])),
            None => Ok(Self::Unlock(storage.keys().collect())),
        }
    }
}

/// The key of secret storage that the standard secrets go under.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a key is there, or it is made")]
pub enum BootstrapKey {
    /// It is there.
    Existing(ProvenKey),
    /// It is made, and described by the plan.
    New(NewKey),
}

impl BootstrapKey {
    /// The key.
    #[must_use]
    pub fn proven(&self) -> &ProvenKey {
        match self {
            Self::Existing(key) => key,
            Self::New(new) => new.key(),
        }
    }
}

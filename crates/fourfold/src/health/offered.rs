//! The keys that the user offers, right or wrong.

use serde::Serialize;
use zeroize::Zeroizing;

use crate::passphrase::{Budget, PassphraseParameters};
use crate::recovery_key::{self, RecoveryKeyError};
use crate::storage::{KeyText, UnlockError};
use crate::{KeyCheckOutcome, Secret, SecretName, SecretStorageKey, Snapshot, Verdict, base64};

/// A text that was offered as a key, and what it turned out to be.
///
/// To find that out can take seconds, because a passphrase costs a derivation for each key that it is
/// tried on: so it is done before the examination, which takes no time to speak of.
#[derive(Debug)]
#[non_exhaustive]
pub struct OfferedKey {
    /// What kind of key it is.
    pub input: KeyInput,
    /// What it turned out to be.
    pub offer: Offer,
}

/// What kind of key was offered.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyInput {
    /// A recovery key.
    RecoveryKey,
    /// A passphrase.
    Passphrase,
    /// The private key of the key backup.
    BackupKey,
}

/// What an offered text turned out to be.
#[derive(Debug)]
#[non_exhaustive]
pub enum Offer {
    /// A key of secret storage.
    Key {
        /// The key.
        key: SecretStorageKey,
        /// Whether that is certain.
        outcome: KeyCheckOutcome,
        /// Whether the text fits only without the white space around it.
        is_trimmed: bool,
    },
    /// The private key of the current version of the key backup, and no key of secret storage.
    BackupKey,
    /// A recovery key with a typing error.
    Mistyped(RecoveryKeyError),
    /// None of the keys that there are.
    Unknown(UnlockError),
}

impl OfferedKey {
    /// Finds out what a text is: a key that is described, one whose description is gone, the private
    /// key of the backup, or none. `before_derivation` is called before each derivation, as
    /// [`SecretStorage::find_key`](crate::SecretStorage::find_key) does.
    #[must_use]
    pub fn read(
        snapshot: &Snapshot,
        text: KeyText<'_>,
        budget: &mut Budget,
        mut before_derivation: impl FnMut(&PassphraseParameters),
    ) -> Self {
        let storage = snapshot.storage();
        let candidates = storage.candidates();
        let mut find = |text| storage.find_key(text, &candidates, budget, &mut before_derivation);
        let inner = inner(text);
        let input = match recovery_key::decode(inner) {
            Ok(_) => KeyInput::RecoveryKey,
            Err(_) if matches!(text, KeyText::RecoveryKey(_)) => KeyInput::RecoveryKey,
            Err(_) => KeyInput::Passphrase,
        };
        let error = match find(text) {
            Ok(found) => return Self::key(input, found.key, found.outcome, false),
            Err(error) => error,
        };
        if let Ok(bytes) = recovery_key::decode(inner) {
            if is_backup_key(snapshot, &bytes) {
                return Self {
                    input: KeyInput::BackupKey,
                    offer: Offer::BackupKey,
                };
            }
            let undescribed = storage.undescribed_keys();
            if let Some(found) = storage.find_undescribed_key(inner, &undescribed) {
                return Self::key(input, found.key, found.outcome, false);
            }
        } else if matches!(error, UnlockError::WrongPassphrase { .. })
            && inner.trim() != inner
            && let Ok(found) = find(KeyText::Passphrase(inner.trim()))
        {
            return Self::key(input, found.key, found.outcome, true);
        }
        let (input, offer) = match error {
            UnlockError::RecoveryKey(error) => (KeyInput::RecoveryKey, Offer::Mistyped(error)),
            error => (input, Offer::Unknown(error)),
        };
        Self { input, offer }
    }

    /// A key that is at hand already, such as one that this machine keeps.
    #[must_use]
    pub const fn of_key(key: SecretStorageKey, outcome: KeyCheckOutcome) -> Self {
        Self::key(KeyInput::RecoveryKey, key, outcome, false)
    }

    /// The key of secret storage that it is.
    #[must_use]
    pub const fn as_key(&self) -> Option<&SecretStorageKey> {
        match &self.offer {
            Offer::Key { key, .. } => Some(key),
            _ => None,
        }
    }

    const fn key(
        input: KeyInput,
        key: SecretStorageKey,
        outcome: KeyCheckOutcome,
        is_trimmed: bool,
    ) -> Self {
        let offer = Offer::Key {
            key,
            outcome,
            is_trimmed,
        };
        Self { input, offer }
    }
}

fn inner(text: KeyText<'_>) -> &str {
    match text {
        KeyText::Either(text) | KeyText::Passphrase(text) | KeyText::RecoveryKey(text) => text,
    }
}

/// The same form is used for both keys; only the public key tells.
fn is_backup_key(snapshot: &Snapshot, bytes: &Zeroizing<[u8; 32]>) -> bool {
    let name = SecretName::backup_key();
    let secret = Secret::new(base64::encode(bytes.as_slice()));
    let verdict = snapshot.published_keys().judge(&name, &secret);
    matches!(verdict, Ok(Verdict::Matches { .. }))
}

//! Keys whose description is gone: a recovery key still opens what is encrypted under them.

use std::collections::BTreeSet;

use super::unlock::{FoundKey, KeyText, UnlockError};
use super::view::SecretStorage;
use crate::passphrase::{Budget, PassphraseParameters};
use crate::{Algorithm, KeyCheckOutcome, KeyDescription, KeyId, SecretStorageKey, recovery_key};

impl SecretStorage<'_> {
    /// As [`find_key`](Self::find_key), and a recovery key may also be one of these, whose description
    /// is gone ([`undescribed_keys`](Self::undescribed_keys)): it is the one that opens a secret. A key
    /// that is described is found first.
    ///
    /// # Errors
    ///
    /// [`UnlockError`], of which [`UnlockError::Undescribed`] says that the passphrase of such a key
    /// cannot be tried.
    pub fn find_key_or_undescribed(
        &self,
        text: KeyText<'_>,
        candidates: &[KeyDescription],
        undescribed: &[KeyId],
        budget: &mut Budget,
        before_derivation: impl FnMut(&PassphraseParameters),
    ) -> Result<FoundKey, UnlockError> {
        let (KeyText::Either(typed) | KeyText::Passphrase(typed) | KeyText::RecoveryKey(typed)) =
            text;
        let error = match self.find_key(text, candidates, budget, before_derivation) {
            Err(error) if !undescribed.is_empty() => error,
            // One that opens something is certain.
            Ok(found) if found.outcome != KeyCheckOutcome::Verified => {
                let opens = self.find_undescribed_key(typed, undescribed);
                return Ok(opens.unwrap_or(found));
            }
            found => return found,
        };
        match recovery_key::decode(typed) {
            Ok(_) => self
                .find_undescribed_key(typed, undescribed)
                .ok_or_else(|| {
                    let mut key_ids: Vec<_> =
                        candidates.iter().map(|key| key.id().clone()).collect();
                    key_ids.extend(undescribed.iter().cloned());
                    UnlockError::WrongRecoveryKey { key_ids }
                }),
            Err(mistyped) => Err(match (error, undescribed.first()) {
                (UnlockError::NoKey | UnlockError::NoPassphrase, _)
                    if recovery_key::is_probable(typed) =>
                {
                    mistyped.into()
                }
                (UnlockError::NoKey | UnlockError::NoPassphrase, Some(id)) => {
                    UnlockError::Undescribed { id: id.clone() }
                }
                (error, _) => error,
            }),
        }
    }

    /// The keys that secrets are encrypted under and that have no description which can be read: the
    /// one that the default key names first, the others in order, and no more than
    /// [`MAX_KEYS`](Self::MAX_KEYS).
    #[must_use]
    pub fn undescribed_keys(&self) -> Vec<KeyId> {
        let mut ids = BTreeSet::new();
        for (_, secret) in self.secrets() {
            ids.extend(secret.key_ids().cloned());
        }
        let named = self.default_key();
        let mut ids: Vec<_> = ids.into_iter().filter(|id| self.key(id).is_err()).collect();
        ids.sort_by_key(|id| named.named() != Some(id));
        ids.truncate(Self::MAX_KEYS);
        ids
    }

    /// Finds the key that opens a secret although its description is gone: a recovery key still opens
    /// what is encrypted under it. The MAC of an entry decides.
    #[must_use]
    pub fn find_undescribed_key(&self, recovery_key: &str, ids: &[KeyId]) -> Option<FoundKey> {
        let bytes = recovery_key::decode(recovery_key).ok()?;
        let of = |id: &KeyId| {
            SecretStorageKey::from_bytes(id.clone(), Algorithm::AesHmacSha2, bytes.clone())
        };
        let key = ids.iter().map(of).find(|key| self.opens_something(key))?;
        let outcome = KeyCheckOutcome::Verified;
        Some(FoundKey { key, outcome })
    }
}

//! From what a person typed to the key that it is.

use std::fmt;

use super::view::{NotProvenReason, SecretStorage};
use crate::passphrase::{Budget, ParametersError, Passphrase, PassphraseParameters};
use crate::recovery_key::{self, RecoveryKeyError};
use crate::{
    DefaultKey, KeyCheckOutcome, KeyDescription, KeyDescriptionError, KeyId, KeyInputError,
    SecretName, SecretState, SecretStorageKey,
};

/// The text that a person typed to unlock secret storage, and the kind that they say it is.
///
/// A text is [`Either`](Self::Either) unless the person was asked for one of the two, or chose.
#[derive(Clone, Copy)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a text is one of the two, or it is not known which"
)]
pub enum KeyText<'a> {
    /// A recovery key if it reads as one, else a passphrase.
    Either(&'a str),
    /// A passphrase. What reads as a recovery key is taken for one anyway: nobody chooses the
    /// recovery key of another key as a passphrase.
    Passphrase(&'a str),
    /// A recovery key.
    RecoveryKey(&'a str),
}

impl<'a> From<&'a str> for KeyText<'a> {
    fn from(text: &'a str) -> Self {
        Self::Either(text)
    }
}

impl fmt::Debug for KeyText<'_> {
    /// Leaves the text out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Either(_) => "Either(..)",
            Self::Passphrase(_) => "Passphrase(..)",
            Self::RecoveryKey(_) => "RecoveryKey(..)",
        })
    }
}

/// A key that a text is, and how certain that is.
#[derive(Debug)]
#[non_exhaustive]
pub struct FoundKey {
    /// The key, for reading. [`SecretStorage::prove`] makes it one that may write.
    pub key: SecretStorageKey,
    /// [`Verified`](KeyCheckOutcome::Verified), or [`Unverifiable`](KeyCheckOutcome::Unverifiable)
    /// when its description has no usable check data and it opens no secret.
    pub outcome: KeyCheckOutcome,
}

impl SecretStorage<'_> {
    /// The keys that a text may be, in the order in which they are tried: the default key first. None
    /// is tried of an algorithm that is not known, but the text may be one of these, so that they are
    /// among them.
    #[must_use]
    pub fn candidates(&self) -> Vec<KeyDescription> {
        self.keys().collect()
    }

    /// As [`candidates`](Self::candidates), those first that a secret is encrypted under.
    #[must_use]
    pub fn candidates_for(&self, name: &SecretName) -> Vec<KeyDescription> {
        let mut keys = self.candidates();
        if let SecretState::Encrypted(secret) = self.secret(name) {
            keys.sort_by_key(|key| secret.entry(key.id()).is_none());
        }
        keys
    }

    /// The one key to write with when the user chose none: the default key.
    ///
    /// # Errors
    ///
    /// [`NoWritingKey`]: no other key is taken in its place.
    pub fn writing_candidate(&self) -> Result<KeyDescription, NoWritingKey> {
        match self.default_key() {
            DefaultKey::Key(id) => self
                .key(&id)
                .map_err(|error| NoWritingKey::Damaged { id, error }),
            DefaultKey::Dangling(id) => Err(NoWritingKey::Dangling { id }),
            _ if self.keys().next().is_some() => Err(NoWritingKey::NoDefault),
            _ => Err(NoWritingKey::NotSetUp),
        }
    }

    /// Finds the key that a text is, among the candidates in their order.
    ///
    /// A recovery key is tried as one first; only what cannot be one is taken for a passphrase, and a
    /// recovery key with a typing error is not. A key that is verified, by its check data or by a
    /// secret that opens, wins over one that cannot be checked.
    ///
    /// Each passphrase costs a derivation for each key that it is tried on. The first candidate is
    /// tried first and the others as they get more expensive, until the budget is spent; when some
    /// are left, a key that cannot be checked is not taken for the right one. `before_derivation` is
    /// called before each derivation, which takes a good part of a second: to show that the program
    /// is busy.
    ///
    /// # Errors
    ///
    /// [`UnlockError`]: there is no key, the text is neither of the two, or it fits no
    /// candidate.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::passphrase::Bounds;
    /// use fourfold::{AccountData, KeyCheckOutcome, NewKey, SecretStorage, plan};
    /// use fourfold::storage::KeyText;
    /// let mut account_data = AccountData::default();
    /// let new = NewKey::random(None, &mut rng);
    /// plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
    ///
    /// let storage = SecretStorage::new(&account_data);
    /// let typed = new.key().key().expose_recovery_key();
    /// let (text, keys) = (KeyText::Either(&typed), storage.candidates());
    /// let found = storage.find_key(text, &keys, &mut Bounds::DEFAULT.budget(), |_| {})?;
    /// assert_eq!(found.outcome, KeyCheckOutcome::Verified);
    /// assert_eq!(found.key.id(), new.key().id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_key(
        &self,
        text: KeyText<'_>,
        candidates: &[KeyDescription],
        budget: &mut Budget,
        before_derivation: impl FnMut(&PassphraseParameters),
    ) -> Result<FoundKey, UnlockError> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            candidates.iter().partition(|key| key.algorithm().is_some());
        let unsupported = unknown.first().map(|key| {
            let id = key.id().clone();
            UnlockError::UnsupportedAlgorithm { id }
        });
        if known.is_empty() {
            return Err(unsupported.unwrap_or(UnlockError::NoKey));
        }
        let (is_recovery_key, text) = match text {
            KeyText::RecoveryKey(text) => {
                recovery_key::decode(text)?;
                (true, text)
            }
            KeyText::Passphrase(text) => (recovery_key::decode(text).is_ok(), text),
            KeyText::Either(text) => match recovery_key::decode(text) {
                Ok(_) => (true, text),
                Err(error) if recovery_key::is_probable(text) || !has_passphrase(candidates) => {
                    return Err(error.into());
                }
                Err(_) => (false, text),
            },
        };
        if is_recovery_key {
            let keys = known.iter().filter_map(|description| {
                SecretStorageKey::from_recovery_key(description, text).ok()
            });
            // Nobody mistypes a recovery key into another one: it may well be the one that cannot be
            // tried.
            return best(self, keys).ok_or_else(|| {
                unsupported.unwrap_or_else(|| UnlockError::wrong_recovery_key(&known))
            });
        }
        let passphrase = Passphrase::new(text);
        let found = self.find_by_passphrase(&passphrase, &known, budget, before_derivation);
        found.map_err(|error| match error {
            UnlockError::NoPassphrase => unsupported.unwrap_or(error),
            error => error,
        })
    }

    fn find_by_passphrase(
        &self,
        passphrase: &Passphrase,
        candidates: &[&KeyDescription],
        budget: &mut Budget,
        mut before_derivation: impl FnMut(&PassphraseParameters),
    ) -> Result<FoundKey, UnlockError> {
        let (mut refused, mut left_out) = (None, 0);
        let (mut keys, mut key_ids) = (Vec::new(), Vec::new());
        for description in by_cost(candidates) {
            let Some(parameters) = description.passphrase() else {
                continue;
            };
            if let Ok(parameters) = &parameters {
                before_derivation(parameters);
            }
            match SecretStorageKey::from_passphrase(description, passphrase, budget) {
                Ok(key) if self.check(&key) == KeyCheckOutcome::Verified => {
                    let outcome = KeyCheckOutcome::Verified;
                    return Ok(FoundKey { key, outcome });
                }
                Ok(key) => {
                    key_ids.push(key.id().clone());
                    keys.push(key);
                }
                Err(KeyInputError::Parameters(ParametersError::OverBudget { .. })) => left_out += 1,
                // The first that is tried is the one that is most likely meant.
                Err(error) => {
                    refused.get_or_insert_with(|| (description.id().clone(), error));
                }
            }
        }
        // One of those that were not tried may be the key, and none that cannot be checked is taken
        // for it.
        if left_out > 0 {
            return Err(UnlockError::NotAllTried { left_out });
        }
        // A passphrase that was tried is wrong, whatever is the matter with another key.
        best(self, keys.into_iter()).ok_or(match refused {
            _ if !key_ids.is_empty() => UnlockError::WrongPassphrase { key_ids },
            Some((id, error)) => UnlockError::UnusablePassphrase { id, error },
            None => UnlockError::NoPassphrase,
        })
    }
}

/// Why a text is not a key of secret storage. Its texts may name key IDs, which are untrusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// There is no key to try.
    #[error("there is no key of secret storage")]
    NoKey,
    /// No candidate has a passphrase.
    #[error("no key has a passphrase")]
    NoPassphrase,
    /// The passphrase fits none of the keys that were tried, and the budget was spent before all
    /// were.
    #[error(
        "the passphrase fits none of the keys that were tried, and {left_out} more would take more \
         than {} iterations in total",
        Budget::TOTAL
    )]
    NotAllTried {
        /// The number of keys that were not tried.
        left_out: usize,
    },
    /// It is the key, but it may not write ([`Snapshot::unlock`](crate::Snapshot::unlock) only).
    #[error("{0}")]
    NotProven(NotProvenReason),
    /// It is no recovery key, and no passphrase either where one is possible.
    #[error(transparent)]
    RecoveryKey(#[from] RecoveryKeyError),
    /// It is no recovery key, and a passphrase needs what the description of the key said.
    #[error("the description of the key {id} is gone, without which its passphrase cannot be used")]
    Undescribed {
        /// The key.
        id: KeyId,
    },
    /// A key is of an algorithm that is not known, and it is none of the other candidates.
    #[error("it fits no key that can be tried, and the key {id} uses an unknown algorithm")]
    UnsupportedAlgorithm {
        /// The key, or the first of several.
        id: KeyId,
    },
    /// No key's passphrase could be tried: the parameters of this one cannot be used.
    #[error("key {id}: {error}")]
    UnusablePassphrase {
        /// The key.
        id: KeyId,
        /// Why its passphrase cannot be used.
        error: KeyInputError,
    },
    /// It is a passphrase, of none of the keys that it was tried on.
    #[error("this {}", fits_none("passphrase", key_ids))]
    WrongPassphrase {
        /// The keys that it was tried on.
        key_ids: Vec<KeyId>,
    },
    /// It is a recovery key, of none of the candidates.
    #[error("this {}", fits_none("recovery key", key_ids))]
    WrongRecoveryKey {
        /// The candidates.
        key_ids: Vec<KeyId>,
    },
}

crate::error_code::error_codes! {
    UnlockError:
    Self::NoKey { .. } => "unlock_no_key",
    Self::NoPassphrase { .. } => "unlock_no_passphrase",
    Self::NotAllTried { .. } => "unlock_not_all_tried",
    Self::Undescribed { .. } => "unlock_undescribed",
    Self::UnsupportedAlgorithm { .. } => "unlock_unsupported_algorithm",
    Self::UnusablePassphrase { .. } => "unlock_unusable_passphrase",
    Self::WrongPassphrase { .. } => "unlock_wrong_passphrase",
    Self::WrongRecoveryKey { .. } => "unlock_wrong_recovery_key",
    ;
    Self::NotProven(error) => error,
    Self::RecoveryKey(error) => error,
}

impl UnlockError {
    fn wrong_recovery_key(candidates: &[&KeyDescription]) -> Self {
        let key_ids = ids(candidates);
        Self::WrongRecoveryKey { key_ids }
    }
}

/// Why there is no key to write with that nobody had to choose.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoWritingKey {
    /// The description of the default key cannot be read.
    #[error("the default key {id}: {error}")]
    Damaged {
        /// The key. Untrusted text.
        id: KeyId,
        /// The problem with its description.
        error: KeyDescriptionError,
    },
    /// The default key has no description.
    #[error("the default key {id} has no description")]
    Dangling {
        /// The key. Untrusted text.
        id: KeyId,
    },
    /// There are keys, but none is the default.
    #[error("there is no default key")]
    NoDefault,
    /// There is no key at all.
    #[error("secret storage is not set up")]
    NotSetUp,
}

crate::error_code::error_codes! {
    NoWritingKey:
    Self::Damaged { .. } => "no_writing_key_damaged",
    Self::Dangling { .. } => "no_writing_key_dangling",
    Self::NoDefault { .. } => "no_writing_key_no_default",
    Self::NotSetUp { .. } => "no_writing_key_not_set_up",
}

fn has_passphrase(candidates: &[KeyDescription]) -> bool {
    candidates.iter().any(|key| key.passphrase().is_some())
}

/// The key that is most likely meant first, and then those that cost least: so a server that lists
/// expensive keys does not keep the others from being tried.
fn by_cost<'a>(candidates: &[&'a KeyDescription]) -> Vec<&'a KeyDescription> {
    let iterations = |key: &KeyDescription| match key.passphrase() {
        Some(Ok(parameters)) => parameters.iterations(),
        _ => 0,
    };
    let mut keys = candidates.to_vec();
    if let Some((_, others)) = keys.split_first_mut() {
        others.sort_by_key(|key| iterations(key));
    }
    keys
}

/// The first key that is verified, or else the first that at least cannot be refuted.
fn best(
    storage: &SecretStorage<'_>,
    keys: impl Iterator<Item = SecretStorageKey>,
) -> Option<FoundKey> {
    let mut uncertain = None;
    for key in keys {
        let outcome = storage.check(&key);
        match outcome {
            KeyCheckOutcome::Verified => return Some(FoundKey { key, outcome }),
            KeyCheckOutcome::Unverifiable if uncertain.is_none() => {
                uncertain = Some(FoundKey { key, outcome });
            }
            KeyCheckOutcome::Unverifiable | KeyCheckOutcome::Mismatch => {}
        }
    }
    uncertain
}

fn ids(candidates: &[&KeyDescription]) -> Vec<KeyId> {
    candidates.iter().map(|key| key.id().clone()).collect()
}

fn fits_none(what: &str, key_ids: &[KeyId]) -> String {
    match key_ids {
        [only] => format!("is not the {what} of the key {only}"),
        _ => format!("{what} fits none of the {} keys", key_ids.len()),
    }
}

#[cfg(test)]
mod tests {
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    use super::*;
    use crate::{AccountData, Content, NewKey, Secret};

    fn key(id: &str, iterations: u32) -> KeyDescription {
        let content = format!(
            r#"{{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","passphrase":{{"algorithm":
            "m.pbkdf2","salt":"saltsaltsalt","iterations":{iterations}}}}}"#
        );
        let content = Content::from_json(&content).unwrap();
        KeyDescription::new(KeyId::new(id).unwrap(), content).unwrap()
    }

    // shows: KEY-05
    #[test]
    fn what_costs_much_is_tried_after_what_costs_little() {
        let keys = [
            key("default", 500_000),
            key("dear", 9_000_000),
            key("cheap", 100_000),
            key("usual", 500_000),
        ];
        let keys: Vec<_> = keys.iter().collect();
        let ids: Vec<_> = by_cost(&keys).iter().map(|key| key.id().as_str()).collect();
        assert_eq!(ids, ["default", "cheap", "usual", "dear"]);
        assert!(by_cost(&[]).is_empty());
    }

    // The one key under two IDs, as a client that copied the entry leaves it.
    #[test]
    fn a_key_without_a_description_is_looked_for_under_the_id_that_was_chosen() {
        let rng = &mut UnwrapErr(SysRng);
        let new = NewKey::random(None, rng);
        let (name, secret) = (SecretName::new("a").unwrap(), Secret::new("x"));
        let entry = new.key().seal(&name, &secret, rng).unwrap();
        let mut encrypted = Content::default();
        encrypted.insert("first", &entry);
        encrypted.insert("second", &entry);
        let mut content = Content::default();
        content.insert("encrypted", &encrypted);
        let mut account_data = AccountData::default();
        account_data.insert(name.as_str(), &content);
        let storage = SecretStorage::new(&account_data);
        let text = new.key().key().expose_recovery_key();
        let found = |chosen: Option<&str>| {
            let all = storage.undescribed_keys();
            let ids = chosen.map_or(all, |id| vec![KeyId::new(id).unwrap()]);
            let found = storage.find_undescribed_key(&text, &ids);
            found.map(|found| found.key.id().as_str().to_owned())
        };
        assert_eq!(found(None).as_deref(), Some("first"));
        for id in ["first", "second"] {
            assert_eq!(found(Some(id)).as_deref(), Some(id));
        }
        assert_eq!(found(Some("third")), None);
    }

    #[test]
    fn the_text_is_not_printed() {
        for text in [
            KeyText::Either("hubcap"),
            KeyText::Passphrase("hubcap"),
            KeyText::RecoveryKey("hubcap"),
        ] {
            assert!(!format!("{text:?}").contains("hubcap"));
        }
    }

    #[test]
    fn an_error_names_the_one_key_or_their_number() {
        let one = UnlockError::wrong_recovery_key(&[&key("abc", 1)]);
        assert_eq!(
            one.to_string(),
            "this is not the recovery key of the key abc"
        );
        let key_ids = ids(&[&key("abc", 1), &key("def", 1)]);
        let more = UnlockError::WrongPassphrase { key_ids };
        assert_eq!(more.to_string(), "this passphrase fits none of the 2 keys");
    }
}

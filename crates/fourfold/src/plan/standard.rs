//! The standard secrets, which every client of the user expects in secret storage.
//!
//! [Recommended client
//! behaviour](https://spec.matrix.org/v1.19/client-server-api/#recommended-client-behaviour): the
//! three cross-signing keys and the key of the backup, under the default key.

use rand_core::CryptoRng;

use super::backup_wish::enable_backup;
use super::draft::Draft;
use super::key::{put_default, warn_of_unopened};
use super::repair::{AddCopyError, add_copy};
use super::secret::{StoreError, WritingKey, store};
use super::steps::Plan;
use crate::secret_kind::is_same_value;
use crate::{
    DefaultKey, ProvenKey, PublishedKeys, Secret, SecretName, SecretStorage, SecretValueError,
    Verdict,
};

/// Stores those of these secrets under a key that it does not open yet, says in `m.key_backup` that
/// the user wants a backup if one of them is its key and nothing was said about that before, and
/// makes the key the default when there is none. What is there already stays as it is: doing it
/// twice is doing it once.
///
/// The default comes last, so that other clients see either nothing or everything.
///
/// # Errors
///
/// [`CompleteError`]: a secret is not stored, or the key opens another value already and no public
/// key tells which one is right.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{AccountData, PublishedKeys, NewKey, SecretStorage, cross_signing::CrossSigningKeys, plan};
/// let mut account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// plan::create_key(&SecretStorage::new(&account_data), &new).apply_to(&mut account_data);
///
/// let secrets = CrossSigningKeys::generate(&mut rng).secrets();
/// let mut complete = |account_data: &AccountData| {
///     let storage = SecretStorage::new(account_data);
///     plan::complete(&storage, new.key(), &secrets, &PublishedKeys::default(), &mut rng)
/// };
/// let plan = complete(&account_data)?;
/// assert_eq!(plan.steps.len(), 4); // three secrets, and the default key
/// plan.apply_to(&mut account_data);
/// assert!(complete(&account_data)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn complete(
    storage: &SecretStorage<'_>,
    key: &ProvenKey,
    secrets: &[(SecretName, Secret)],
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, CompleteError> {
    complete_beside(storage, key, secrets, published_keys, Others::Removed, rng)
}

/// What becomes of the entries under other keys.
#[derive(Clone, Copy)]
pub(super) enum Others {
    /// They go: they hold older values.
    Removed,
    /// They stay: the older values may be needed once the lost key is found.
    Kept,
}

/// The same, and says what becomes of the entries under other keys.
pub(super) fn complete_beside(
    storage: &SecretStorage<'_>,
    key: &ProvenKey,
    secrets: &[(SecretName, Secret)],
    published_keys: &PublishedKeys,
    others: Others,
    rng: &mut impl CryptoRng,
) -> Result<Plan, CompleteError> {
    let mut draft = Draft::new(storage, "store the standard secrets");
    for (name, secret) in secrets {
        let refused = |error| CompleteError::Store {
            name: name.clone(),
            error,
        };
        if let Ok(there) = storage.open_entry(name, key.key()) {
            if is_same_value(name, &there.secret, secret) {
                continue;
            }
            let verdict = published_keys.judge(name, secret).map_err(value(name))?;
            if !matches!(verdict, Verdict::Matches { .. }) {
                return Err(CompleteError::OtherValue { name: name.clone() });
            }
            draft.warn(format!(
                "the value of {name} under {} is different, and is replaced",
                key.id()
            ));
        }
        let keys = [WritingKey::Proven(key)];
        // Each secret is an event of its own: what the steps before put does not matter here.
        draft.append(match others {
            Others::Removed => {
                store(storage, name, secret, &keys, published_keys, rng).map_err(refused)?
            }
            Others::Kept => {
                let added = add_copy(storage, name, secret, key, published_keys, rng);
                let name = name.clone();
                added.map_err(|error| CompleteError::Add { name, error })?
            }
        });
    }
    if secrets
        .iter()
        .any(|(name, _)| *name == SecretName::backup_key())
    {
        enable_backup(&mut draft);
    }
    if !names_a_key(storage) {
        warn_of_unopened(&mut draft, key.id());
        put_default(&mut draft, key.id());
    }
    Ok(draft.finish())
}

/// Why the standard secrets are not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// A secret cannot be stored beside what is there.
    #[error("{name}: {error}")]
    Add {
        /// The secret.
        name: SecretName,
        /// Why.
        error: AddCopyError,
    },
    /// The key opens another value already, and no public key tells which one is right.
    #[error("{name} already holds a different value; delete it or store the right one")]
    OtherValue {
        /// The secret.
        name: SecretName,
    },
    /// A secret cannot be stored.
    #[error("{name}: {error}")]
    Store {
        /// The secret.
        name: SecretName,
        /// Why.
        error: StoreError,
    },
}

crate::error_code::error_codes! {
    CompleteError:
    Self::Add { .. } => "complete_add",
    Self::OtherValue { .. } => "complete_other_value",
    Self::Store { .. } => "complete_store",
}

/// Whether there is a default key, or one that something is encrypted under.
fn names_a_key(storage: &SecretStorage<'_>) -> bool {
    match storage.default_key() {
        DefaultKey::Key(_) => true,
        DefaultKey::Dangling(_) => !storage.holds_nothing(),
        DefaultKey::Absent | DefaultKey::Deleted | DefaultKey::Malformed => false,
    }
}

fn value(name: &SecretName) -> impl FnOnce(SecretValueError) -> CompleteError {
    let name = name.clone();
    |error| CompleteError::Store {
        name,
        error: StoreError::Value(error),
    }
}

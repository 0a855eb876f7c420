//! Plans for keys: the first one, another one, the default, and removing one.

use super::draft::{Draft, NotDescribed, check_described};
use super::steps::Plan;
use crate::secret_kind::is_same_value;
use crate::{
    Content, DefaultKey, KeyDescriptionError, KeyId, NewKey, ProvenKey, PublishedKeys, SecretName,
    SecretStorage, SecretStorageKey,
};

/// Sets secret storage up: the first key, as the default.
///
/// # Errors
///
/// [`SetUpError::AlreadySetUp`] when a key is described or a secret is there.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{AccountData, NewKey, SecretStorage, plan};
/// let account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// let plan = plan::set_up(&SecretStorage::new(&account_data), &new)?;
/// assert_eq!(plan.steps.len(), 2);
/// # Ok::<(), plan::SetUpError>(())
/// ```
pub fn set_up(storage: &SecretStorage<'_>, new: &NewKey) -> Result<Plan, SetUpError> {
    if !storage.holds_nothing() {
        return Err(SetUpError::AlreadySetUp);
    }
    let mut draft = Draft::new(storage, "set up secret storage");
    put_description(&mut draft, new);
    put_default(&mut draft, new.key().id());
    Ok(draft.finish())
}

/// Adds a key. It opens nothing yet, and the default stays as it is.
#[must_use]
pub fn create_key(storage: &SecretStorage<'_>, new: &NewKey) -> Plan {
    let mut draft = Draft::new(storage, format!("create the key {}", new.key().id()));
    put_description(&mut draft, new);
    draft.finish()
}

/// Adds a key and makes it the default, whatever was there before. What is stored stays as it is;
/// the warnings name the secrets that the new key does not open.
#[must_use]
pub fn create_default_key(storage: &SecretStorage<'_>, new: &NewKey) -> Plan {
    let mut draft = Draft::new(
        storage,
        format!("create the default key {}", new.key().id()),
    );
    put_description(&mut draft, new);
    warn_of_unopened(&mut draft, new.key().id());
    put_default(&mut draft, new.key().id());
    draft.finish()
}

/// Makes a key the default. Secrets that it does not open are named in the warnings.
///
/// # Errors
///
/// [`ChangeDefaultError`] when account data does not describe the key.
pub fn change_default(
    storage: &SecretStorage<'_>,
    key: &ProvenKey,
) -> Result<Plan, ChangeDefaultError> {
    check_described(storage, key).map_err(ChangeDefaultError)?;
    let mut draft = Draft::new(storage, format!("make {} the default key", key.id()));
    warn_of_unopened(&mut draft, key.id());
    put_default(&mut draft, key.id());
    Ok(draft.finish())
}

/// Removes a key: its entries from all secrets, then its description.
///
/// Every secret that is encrypted under it must open with one of the `remaining` keys, to a value
/// that fits the published keys. The removed key may be among them: then a copy under it that holds
/// another value counts as a last one, and one that holds the same value does not, wrong or not; a
/// warning says so.
///
/// # Errors
///
/// [`RemoveKeyError`]: no such key, it is the default, or it holds a last readable copy or what may
/// be the last right one.
pub fn remove_key(
    storage: &SecretStorage<'_>,
    id: &KeyId,
    remaining: &[&SecretStorageKey],
    published_keys: &PublishedKeys,
) -> Result<Plan, RemoveKeyError> {
    if matches!(
        storage.key(id),
        Err(KeyDescriptionError::Missing | KeyDescriptionError::Deleted)
    ) && !storage
        .secrets()
        .any(|(_, secret)| secret.entry(id).is_some())
    {
        return Err(RemoveKeyError::NoSuchKey);
    }
    if storage.default_key() == DefaultKey::Key(id.clone()) {
        return Err(RemoveKeyError::IsDefault);
    }
    let mut draft = Draft::new(storage, format!("remove the key {id}"));
    let (mut last_copies, mut wrong) = (Vec::new(), Vec::new());
    for (name, secret) in storage.secrets() {
        if secret.entry(id).is_none() {
            continue;
        }
        let removed = remaining
            .iter()
            .find(|key| key.id() == id)
            .and_then(|key| storage.open_entry(&name, key).ok());
        // Each copy of the others that may stand for the removed one, and what is wrong with it.
        let copies: Vec<_> = remaining
            .iter()
            .filter(|key| key.id() != id)
            .filter_map(|key| Some((key.id(), storage.open_entry(&name, key).ok()?)))
            .filter(|(_, copy)| {
                removed
                    .as_ref()
                    .is_none_or(|removed| is_same_value(&name, &removed.secret, &copy.secret))
            })
            .map(|(id, copy)| (id, copy.judge(&name, published_keys).err()))
            .collect();
        let right = copies.iter().find(|(_, problem)| problem.is_none());
        match right.or_else(|| copies.first()) {
            None => last_copies.push(name),
            Some((_, Some(_))) if removed.is_none() => wrong.push(name),
            Some((key, problem)) => {
                if let Some(problem) = problem {
                    draft.warn(format!("{name} is wrong under {key} too: {problem}"));
                }
                let reason = format!("{name} stays readable with the key {key}");
                draft.put(name.as_str(), secret.without_entry(id), reason);
            }
        }
    }
    last_copies.extend(storage.unreadable_secrets(id));
    if !last_copies.is_empty() {
        return Err(RemoveKeyError::LastCopy { names: last_copies });
    }
    if !wrong.is_empty() {
        return Err(RemoveKeyError::OnlyWrongCopies { names: wrong });
    }
    draft.warn_of_old_ciphertext();
    retire_description(&mut draft, id);
    Ok(draft.finish())
}

/// Why secret storage is not set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetUpError {
    /// There are keys or secrets already.
    #[error("secret storage is already set up")]
    AlreadySetUp,
}

crate::error_code::error_codes! {
    SetUpError:
    Self::AlreadySetUp { .. } => "set_up_already_set_up",
}

/// The key cannot become the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct ChangeDefaultError(NotDescribed);

crate::error_code::error_codes! {
    ChangeDefaultError:
    ;
    Self(error) => error,
}

/// Why a key is not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveKeyError {
    /// It is the default key.
    #[error("this is the default key; make another one the default first, or rotate it")]
    IsDefault,
    /// None of the remaining keys opens these secrets.
    #[error("these secrets would become unreadable: {}", list(names))]
    LastCopy {
        /// Their names. Untrusted text: other clients and the server choose the names.
        names: Vec<SecretName>,
    },
    /// There is no such key, nor anything encrypted under it.
    #[error("there is no such key")]
    NoSuchKey,
    /// What the remaining keys open does not fit the published keys: the removed key may hold the
    /// last right value. Give that key too, so that the values are compared.
    #[error(
        "the remaining keys open wrong values of these secrets: {}",
        list(names)
    )]
    OnlyWrongCopies {
        /// Their names. Untrusted text: other clients and the server choose the names.
        names: Vec<SecretName>,
    },
}

crate::error_code::error_codes! {
    RemoveKeyError:
    Self::IsDefault { .. } => "remove_key_is_default",
    Self::LastCopy { .. } => "remove_key_last_copy",
    Self::NoSuchKey { .. } => "remove_key_no_such_key",
    Self::OnlyWrongCopies { .. } => "remove_key_only_wrong_copies",
}

pub(super) fn put_description(draft: &mut Draft, new: &NewKey) {
    let description = new.description();
    draft.put(
        description.id().event_type(),
        description.content().clone(),
        format!("describe the new key {}", description.id()),
    );
}

pub(super) fn put_default(draft: &mut Draft, id: &KeyId) {
    let reason = format!("make {id} the default key");
    draft.put(DefaultKey::EVENT_TYPE, DefaultKey::content(id), reason);
}

pub(super) fn warn_of_unopened(draft: &mut Draft, id: &KeyId) {
    let secrets: Vec<_> = draft.storage().secrets().collect();
    for (name, secret) in secrets {
        if secret.entry(id).is_none() {
            draft.warn(format!("{name} is not encrypted under {id}"));
        }
    }
}

pub(super) fn retire_description(draft: &mut Draft, id: &KeyId) {
    let reason = format!("retire the key {id}: it opens nothing any more");
    draft.put(id.event_type(), Content::default(), reason);
}

fn list(names: &[SecretName]) -> String {
    names
        .iter()
        .map(SecretName::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

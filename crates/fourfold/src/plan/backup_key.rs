//! Plans that store a private key of the key backup, and lose none by it.

use rand_core::CryptoRng;

use super::draft::{Draft, NotDescribed, check_described};
use super::steps::Plan;
use crate::backup::{BackupKey, KeyCopy, former};
use crate::encrypted_secret::ENCRYPTED;
use crate::{
    Authenticity, BackupVersion, Content, EncryptedSecretError, KeyId, ProvenKey, Secret,
    SecretName, SecretState, SecretStorage, SecretValueError,
};

/// Puts the private key of the current version of the key backup where every client looks for it, under
/// these keys of secret storage. What lay there is kept under a [name of its own](former) first. `older`
/// are the versions that are known beside the current one. The plan is empty when it lies there already.
///
/// # Errors
///
/// [`BackupKeyError`], of which [`BackupKeyError::OtherVersion`] is the private key of another version.
pub fn restore_backup_key(
    storage: &SecretStorage<'_>,
    current: &BackupVersion,
    older: &[BackupVersion],
    key: &BackupKey,
    keys: &[&ProvenKey],
    rng: &mut impl CryptoRng,
) -> Result<Plan, BackupKeyError> {
    if !key.is_key_of(current) {
        return Err(BackupKeyError::OtherVersion);
    }
    let versions: Vec<_> = std::iter::once(current).chain(older).collect();
    let mut draft = Draft::new(storage, "put the private key of the key backup back");
    keep_former(&mut draft, key, &versions, keys, &[], rng)?;
    put_backup_key(&mut draft, key, keys, rng)?;
    Ok(draft.finish())
}

/// Keeps what will be replaced by a private key under names of their own: the values that these keys
/// open, and those that lie elsewhere.
pub(super) fn keep_former(
    draft: &mut Draft,
    new: &BackupKey,
    versions: &[&BackupVersion],
    keys: &[&ProvenKey],
    held: &[KeyCopy],
    rng: &mut impl CryptoRng,
) -> Result<(), BackupKeyError> {
    let name = SecretName::backup_key();
    let mut former = Vec::new();
    for key in keys {
        let Ok(opened) = draft.storage().open_entry(&name, key.key()) else {
            continue;
        };
        match BackupKey::read(&opened.secret) {
            // A passthrough entry says that the key of secret storage is that of the backup: it is only
            // believed of a backup that has that key.
            Ok(value)
                if opened.authenticity == Authenticity::Passthrough
                    && !versions.iter().any(|version| value.is_key_of(version)) => {}
            Ok(value) => former.push(value),
            Err(_) => draft.warn(format!(
                "the value of {name} under {} is no private key, and is replaced",
                key.id()
            )),
        }
    }
    let held = held.iter().map(|copy| &copy.key);
    for value in former.iter().chain(held) {
        if value.public_key() != new.public_key() {
            keep(draft, value, versions, keys, rng)?;
        }
    }
    Ok(())
}

/// Stores a private key under the standard name, under each of these keys. Copies under other keys
/// stay, because nobody knows what they hold.
pub(super) fn put_backup_key(
    draft: &mut Draft,
    key: &BackupKey,
    keys: &[&ProvenKey],
    rng: &mut impl CryptoRng,
) -> Result<(), BackupKeyError> {
    let name = SecretName::backup_key();
    if let SecretState::Encrypted(secret) = draft.storage().secret(&name) {
        let at_hand = |id: &KeyId| keys.iter().any(|key| key.id() == id);
        for id in secret.key_ids().filter(|id| !at_hand(id)) {
            draft.warn(format!(
                "the copy of {name} under the key {id} is left as it is: with that key too, it would be \
                 renewed"
            ));
        }
    }
    let reason = format!("store the private key of the key backup as {name}");
    put(draft, &name, &key.secret(), keys, &reason, rng)
}

/// Keeps one private key, unless it is kept already.
fn keep(
    draft: &mut Draft,
    value: &BackupKey,
    versions: &[&BackupVersion],
    keys: &[&ProvenKey],
    rng: &mut impl CryptoRng,
) -> Result<(), BackupKeyError> {
    let names: Vec<_> = former::names_for(value, versions.iter().copied()).collect();
    let is_kept = |name: &SecretName| {
        let storage = draft.storage();
        keys.iter().all(|key| {
            let opened = storage.open_entry(name, key.key()).ok();
            let there = opened.and_then(|opened| BackupKey::read(&opened.secret).ok());
            there.is_some_and(|there| there.public_key() == value.public_key())
        })
    };
    if names.iter().any(is_kept) {
        return Ok(());
    }
    let is_free = |name: &&SecretName| {
        let storage = draft.storage();
        matches!(
            storage.secret(name),
            SecretState::Absent | SecretState::Deleted | SecretState::Emptied | SecretState::Null
        ) || keys.iter().any(|key| {
            // Kept under some of the keys: the others are added.
            let opened = storage.open_entry(name, key.key()).ok();
            let there = opened.and_then(|opened| BackupKey::read(&opened.secret).ok());
            there.is_some_and(|there| there.public_key() == value.public_key())
        })
    };
    let free = names.iter().find(is_free).cloned();
    let name = free.ok_or(BackupKeyError::NamesTaken)?;
    let reason = match former::version_of(&name) {
        Some(version) => format!("keep the private key of version {version} of the key backup"),
        None => "keep a private key of the key backup whose version is not known".to_owned(),
    };
    put(draft, &name, &value.secret(), keys, &reason, rng)
}

fn put(
    draft: &mut Draft,
    name: &SecretName,
    value: &Secret,
    keys: &[&ProvenKey],
    reason: &str,
    rng: &mut impl CryptoRng,
) -> Result<(), BackupKeyError> {
    if keys.is_empty() {
        return Err(BackupKeyError::NoKey);
    }
    for key in keys {
        check_described(&draft.storage(), key)?;
        let there = draft.storage().open_entry(name, key.key());
        if there.is_ok_and(|there| there.secret.is_same(value)) {
            continue;
        }
        let entry = key
            .seal(name, value, rng)
            .ok_or(BackupKeyError::Needs2019Profile)?;
        let content = match draft.storage().secret(name) {
            SecretState::Encrypted(existing) => existing.with_entry(key.id(), &entry),
            SecretState::Malformed(error) if error.can_hide_entries() => {
                return Err(BackupKeyError::Damaged {
                    name: name.clone(),
                    error,
                });
            }
            _ => {
                let mut encrypted = Content::default();
                encrypted.insert(key.id().as_str(), &entry);
                let mut content = Content::default();
                content.insert(ENCRYPTED, &encrypted);
                content
            }
        };
        draft.put(name.as_str(), content, reason);
    }
    Ok(())
}

/// Why a private key of the key backup is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupKeyError {
    /// The account data of this name is damaged, and may hold copies that another client reads.
    #[error("{name}: {error}")]
    Damaged {
        /// The name.
        name: SecretName,
        /// The damage.
        error: EncryptedSecretError,
    },
    /// Every name under which a former private key could be kept holds another one.
    #[error("the former private key cannot be kept: other values lie under its names")]
    NamesTaken,
    /// The key of secret storage is one of 2019.
    #[error("the key is of the 2019 algorithm; migrate the account first")]
    Needs2019Profile,
    /// No key of secret storage was given.
    #[error("no key to encrypt under was given")]
    NoKey,
    /// The account data does not describe the key of secret storage.
    #[error(transparent)]
    NotDescribed(#[from] NotDescribed),
    /// It is the private key of another version than the current one.
    #[error("this is not the private key of the current version of the key backup")]
    OtherVersion,
    /// It is no private key.
    #[error("it is no private key of a key backup: {0}")]
    Value(SecretValueError),
}

crate::error_code::error_codes! {
    BackupKeyError:
    Self::Damaged { .. } => "backup_key_damaged",
    Self::NamesTaken { .. } => "backup_key_names_taken",
    Self::Needs2019Profile { .. } => "backup_key_needs_2019_profile",
    Self::NoKey { .. } => "backup_key_no_key",
    Self::OtherVersion { .. } => "backup_key_other_version",
    Self::Value { .. } => "backup_key_value",
    ;
    Self::NotDescribed(error) => error,
}

//! Plans that mend what is damaged, and lose no copy that opens.

use rand_core::CryptoRng;

use super::backup_wish::{BACKUP_DISABLED, KEY_BACKUP};
use super::draft::{Draft, NotDescribed, check_described};
use super::steps::Plan;
use crate::encrypted_secret::ENCRYPTED;
use crate::secret_kind::normalise;
use crate::{
    Algorithm, Content, EncryptedSecretError, EventState, KeyDescription, KeyDescriptionError,
    KeyId, ProvenKey, PublishedKeys, Secret, SecretName, SecretState, SecretStorage,
    SecretStorageKey, SecretValueError,
};

/// Encrypts a value under a key, in the form that is written today, in place of what lies under that
/// key. The entries of all other keys stay. The plan is empty when the key opens this very value.
///
/// # Errors
///
/// [`AddCopyError`]: the value is not what its name says, or the key cannot be written with.
pub fn add_copy(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    secret: &Secret,
    to: &ProvenKey,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, AddCopyError> {
    check_described(storage, to)?;
    published_keys.judge(name, secret)?;
    let normalised = normalise(name, secret);
    let secret = normalised.as_ref().unwrap_or(secret);
    let mut draft = Draft::new(storage, format!("encrypt {name} under {}", to.id()));
    let there = storage.open_entry(name, to.key());
    if there.is_ok_and(|there| there.secret.is_same(secret)) {
        return Ok(draft.finish());
    }
    let entry = to
        .seal(name, secret, rng)
        .ok_or(AddCopyError::Needs2019Profile)?;
    let content = match storage.secret(name) {
        SecretState::Encrypted(existing) => existing.with_entry(to.id(), &entry),
        SecretState::Malformed(error) if error.can_hide_entries() => {
            return Err(AddCopyError::Damaged(error));
        }
        // Nothing is there that anybody could open.
        _ => {
            let mut encrypted = Content::default();
            encrypted.insert(to.id().as_str(), &entry);
            let mut content = Content::default();
            content.insert(ENCRYPTED, &encrypted);
            content
        }
    };
    let reason = format!("encrypt {name} under {}", to.id());
    draft.put(name.as_str(), content, reason);
    Ok(draft.finish())
}

/// Describes a key again, whose description is gone or cannot be read, or that has no check data that
/// could be used. What else the description says stays.
///
/// # Errors
///
/// [`DescribeError`]: the key opens nothing, so that it may be the wrong one, or it is of 2019.
pub fn describe_again(
    storage: &SecretStorage<'_>,
    key: &SecretStorageKey,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DescribeError> {
    if !storage.opens_something(key) {
        return Err(DescribeError::OpensNothing);
    }
    let check = key.new_check(rng).ok_or(DescribeError::Needs2019Profile)?;
    let mut content = match storage.account_data().state(&key.id().event_type()) {
        EventState::Content(content) => content,
        _ => Content::default(),
    };
    content.insert("algorithm", Algorithm::AesHmacSha2.name());
    content.insert_base64("iv", &check.iv);
    content.insert_base64("mac", &check.mac);
    let mut draft = Draft::new(storage, format!("describe the key {} again", key.id()));
    let reason = format!("describe the key {}, which opens what is there", key.id());
    draft.put(key.id().event_type(), content, reason);
    Ok(draft.finish())
}

/// Puts the description of a key back as it was remembered.
///
/// # Errors
///
/// [`DescribeError::Remembered`] when what was remembered describes no key.
pub fn restore_description(
    storage: &SecretStorage<'_>,
    id: &KeyId,
    remembered: &Content,
) -> Result<Plan, DescribeError> {
    let description = KeyDescription::new(id.clone(), remembered.clone());
    description.map_err(DescribeError::Remembered)?;
    let mut draft = Draft::new(storage, format!("put the description of the key {id} back"));
    let reason = format!("describe the key {id} as before");
    draft.put(id.event_type(), remembered.clone(), reason);
    Ok(draft.finish())
}

/// Says under the older, inverted name of the setting what `m.key_backup` says of backups. The plan is
/// empty when that says nothing.
#[must_use]
pub fn align_backup_flags(storage: &SecretStorage<'_>) -> Plan {
    let mut draft = Draft::new(storage, "make both settings of key backup agree");
    let content = |event_type| match storage.account_data().state(event_type) {
        EventState::Content(content) => content,
        _ => Content::default(),
    };
    if let Some(Ok(enabled)) = content(KEY_BACKUP).get::<bool>("enabled") {
        let mut older = content(BACKUP_DISABLED);
        older.insert("disabled", &!enabled);
        let reason = "write the setting of m.key_backup for clients that only know the older name";
        draft.put(BACKUP_DISABLED, older, reason);
    }
    draft.finish()
}

/// Why a value is not encrypted under a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddCopyError {
    /// The account data of this name is damaged, and may hold copies that another client reads.
    #[error("{0}")]
    Damaged(EncryptedSecretError),
    /// The key is one of 2019.
    #[error("the key is of the 2019 algorithm; migrate the account first")]
    Needs2019Profile,
    /// The account data does not describe the key.
    #[error(transparent)]
    NotDescribed(#[from] NotDescribed),
    /// It is not what its name says.
    #[error(transparent)]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    AddCopyError:
    Self::Damaged { .. } => "add_copy_damaged",
    Self::Needs2019Profile { .. } => "add_copy_needs_2019_profile",
    ;
    Self::NotDescribed(error) => error,
    Self::Value(error) => error,
}

/// Why a key is not described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescribeError {
    /// The key is one of 2019, whose description the master key signs.
    #[error("the key is of the 2019 algorithm; migrate the account first")]
    Needs2019Profile,
    /// Nothing shows that it is the right key.
    #[error("the key opens no secret, so it may be wrong")]
    OpensNothing,
    /// What was remembered describes no key.
    #[error("what was remembered cannot be used: {0}")]
    Remembered(KeyDescriptionError),
}

crate::error_code::error_codes! {
    DescribeError:
    Self::Needs2019Profile { .. } => "describe_needs_2019_profile",
    Self::OpensNothing { .. } => "describe_opens_nothing",
    Self::Remembered { .. } => "describe_remembered",
}

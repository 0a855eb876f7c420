//! Plans for the server-side key backup.

use rand_core::CryptoRng;

use super::action::{Action, CreateKeyBackup, DeleteKeyBackup, SignKeyBackup, StepState};
use super::backup_key::{BackupKeyError, keep_former, put_backup_key};
use super::backup_wish::want_backup;
use super::draft::Draft;
use super::steps::Plan;
use crate::backup::{BackupKey, CurrentBackup, KeyCopy, ShownVersion};
use crate::secret_kind::PublishedKeys;
use crate::signed_json::{SignatureError, SigningKey};
use crate::{
    BackupVersion, NewKeyBackup, ProvenKey, Secret, SecretName, SecretStorage, SecretValueError,
    Verdict,
};

/// Makes a new version of the key backup, which becomes the current one. `current` is the version
/// that there is. The plan is empty when that one has this key already.
#[must_use]
pub fn create_key_backup(current: Option<&BackupVersion>, new: &NewKeyBackup) -> Plan {
    let mut plan = Plan::new("create a key backup");
    let step = CreateKeyBackup::over(current, new);
    if step.state(current) != StepState::Done {
        plan.step("create a key backup", Action::CreateKeyBackup(step));
    }
    plan
}

/// Makes a new version of the key backup in place of one that cannot be read, which stays at the
/// server beside it.
#[must_use]
pub fn replace_unreadable_key_backup(new: &NewKeyBackup) -> Plan {
    let mut plan = Plan::new("create a key backup");
    plan.step(
        "create a key backup in place of the one that cannot be read",
        Action::CreateKeyBackup(CreateKeyBackup::over_unreadable(new)),
    );
    plan
}

/// Makes a new version of the key backup beside those that there are, and stores its private key under
/// these keys of secret storage. The version that was the current one stays at the server.
///
/// No private key is lost by it: what lay under `m.megolm_backup.v1`, and what else is at hand (`held`),
/// is kept under a [name of its own](crate::backup::former) before anything is replaced, and a copy under
/// a key of secret storage that is not at hand stays where it is. `older` are the versions that are known
/// beside the current one.
///
/// # Errors
///
/// [`BackupKeyError`]: the private keys cannot be stored.
pub fn renew_key_backup(
    storage: &SecretStorage<'_>,
    current: &CurrentBackup,
    older: &[BackupVersion],
    new: &NewKeyBackup,
    keys: &[&ProvenKey],
    held: &[KeyCopy],
    rng: &mut impl CryptoRng,
) -> Result<Plan, BackupKeyError> {
    let key = BackupKey::read(&new.secret()).map_err(BackupKeyError::Value)?;
    let versions: Vec<_> = current.usable().into_iter().chain(older).collect();
    let mut draft = Draft::new(storage, "create a new version of the key backup");
    keep_former(&mut draft, &key, &versions, keys, held, rng)?;
    draft.append(create_beside(current, new));
    put_backup_key(&mut draft, &key, keys, rng)?;
    want_backup(&mut draft);
    if let Some(shown) = current.shown() {
        draft.warn(beside(shown));
    }
    Ok(draft.finish())
}

/// The step that makes a new version, over whatever is the current one.
pub(super) fn create_beside(current: &CurrentBackup, new: &NewKeyBackup) -> Plan {
    match current {
        CurrentBackup::Missing => create_key_backup(None, new),
        CurrentBackup::Shown(shown) if shown.usable().is_some() => {
            create_key_backup(shown.usable(), new)
        }
        CurrentBackup::Shown(_) | CurrentBackup::Unavailable(_) => {
            replace_unreadable_key_backup(new)
        }
    }
}

fn beside(shown: &ShownVersion) -> String {
    let version = match &shown.version {
        Some(version) => format!("version {version}"),
        None => "the current version".to_owned(),
    };
    match shown.count {
        Some(0) => format!("{version} stays on the server, and is empty"),
        Some(count) => format!(
            "{version} stays on the server, with {count} room keys: the new version starts empty, and \
             each device adds the room keys that it has"
        ),
        None => format!("{version} stays on the server; the new version starts empty"),
    }
}

/// Deletes a version of the key backup, with all room keys in it. `is_current` is whether it is, or may
/// be, the current one. What gets lost is said in the warnings.
///
/// # Errors
///
/// [`DeleteKeyBackupError`]: it is, or may be, the version that is in use, and `also_in_use` does not say
/// that it goes all the same.
pub fn delete_key_backup(
    version: &str,
    shown: &ShownVersion,
    is_current: bool,
    also_in_use: bool,
    key: KeyOfBackup,
) -> Result<Plan, DeleteKeyBackupError> {
    if is_current && !also_in_use {
        match key {
            KeyOfBackup::AtHand => return Err(DeleteKeyBackupError::InUse),
            KeyOfBackup::Unknown => return Err(DeleteKeyBackupError::PerhapsInUse),
            KeyOfBackup::Missing => {}
        }
    }
    let mut plan = Plan::new(format!("delete version {version} of the key backup"));
    plan.warn(lost(shown, key));
    if is_current {
        plan.warn(
            "it is the current version: afterwards an older version is the current one, if there is \
             one, and else nothing is backed up until a new one is created",
        );
    }
    plan.step(
        "delete this version and the room keys in it",
        Action::DeleteKeyBackup(DeleteKeyBackup::of(version, shown)),
    );
    Ok(plan)
}

/// Whether the private key of a version of the key backup is at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, or nobody knows")]
pub enum KeyOfBackup {
    /// It is.
    AtHand,
    /// It is neither in secret storage nor elsewhere where this program looked.
    Missing,
    /// Something lies under its name in secret storage, which was not opened.
    Unknown,
}

fn lost(shown: &ShownVersion, key: KeyOfBackup) -> String {
    let count = match shown.count {
        Some(0) => return "it is empty, as the server says".to_owned(),
        Some(1) => "1 room key is deleted".to_owned(),
        Some(count) => format!("{count} room keys are deleted"),
        None => "an unknown number of room keys is deleted".to_owned(),
    };
    let readable = match (shown.usable().is_some(), key) {
        (false, _) => "this program cannot use the version; the client that made it may",
        (true, KeyOfBackup::AtHand) => "its private key is at hand, so that they could be read",
        (true, KeyOfBackup::Missing) => {
            "its private key is not at hand; another device may have it, and could read them"
        }
        (true, KeyOfBackup::Unknown) => "whether its private key is stored was not looked at",
    };
    format!(
        "{count} for good; {readable}. Messages whose keys are nowhere else cannot be read again"
    )
}

/// Signs the current version of the key backup with the master key, so that devices that trust the
/// identity write to it. The plan is empty when it is signed already.
///
/// What is signed is built here: the public key, and how a passphrase became the private one if the
/// version says so. Whatever else the server shows in `auth_data` is omitted, and the plan warns.
///
/// `private_key` is the secret `m.megolm_backup.v1`: only who knows it knows that the backup is the
/// user's and not one that a server made up.
///
/// # Errors
///
/// [`SignKeyBackupError`]: the private key does not belong to this version.
pub fn sign_key_backup(
    current: &BackupVersion,
    private_key: &Secret,
    user_id: &str,
    master_key: &SigningKey,
) -> Result<Plan, SignKeyBackupError> {
    let published_keys = PublishedKeys {
        identity: None,
        backup: Some(current.clone()),
    };
    match published_keys.judge(&SecretName::backup_key(), private_key)? {
        Verdict::Matches { .. } => {}
        _ => return Err(SignKeyBackupError::NotCompared),
    }
    let mut plan = Plan::new("sign the key backup");
    let signer = master_key.public_key();
    if signer.verify(current.auth_data(), user_id).is_ok() {
        return Ok(plan);
    }
    let mut signed = current.to_sign();
    if !signed.is_same(current.auth_data()) {
        plan.warn(
            "the data of the backup on the server has unknown members: they are removed, \
             and so are signatures of other devices",
        );
    }
    master_key.sign(&mut signed, user_id)?;
    let step = SignKeyBackup::over(current, &signed, user_id, signer);
    plan.step(
        "sign the key backup with the master key",
        Action::SignKeyBackup(step),
    );
    Ok(plan)
}

/// Why a key backup is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignKeyBackupError {
    /// There was nothing to compare the private key with.
    #[error("the private key of the backup was not compared with the published one")]
    NotCompared,
    /// The private key belongs to another backup.
    #[error(transparent)]
    PrivateKey(#[from] SecretValueError),
    /// The data of the backup has no canonical form; it always has one.
    #[error("the backup cannot be signed: {0}")]
    Signature(#[from] SignatureError),
}

crate::error_code::error_codes! {
    SignKeyBackupError:
    Self::NotCompared { .. } => "sign_key_backup_not_compared",
    Self::Signature { .. } => "sign_key_backup_signature",
    ;
    Self::PrivateKey(error) => error,
}

/// Why a version of the key backup is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteKeyBackupError {
    /// It is the current one, and its private key is at hand: it is in use.
    #[error("this version of the key backup is in use, and what is in it can be read")]
    InUse,
    /// It is the current one, and whether its private key is stored was not looked at.
    #[error("this version of the key backup is the current one, and may be in use")]
    PerhapsInUse,
}

crate::error_code::error_codes! {
    DeleteKeyBackupError:
    Self::InUse { .. } => "delete_key_backup_in_use",
    Self::PerhapsInUse { .. } => "delete_key_backup_perhaps_in_use",
}

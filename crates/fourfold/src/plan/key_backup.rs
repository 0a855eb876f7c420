//! Plans for the server-side key backup.

use super::action::{Action, CreateKeyBackup, SignKeyBackup, StepState};
use super::steps::Plan;
use crate::secret_kind::PublishedKeys;
use crate::signed_json::{SignatureError, SigningKey};
use crate::{BackupVersion, NewKeyBackup, Secret, SecretName, SecretValueError, Verdict};

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

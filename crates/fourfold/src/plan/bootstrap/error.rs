//! Why an account is not set up.

use crate::cross_signing::{IdentityAtRisk, NotConfirmed, SignDeviceError};
use crate::identity::CrossSigningKeyError;
use crate::plan::backup_continuity::BackupHidden;
use crate::plan::backup_key::BackupKeyError;
use crate::plan::key::ChangeDefaultError;
use crate::plan::key_backup::SignKeyBackupError;
use crate::plan::standard::CompleteError;

/// Why an account is not set up or completed. Nothing is made then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(
    clippy::large_enum_variant,
    reason = "two public keys are not large enough to be boxed"
)]
#[non_exhaustive]
pub enum BootstrapError {
    /// The private key of a new version of the key backup cannot be stored, or that of a former one not
    /// kept.
    #[error(transparent)]
    BackupKey(#[from] BackupKeyError),
    /// The server does not show the key backup that this machine remembers.
    #[error(transparent)]
    Backup(#[from] BackupHidden),
    /// The new key does not become the default.
    #[error(transparent)]
    ChangeDefault(#[from] ChangeDefaultError),
    /// A secret is not stored.
    #[error(transparent)]
    Complete(#[from] CompleteError),
    /// The server shows other keys of this device.
    #[error(transparent)]
    Device(#[from] NotConfirmed),
    /// Whatever was done would replace an identity.
    #[error(transparent)]
    Identity(#[from] IdentityAtRisk),
    /// An identity is published, and none of its private keys is at hand.
    #[error(
        "the account has an identity, and its private keys are neither in secret storage nor on \
         this machine"
    )]
    NoPrivateKeys,
    /// The key backup is not signed.
    #[error(transparent)]
    SignBackup(#[from] SignKeyBackupError),
    /// This device is not signed.
    #[error(transparent)]
    SignDevice(#[from] SignDeviceError),
    /// What is published of the identity is damaged or does not hang together.
    #[error("the published identity cannot be trusted: {0}")]
    UnreliableIdentity(CrossSigningKeyError),
}

crate::error_code::error_codes! {
    BootstrapError:
    Self::NoPrivateKeys => "bootstrap_no_private_keys",
    Self::UnreliableIdentity { .. } => "bootstrap_unreliable_identity",
    ;
    Self::Backup(error) => error,
    Self::BackupKey(error) => error,
    Self::ChangeDefault(error) => error,
    Self::Complete(error) => error,
    Self::Device(error) => error,
    Self::Identity(error) => error,
    Self::SignBackup(error) => error,
    Self::SignDevice(error) => error,
}

//! What can go wrong with a device.

use fourfold::identity::{CannotAsk, DeviceTrust, OtherIdentityPinned};

use crate::local_state::SealedError;
use crate::{Error, LocalStateError};

/// Why something cannot be done as a device. The text says what to do; it never holds a key or a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Asking other devices for a secret is of no use.
    #[error(transparent)]
    CannotAsk(Box<CannotAsk>),
    /// The state of the device opens with the key, but a part of it is damaged.
    #[error("the state of this device is damaged: restore it from a backup, or log in again")]
    Damaged,
    /// The server's answer about the devices of the user cannot be used.
    #[error(transparent)]
    Devices(#[from] fourfold::identity::UserKeysError),
    /// Keys were made for this log-in already.
    #[error("this device has its keys already")]
    Exists,
    /// There is no log-in.
    #[error("there is no session: log in first")]
    LoggedOut,
    /// The access token belongs to no device.
    #[error("the access token does not belong to a device: log in again")]
    NoDeviceId,
    /// No keys were made for this log-in.
    #[error("this device has no keys yet: set it up first")]
    NoKeys,
    /// The server shows keys under the ID of this device that were not made on this machine.
    #[error(
        "the homeserver shows keys of this device that were not made on this machine: log out and \
         in again, so that this device gets keys of its own"
    )]
    NotMadeHere,
    /// It makes no sense to verify this device, whatever its user compares.
    #[error("that device cannot be verified: {0}")]
    NoUseToVerify(DeviceTrust),
    /// Nothing can be verified with this device now.
    #[error(
        "that device cannot be verified now: look at the list of devices; the ID of one may be a \
         key of the account, or too many verifications are in progress"
    )]
    NotVerifiable,
    /// The keys belong to another log-in than the one that is used.
    #[error("the keys on this machine belong to an earlier session: set the device up again")]
    OtherDevice,
    /// This machine knows the user by another identity.
    #[error(transparent)]
    OtherIdentity(Box<OtherIdentityPinned>),
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers")]
    Randomness,
    /// The object has no canonical JSON.
    #[error("the object cannot be signed")]
    Unsignable,
    /// The sealing key is another one than what was kept is sealed with.
    #[error(
        "the key does not open the state of this device: use the one that it was set up with, or \
         log in again"
    )]
    WrongKey,
    /// Local state cannot be used.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The homeserver did not do it.
    #[error(transparent)]
    Server(#[from] Error),
}

impl From<fourfold::signed_json::SignatureError> for DeviceError {
    fn from(_: fourfold::signed_json::SignatureError) -> Self {
        Self::Unsignable
    }
}

impl From<CannotAsk> for DeviceError {
    fn from(cannot: CannotAsk) -> Self {
        // Two public keys would make every error large.
        Self::CannotAsk(Box::new(cannot))
    }
}

impl From<OtherIdentityPinned> for DeviceError {
    fn from(other: OtherIdentityPinned) -> Self {
        // Two public keys would make every error large.
        Self::OtherIdentity(Box::new(other))
    }
}

impl From<SealedError> for DeviceError {
    fn from(error: SealedError) -> Self {
        match error {
            SealedError::LocalState(error) => Self::LocalState(error),
            SealedError::Randomness => Self::Randomness,
            SealedError::Unreadable => Self::Damaged,
            SealedError::WrongKey => Self::WrongKey,
        }
    }
}

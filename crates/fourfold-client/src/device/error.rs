//! What can go wrong with a device.

use fourfold::identity::{DeviceTrust, OtherIdentityPinned};

use crate::local_state::SealedError;
use crate::{Error, LocalStateError};

/// Why something cannot be done as a device. The text says what to do; it never holds a key or a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// What the device keeps opens with the key, but a part of it is not what was kept.
    #[error("what this device keeps is damaged: restore it from a backup, or log in anew")]
    Damaged,
    /// What the server says about the devices of the user cannot be used.
    #[error(transparent)]
    Devices(#[from] fourfold::identity::UserKeysError),
    /// Keys were made for this log-in already.
    #[error("this device has its keys already")]
    Exists,
    /// There is no log-in.
    #[error("there is no session: log in first")]
    LoggedOut,
    /// The access token belongs to no device.
    #[error("the access token belongs to no device, which has no keys: log in anew")]
    NoDeviceId,
    /// No keys were made for this log-in.
    #[error("this device has no keys yet: set it up first")]
    NoKeys,
    /// It makes no sense to verify this device, whatever its user compares.
    #[error("that device cannot be verified: {0}")]
    NoUseToVerify(DeviceTrust),
    /// Nothing can be verified with this device now.
    #[error(
        "that device cannot be verified now: look at the list of devices; one may be named like a \
         key of the account, or too many verifications are going on"
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
        "the key does not open what this device keeps: use the one that it was set up with, or log \
         in anew"
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

/// Why an encrypted event is not looked at. Nobody is told; it is counted and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OlmError {
    /// No session decrypts it: unknown, replayed, too far ahead, or changed on the way.
    #[error("no session decrypts it")]
    Decryption,
    /// `sender_device_keys` has another Curve25519 key than the session.
    #[error("sender_device_keys has another Curve25519 key")]
    DeviceKeysCurve25519,
    /// `sender_device_keys` is of another device than the one that is listed with these keys.
    #[error("sender_device_keys is of another device")]
    DeviceKeysDevice,
    /// `sender_device_keys` has another Ed25519 key than the event.
    #[error("sender_device_keys has another Ed25519 key")]
    DeviceKeysEd25519,
    /// `sender_device_keys` is not signed by the device itself.
    #[error("sender_device_keys is not signed by its device")]
    DeviceKeysSignature,
    /// `sender_device_keys` is of another user.
    #[error("sender_device_keys is of another user")]
    DeviceKeysUser,
    /// Too many messages of this device did not decrypt within an hour.
    #[error("too much of this device did not decrypt")]
    Exhausted,
    /// It is not what an encrypted event looks like.
    #[error("the event is malformed")]
    Malformed,
    /// It is encrypted for another device.
    #[error("it is not encrypted for this device")]
    NotForUs,
    /// It is encrypted by something else than Olm, such as Megolm.
    #[error("it is not encrypted by Olm")]
    NotOlm,
    /// What it decrypts to is not what an Olm payload looks like.
    #[error("the payload is malformed")]
    Payload,
    /// It was meant for another user.
    #[error("the recipient is another user")]
    Recipient,
    /// It was meant for another device.
    #[error("the recipient has another key")]
    RecipientKey,
    /// The sender inside is another than the one outside.
    #[error("the sender is another one inside than outside")]
    Sender,
    /// The device says to have another Ed25519 key than it is listed with.
    #[error("the sender has another key")]
    SenderKey,
    /// It begins a session with a one-time key that is used up, or never was one of this device.
    #[error("it uses a one-time key that is not there")]
    UnknownOneTimeKey,
    /// No device of the user is listed with this key.
    #[error("no device is listed with this key")]
    UnknownSender,
}

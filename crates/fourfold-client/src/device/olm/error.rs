//! Why an encrypted event is not looked at.

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
    #[error("too many messages of this device could not be decrypted")]
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
    /// The plaintext is not an Olm payload.
    #[error("the payload is malformed")]
    Payload,
    /// It was meant for another user.
    #[error("the recipient is another user")]
    Recipient,
    /// It was meant for another device.
    #[error("the recipient has another key")]
    RecipientKey,
    /// The sender inside is another than the one outside.
    #[error("the sender of the payload is not the sender of the event")]
    Sender,
    /// The device says to have another Ed25519 key than it is listed with.
    #[error("the sender has another key")]
    SenderKey,
    /// It begins a session with a one-time key that is used up, or never was one of this device.
    #[error("it uses an unknown one-time key")]
    UnknownOneTimeKey,
    /// No device of the user is listed with this key.
    #[error("no device is listed with this key")]
    UnknownSender,
}

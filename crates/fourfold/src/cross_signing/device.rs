//! Signing a device of the user, after it is certain which one it is.

use crate::{
    Content, PublishedIdentity,
    identity::{
        CrossSigningKeyError, DeviceKeys, DeviceKeysError, OwnDeviceMismatch, own_device_to_sign,
    },
    signed_json::{PublicKey, SignatureError, SigningKey},
};

/// The keys of one of the user's own devices, of which it is certain that they are the right ones.
///
/// A server can show other keys under the ID of a device. Whoever signs what the server shows signs
/// whatever the server likes; so only what this type holds can be signed.
#[derive(Clone, Debug)]
pub struct ConfirmedDevice {
    keys: DeviceKeys,
    /// What is signed: the keys without any signature.
    to_sign: Content,
}

impl ConfirmedDevice {
    /// This very device: `local` is made from its own Olm account, `served` is what the server shows
    /// for it in `/keys/query`. They must agree; what is signed is `local`.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: the server shows other keys, another user, device or algorithms, or `local`
    /// is not what device keys look like.
    pub fn own(local: &Content, served: &Content) -> Result<Self, NotConfirmed> {
        let text = |member| match local.get::<String>(member) {
            Some(Ok(text)) => Ok(text),
            _ => Err(NotConfirmed::Keys(DeviceKeysError::Malformed)),
        };
        let keys = DeviceKeys::from_content(&text("user_id")?, &text("device_id")?, local)?;
        let to_sign = own_device_to_sign(local, served)?;
        Ok(Self { keys, to_sign })
    }

    /// Another device, whose Ed25519 key the user has read there or compared with it.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: the server shows another key for this device, or the device did not sign
    /// its own keys.
    pub fn with_fingerprint(
        user_id: &str,
        device_id: &str,
        served: &Content,
        fingerprint: &PublicKey,
    ) -> Result<Self, NotConfirmed> {
        let keys = DeviceKeys::from_content(user_id, device_id, served)?;
        if keys.ed25519() != *fingerprint {
            return Err(NotConfirmed::OtherFingerprint);
        }
        let to_sign = own_device_to_sign(served, served)?;
        Ok(Self { keys, to_sign })
    }

    /// The user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.keys.user_id()
    }

    /// The ID of the device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        self.keys.device_id()
    }

    /// Signs the device with the self-signing key: the object to put under this user and this device
    /// in [`POST /keys/signatures/upload`][upload].
    ///
    /// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
    ///
    /// # Errors
    ///
    /// [`SignDeviceError`]: the key is not the published one, or the ID of the device is a
    /// cross-signing key.
    pub fn sign(
        &self,
        self_signing_key: &SigningKey,
        identity: &PublishedIdentity,
    ) -> Result<Content, SignDeviceError> {
        if identity.self_signing_key()? != self_signing_key.public_key() {
            return Err(SignDeviceError::OtherKey);
        }
        self.check_id(identity)?;
        let mut signed = self.to_sign.clone();
        self_signing_key.sign(&mut signed, self.user_id())?;
        Ok(signed)
    }

    /// Checks that what the server shows now is this device, signed by the published self-signing
    /// key.
    ///
    /// # Errors
    ///
    /// [`SignDeviceError`]: the device is another, or the signature is missing or does not fit.
    pub fn check_signed(
        &self,
        served: &Content,
        identity: &PublishedIdentity,
    ) -> Result<(), SignDeviceError> {
        own_device_to_sign(&self.to_sign, served).map_err(NotConfirmed::from)?;
        self.check_id(identity)?;
        Ok(identity
            .self_signing_key()?
            .verify(served, self.user_id())?)
    }

    /// Devices and cross-signing keys share one space of names: a device named like a key would turn
    /// its signature into one of that key.
    fn check_id(&self, identity: &PublishedIdentity) -> Result<(), SignDeviceError> {
        let keys = [
            identity.master_key(),
            identity.self_signing_key(),
            identity.user_signing_key(),
        ];
        let id = PublicKey::from_base64(self.device_id()).ok();
        if keys.iter().flatten().any(|key| Some(*key) == id) {
            Err(SignDeviceError::NamedLikeAKey)
        } else {
            Ok(())
        }
    }
}

/// Why it is not certain which device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotConfirmed {
    /// The server shows something else than the device has.
    #[error("the server shows other {} for the device than the device has", .0.member)]
    Differs(#[from] OwnDeviceMismatch),
    /// The keys of the device cannot be used.
    #[error(transparent)]
    Keys(#[from] DeviceKeysError),
    /// The fingerprint is another.
    #[error("the server shows another key for the device than the fingerprint that was given")]
    OtherFingerprint,
}

/// Why a device is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignDeviceError {
    /// The device is not the one that was confirmed.
    #[error(transparent)]
    Device(#[from] NotConfirmed),
    /// The published self-signing key cannot be relied on.
    #[error("the published self-signing key cannot be relied on: {0}")]
    Identity(#[from] CrossSigningKeyError),
    /// The ID of the device is a cross-signing key of the user.
    #[error("the ID of the device is a cross-signing key: log this device out")]
    NamedLikeAKey,
    /// The private key does not belong to the published self-signing key.
    #[error("the private key does not belong to the published self-signing key")]
    OtherKey,
    /// It is not signed, or the signature does not fit.
    #[error("the device is not signed by the self-signing key: {0}")]
    Signature(#[from] SignatureError),
}

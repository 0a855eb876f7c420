//! Signing a device of the user, after it is certain which one it is.

use crate::identity::{
    CrossSigningKeyError, DeviceKeys, DeviceKeysError, DeviceTrust, OwnDeviceMismatch, UserKeys,
    check_same_device,
};
use crate::signable::Signable;
use crate::signed_json::{PublicKey, SignatureError, SigningKey};
use crate::{Content, PublishedIdentity};

/// The keys of one of the user's own devices, of which it is certain that they are the right ones.
///
/// A server can show other keys under the ID of a device. Anyone who signs what the server shows
/// signs whatever the server likes; so only what this type holds can be signed.
#[derive(Clone, Debug)]
pub struct ConfirmedDevice {
    keys: DeviceKeys,
    /// The object to sign: the known members of the device keys, without any signature.
    to_sign: Signable,
}

impl ConfirmedDevice {
    /// This very device: `local` is made from its own Olm account, not from what a server says.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed::Keys`] when it is not what device keys look like.
    pub fn own(local: &Content) -> Result<Self, NotConfirmed> {
        let text = |member| match local.get::<String>(member) {
            Some(Ok(text)) => Ok(text),
            _ => Err(NotConfirmed::Keys(DeviceKeysError::Malformed)),
        };
        Self::of(DeviceKeys::from_content(
            &text("user_id")?,
            &text("device_id")?,
            local,
        )?)
    }

    /// Another device, whose Ed25519 key the user has read there or compared with it.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: the server shows no such device or another key for it, or the device did
    /// not sign its own keys.
    pub fn with_fingerprint(
        keys: &UserKeys,
        device_id: &str,
        fingerprint: &PublicKey,
    ) -> Result<Self, NotConfirmed> {
        let keys = served(keys, device_id)?.clone();
        if keys.ed25519() != *fingerprint {
            return Err(NotConfirmed::OtherFingerprint);
        }
        Self::of(keys)
    }

    /// Another device, which the self-signing key that is published now signed: what it signed before,
    /// the key that takes its place may sign too.
    ///
    /// # Errors
    ///
    /// [`SignDeviceError`]: it did not sign this, or the server shows no such device.
    pub(crate) fn signed_before(keys: &UserKeys, device_id: &str) -> Result<Self, SignDeviceError> {
        let device = Self::of(served(keys, device_id)?.clone())?;
        device.check_signed(keys)?;
        Ok(device)
    }

    /// Checks that a device may be signed, by what this machine thinks of it: somebody must be
    /// logged in on it. The keys of a device that is logged out are those of nobody who could have
    /// compared anything now, and a server that shows them still may have them from elsewhere.
    ///
    /// # Errors
    ///
    /// [`SignDeviceError::NotLoggedIn`].
    pub fn check_logged_in(trust: DeviceTrust) -> Result<(), SignDeviceError> {
        match trust {
            DeviceTrust::NotLoggedIn => Err(SignDeviceError::NotLoggedIn),
            _ => Ok(()),
        }
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

    /// Its keys.
    #[must_use]
    pub fn keys(&self) -> &DeviceKeys {
        &self.keys
    }

    /// Checks that what the server shows is this device.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: it shows none, or [another one](NotConfirmed::Differs).
    pub fn check_served(&self, keys: &UserKeys) -> Result<(), NotConfirmed> {
        let served = served(keys, self.device_id())?;
        check_same_device(self.to_sign.content(), served.content())?;
        Ok(())
    }

    /// The object that carries the signature, as [`plan::sign_device`](crate::plan::sign_device)
    /// uploads it.
    pub(crate) fn sign(
        &self,
        self_signing_key: &SigningKey,
        keys: &UserKeys,
    ) -> Result<Signable, SignDeviceError> {
        if keys.identity().self_signing_key()? != self_signing_key.public_key() {
            return Err(SignDeviceError::OtherKey);
        }
        if keys.colliding_device().is_some() {
            return Err(SignDeviceError::NamedLikeAKey);
        }
        self.check_id(keys.identity())?;
        if self.keys.is_dehydrated() {
            return Err(SignDeviceError::Dehydrated);
        }
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
    pub fn check_signed(&self, keys: &UserKeys) -> Result<(), SignDeviceError> {
        self.check_served(keys)?;
        self.check_id(keys.identity())?;
        let served = served(keys, self.device_id())?.content();
        let key = keys.identity().self_signing_key()?;
        Ok(key.verify(served, self.user_id())?)
    }

    /// A signature covers the whole object, so that one with more than is known cannot be signed.
    fn of(keys: DeviceKeys) -> Result<Self, NotConfirmed> {
        let to_sign = keys.to_sign();
        // That of a dehydrated device is never asked for.
        if keys.is_dehydrated() || to_sign.is_same(keys.content()) {
            Ok(Self { keys, to_sign })
        } else {
            Err(NotConfirmed::UnknownMembers)
        }
    }

    fn check_id(&self, identity: &PublishedIdentity) -> Result<(), SignDeviceError> {
        let mut keys = identity.listed();
        if keys.any(|key| key.is_device_id(self.device_id())) {
            Err(SignDeviceError::NamedLikeAKey)
        } else {
            Ok(())
        }
    }
}

fn served<'a>(keys: &'a UserKeys, device_id: &str) -> Result<&'a DeviceKeys, NotConfirmed> {
    match keys.device(device_id) {
        Some(Ok(keys)) => Ok(keys),
        Some(Err(error)) => Err(NotConfirmed::Keys(*error)),
        None => Err(NotConfirmed::NotShown),
    }
}

/// Why it is not certain which device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotConfirmed {
    /// The server shows something else than the device has.
    #[error("the server shows other {} for the device than the device has", .0.member)]
    Differs(#[from] OwnDeviceMismatch),
    /// The server shows no such device.
    #[error("the server shows no keys for the device")]
    NotShown,
    /// The keys of the device cannot be used.
    #[error(transparent)]
    Keys(#[from] DeviceKeysError),
    /// The device publishes more than is known here, which a signature would cover.
    #[error(
        "the keys of the device have unknown members, so they are not signed; \
         verify the device from another client"
    )]
    UnknownMembers,
    /// The fingerprint is another.
    #[error(
        "the key that the server shows for the device does not match the fingerprint that was \
         given"
    )]
    OtherFingerprint,
}

crate::error_code::error_codes! {
    NotConfirmed:
    Self::Differs { .. } => "not_confirmed_differs",
    Self::NotShown { .. } => "not_confirmed_not_shown",
    Self::UnknownMembers { .. } => "not_confirmed_unknown_members",
    Self::OtherFingerprint { .. } => "not_confirmed_other_fingerprint",
    ;
    Self::Keys(error) => error,
}

/// Why a device is not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignDeviceError {
    /// It is a dehydrated device, at which nobody sits who could have compared anything.
    #[error("this is a dehydrated device: its fingerprint cannot have been compared")]
    Dehydrated,
    /// The device is not the one that was confirmed.
    #[error(transparent)]
    Device(#[from] NotConfirmed),
    /// The published self-signing key cannot be relied on.
    #[error("the published self-signing key cannot be trusted: {0}")]
    Identity(#[from] CrossSigningKeyError),
    /// The ID of the device, or of another one of the user, is a cross-signing key.
    #[error("a device of the account has a cross-signing key for its ID: log that device out")]
    NamedLikeAKey,
    /// Nobody is logged in on it.
    #[error("the device: {}", DeviceTrust::NotLoggedIn)]
    NotLoggedIn,
    /// The private key does not belong to the published self-signing key.
    #[error("the private key does not belong to the published self-signing key")]
    OtherKey,
    /// It is not signed, or the signature does not fit.
    #[error("the device is not signed by the self-signing key: {0}")]
    Signature(#[from] SignatureError),
}

crate::error_code::error_codes! {
    SignDeviceError:
    Self::Dehydrated { .. } => "sign_device_dehydrated",
    Self::Identity { .. } => "sign_device_identity",
    Self::NamedLikeAKey { .. } => "sign_device_named_like_a_key",
    Self::NotLoggedIn { .. } => "sign_device_not_logged_in",
    Self::OtherKey { .. } => "sign_device_other_key",
    Self::Signature { .. } => "sign_device_signature",
    ;
    Self::Device(error) => error,
}

//! What may be signed with the self-signing key: checked first, then handed out as the exact object.

use crate::{
    Content, canonical_json,
    identity::{DeviceTrust, Trust},
    signed_json::{PublicKey, PublicKeyError},
};

impl Trust {
    /// The object to sign so that another device becomes verified, after the user compared its
    /// fingerprint: exactly the keys that this machine saw, without the signatures they carry.
    ///
    /// `expected_fingerprint` is the device's Ed25519 key as the user read it, in base64; white
    /// space in it does not count. Sign the object with the self-signing key
    /// ([`SigningKey::sign`](crate::signed_json::SigningKey::sign)), upload it with
    /// `POST /keys/signatures/upload`, and call [`confirm`](Self::confirm).
    ///
    /// # Errors
    ///
    /// [`SignableError`]: the device is not known, has another fingerprint, or nothing must be
    /// signed now.
    pub fn object_to_sign(
        &self,
        device_id: &str,
        expected_fingerprint: &str,
    ) -> Result<Content, SignableError> {
        let fingerprint: String = expected_fingerprint.split_whitespace().collect();
        let fingerprint =
            PublicKey::from_base64(&fingerprint).map_err(SignableError::Fingerprint)?;
        if self.colliding_device().is_some() {
            return Err(SignableError::CollidingId);
        }
        if !self.is_fresh() {
            return Err(SignableError::Stale);
        }
        let device = self.device(device_id).ok_or(SignableError::UnknownDevice)?;
        if device.ed25519 != fingerprint {
            return Err(SignableError::FingerprintMismatch);
        }
        self.usable_self_signing_key()
            .map_err(SignableError::Refused)?;
        if device.dehydrated {
            return Err(SignableError::Refused(DeviceTrust::Dehydrated));
        }
        Ok(unsigned(&device.content))
    }
}

/// The object to sign so that this very device becomes verified: the one that was built here from
/// the device's own account (`local`), provided that the server serves the same (`served`).
///
/// Whoever signs what the server says that the own device is, signs whatever the server likes. So
/// `keys`, `user_id`, `device_id` and `algorithms` must be the same, and what is returned is the
/// local object, without `signatures` and `unsigned`.
///
/// # Errors
///
/// [`OwnDeviceMismatch`] names the member that differs.
pub fn own_device_to_sign(local: &Content, served: &Content) -> Result<Content, OwnDeviceMismatch> {
    for member in ["user_id", "device_id", "algorithms", "keys"] {
        let same = match (local.raw(member), served.raw(member)) {
            (Some(local), Some(served)) => canonical_json::is_same(local, served),
            _ => false,
        };
        if !same {
            return Err(OwnDeviceMismatch { member });
        }
    }
    Ok(unsigned(local))
}

/// The server serves another device under the ID of this one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the server serves other device keys than this device has: `{member}` differs; nothing was \
     signed"
)]
#[non_exhaustive]
pub struct OwnDeviceMismatch {
    /// The member that differs.
    pub member: &'static str,
}

/// Why a device must not be signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignableError {
    /// Some device of the user has the ID of a cross-signing key.
    #[error("a device of this account has a cross-signing key for its ID; log it out first")]
    CollidingId,
    /// What was given as fingerprint is not an Ed25519 key.
    #[error("the fingerprint is not one: {0}")]
    Fingerprint(PublicKeyError),
    /// The device has another key.
    #[error("the device has another fingerprint")]
    FingerprintMismatch,
    /// The device is not in a state to be signed.
    #[error("the device must not be signed: {0}")]
    Refused(DeviceTrust),
    /// The devices were not queried since they changed.
    #[error("the list of devices is out of date; query it again")]
    Stale,
    /// No such device.
    #[error("there is no such device, or its keys are malformed")]
    UnknownDevice,
}

fn unsigned(content: &Content) -> Content {
    let mut content = content.clone();
    content.remove("signatures");
    content.remove("unsigned");
    content
}

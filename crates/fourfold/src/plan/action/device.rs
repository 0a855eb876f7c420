//! Steps about devices: publishing this one, signing one, logging one out.

use serde::{Deserialize, Serialize};

use super::state::StepState;
use crate::Content;
use crate::cross_signing::ConfirmedDevice;
use crate::identity::{DeviceKeys, UserKeys, check_same_device};
use crate::signable::Signable;
use crate::signed_json::{PublicKey, SignatureError};

/// Publish the keys of this device, expecting none ([`POST /keys/upload`][upload]).
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublishDevice {
    device_id: String,
    device_keys: Content,
}

impl PublishDevice {
    pub(in crate::plan) fn of(device: &ConfirmedDevice) -> Self {
        Self {
            device_id: device.device_id().to_owned(),
            device_keys: device.keys().content().clone(),
        }
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The upload, as `device_keys`.
    #[must_use]
    pub fn device_keys(&self) -> &Content {
        &self.device_keys
    }

    /// Compares what is published now with what the step expects.
    #[must_use]
    pub fn state(&self, now: &UserKeys) -> StepState {
        match now.device(&self.device_id) {
            None => StepState::Due,
            Some(Ok(served)) if is_same_device(&self.device_keys, served) => StepState::Done,
            Some(_) => StepState::Conflict,
        }
    }
}

/// Put this signature to that device, expecting exactly these keys of it
/// ([`POST /keys/signatures/upload`][upload]).
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SignDevice {
    device_id: String,
    /// The keys of the device with the signature, and without any other.
    signed: Content,
    /// The public key that belongs to the signature.
    self_signing_key: String,
}

impl SignDevice {
    /// `signed` are the keys of the device with the signature of this key.
    pub(in crate::plan) fn of(
        device: &ConfirmedDevice,
        signed: Signable,
        self_signing_key: PublicKey,
    ) -> Self {
        Self {
            device_id: device.device_id().to_owned(),
            signed: signed.into_content(),
            self_signing_key: self_signing_key.to_base64(),
        }
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The upload for the device.
    #[must_use]
    pub fn signed(&self) -> &Content {
        &self.signed
    }

    /// Whether what is published carries a signature of this key on the device that is none of its
    /// keys: some servers keep that of an earlier device with the same ID, drop the new one, and say
    /// nothing. Only a device with another ID can be signed then.
    #[must_use]
    pub fn is_stale(&self, now: &UserKeys) -> bool {
        let (Some(Ok(served)), Ok(key)) = (
            now.device(&self.device_id),
            PublicKey::from_base64(&self.self_signing_key),
        ) else {
            return false;
        };
        matches!(
            key.verify(served.content(), now.user_id()),
            Err(SignatureError::Bad | SignatureError::Malformed)
        )
    }

    /// Compares what is published now with what the step expects: the same device, and the same
    /// self-signing key.
    #[must_use]
    pub fn state(&self, now: &UserKeys) -> StepState {
        let (Some(Ok(served)), Ok(published), Ok(key)) = (
            now.device(&self.device_id),
            now.identity().self_signing_key(),
            PublicKey::from_base64(&self.self_signing_key),
        ) else {
            return StepState::Conflict;
        };
        if published != key || !is_same_device(&self.signed, served) {
            StepState::Conflict
        } else if key.verify(served.content(), now.user_id()).is_ok() {
            StepState::Done
        } else {
            StepState::Due
        }
    }
}

/// Log this device out, expecting that fingerprint ([`POST /delete_devices`][delete]). Servers ask
/// for the password.
///
/// [delete]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RemoveDevice {
    device_id: String,
    /// The Ed25519 key that the device had when the plan was made, if it had usable keys.
    expects: Option<String>,
}

impl RemoveDevice {
    /// Expects the keys that the device has now.
    pub(in crate::plan) fn over(keys: &UserKeys, device_id: &str) -> Self {
        Self {
            device_id: device_id.to_owned(),
            expects: fingerprint(keys, device_id),
        }
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Compares what there is now with what the step expects. `is_logged_in` tells whether the
    /// device is among those of `GET /devices`, where devices without keys are, too.
    #[must_use]
    pub fn state(&self, now: &UserKeys, is_logged_in: bool) -> StepState {
        if !is_logged_in && now.device(&self.device_id).is_none() {
            StepState::Done
        } else if fingerprint(now, &self.device_id) == self.expects {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }
}

fn fingerprint(keys: &UserKeys, device_id: &str) -> Option<String> {
    let keys = keys.device(device_id)?.as_ref().ok()?;
    Some(keys.ed25519().to_base64())
}

fn is_same_device(ours: &Content, served: &DeviceKeys) -> bool {
    check_same_device(ours, served.content()).is_ok()
}

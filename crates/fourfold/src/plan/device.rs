//! Plans for the user's devices: publishing this one, signing one, logging one out.

use serde::{Deserialize, Serialize};

use super::{Action, Plan, StepState};
use crate::Content;
use crate::cross_signing::{ConfirmedDevice, NotConfirmed, SignDeviceError};
use crate::identity::{DeviceKeys, UserKeys, check_same_device};
use crate::signed_json::{PublicKey, SigningKey};

/// Publishes the keys of this device. The plan is empty when the server has them.
///
/// # Errors
///
/// [`NotConfirmed`]: the server shows other keys under the ID of this device.
pub fn publish_device(keys: &UserKeys, device: &ConfirmedDevice) -> Result<Plan, NotConfirmed> {
    let mut plan = Plan::new("publish the keys of this device");
    if keys.device(device.device_id()).is_some() {
        device.check_served(keys)?;
        return Ok(plan);
    }
    let step = PublishDevice {
        device_id: device.device_id().to_owned(),
        device_keys: device.keys().content().clone(),
    };
    plan.step(
        "publish the keys of this device",
        Action::PublishDevice(step),
    );
    Ok(plan)
}

/// Signs a device of the user with the self-signing key, so that it is verified for all who trust
/// the identity. The plan is empty when it is signed already.
///
/// `keys` is what the server publishes, or is going to publish when the steps before are done.
///
/// # Errors
///
/// [`SignDeviceError`]: the server shows another device under this ID, the key is not the published
/// one, a device of the user is named like a cross-signing key, or nobody sits at the device.
pub fn sign_device(
    keys: &UserKeys,
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
) -> Result<Plan, SignDeviceError> {
    let mut plan = Plan::new(format!("sign the device {}", device.device_id()));
    let signed = device.sign(self_signing_key, keys)?;
    let step = SignDevice {
        device_id: device.device_id().to_owned(),
        signed: signed.into_content(),
        self_signing_key: self_signing_key.public_key().to_base64(),
    };
    // It may be going to be published by a step before.
    if keys.device(device.device_id()).is_some() {
        device.check_served(keys)?;
    }
    if step.state(keys) == StepState::Done {
        return Ok(plan);
    }
    plan.step(
        format!(
            "sign the device {} with the self-signing key",
            step.device_id
        ),
        Action::SignDevice(step),
    );
    Ok(plan)
}

/// Logs a device out and deletes its keys. The plan is empty for a device that has no keys and is
/// not among those that are logged in.
#[must_use]
pub fn remove_device(keys: &UserKeys, is_logged_in: bool, device_id: &str) -> Plan {
    let mut plan = Plan::new(format!("log out the device {device_id}"));
    let step = RemoveDevice {
        device_id: device_id.to_owned(),
        expects: fingerprint(keys, device_id),
    };
    if step.state(keys, is_logged_in) == StepState::Done {
        return plan;
    }
    plan.step("log it out and delete its keys", Action::RemoveDevice(step));
    plan.warn(
        "what the device has read already stays with it; if it was stolen, rotate the keys of \
         secret storage",
    );
    plan
}

/// Publish the keys of this device, expecting none ([`POST /keys/upload`][upload]).
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublishDevice {
    device_id: String,
    device_keys: Content,
}

impl PublishDevice {
    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// What is uploaded as `device_keys`.
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
    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// What is uploaded for the device.
    #[must_use]
    pub fn signed(&self) -> &Content {
        &self.signed
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

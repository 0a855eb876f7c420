//! Plans for the user's devices: publishing this one, signing one, logging one out.

use super::action::{Action, PublishDevice, RemoveDevice, SignDevice, StepState};
use super::steps::Plan;
use crate::cross_signing::{ConfirmedDevice, NotConfirmed, SignDeviceError};
use crate::identity::UserKeys;
use crate::signed_json::SigningKey;

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
    plan.step(
        "publish the keys of this device",
        Action::PublishDevice(PublishDevice::of(device)),
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
    let step = SignDevice::of(device, signed, self_signing_key.public_key());
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
            step.device_id()
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
    let step = RemoveDevice::over(keys, device_id);
    if step.state(keys, is_logged_in) == StepState::Done {
        return plan;
    }
    plan.step("log it out and delete its keys", Action::RemoveDevice(step));
    plan.warn(
        "the device keeps what it has read already; if it was stolen, rotate the keys of \
         secret storage",
    );
    plan
}

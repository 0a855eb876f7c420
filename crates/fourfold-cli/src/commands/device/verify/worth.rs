//! Whether comparing emoji with a device verifies anything, before anybody compares.

use fourfold::identity::UserKeys;
use fourfold_client::{Device, DeviceError, DeviceLists, escape_untrusted};

use crate::error::{Error, Exit, Result};

/// Refuses what is no other device with keys, each with its name.
pub(super) fn check_named(lists: &DeviceLists, this_device: &str, id: &str) -> Result<()> {
    let shown = escape_untrusted(id);
    if id == this_device {
        return Err(refused(format!(
            "{shown} is this device; it is verified with a key of secret storage, or by comparing \
             emoji with another one"
        ))
        .hint("fourfold device verify; or fourfold device verify DEVICE"));
    }
    if lists.keys.device(id).is_some() {
        return Ok(());
    }
    let mut logged_in = lists.devices.iter().flatten();
    if logged_in.any(|device| device.device_id == id) {
        let message = format!("the device {shown} has no keys, so it cannot be verified");
        return Err(
            refused(message).hint("log in again on it; fourfold device ls shows the others")
        );
    }
    Err(refused(format!("there is no device {shown}")).hint("fourfold device ls"))
}

/// Refuses when a key of the account could be taken for one of a device, and when neither side knows
/// the identity: both would show the same emoji, and nothing would be
/// verified.
pub(super) fn check(published: &UserKeys, device: &Device, id: &str) -> Result<()> {
    if published.colliding_device().is_some() {
        return Err(DeviceError::NotVerifiable.into());
    }
    if device.trust().pinned().is_some() || is_signed(published, id) {
        return Ok(());
    }
    let error = refused(format!(
        "neither this machine nor the device {} knows your identity, so comparing emoji verifies \
         neither of them",
        escape_untrusted(id)
    ));
    Err(if published.identity().master_key().is_ok() {
        error.hint("verify one of them with the recovery key first: fourfold device verify")
    } else {
        error.hint("fourfold setup makes an identity")
    })
}

/// Whether the published identity signed a device, and so the device may know the identity.
fn is_signed(published: &UserKeys, id: &str) -> bool {
    let (Ok(key), Some(Ok(device))) = (
        published.identity().self_signing_key(),
        published.device(id),
    ) else {
        return false;
    };
    key.verify(device.content(), published.user_id()).is_ok()
}

fn refused(message: String) -> Error {
    Error::new(Exit::NotVerified, message)
}

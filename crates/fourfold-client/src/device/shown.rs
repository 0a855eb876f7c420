//! Whether what a server shows under the ID of this device is this device.

use fourfold::cross_signing::{ConfirmedDevice, NotConfirmed};
use fourfold::identity::UserKeys;

use super::error::DeviceError;
use super::new_device::NewDevice;
use super::this_device::Device;

impl Device {
    /// The keys of this device as they are on this machine, when the server shows the same: these
    /// can be signed.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: it shows none, or others.
    pub(super) fn confirm_shown(
        &self,
        published: &UserKeys,
    ) -> Result<ConfirmedDevice, NotConfirmed> {
        let this = ConfirmedDevice::own(self.device_keys())?;
        this.check_served(published)?;
        Ok(this)
    }

    /// Checks that the server shows these keys, or none yet.
    ///
    /// # Errors
    ///
    /// [`NotConfirmed`]: it shows others.
    pub fn check_shown(&self, published: &UserKeys) -> Result<(), NotConfirmed> {
        match published.device(self.device_id()) {
            Some(_) => self.confirm_shown(published).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl NewDevice {
    /// Checks that the server shows no keys yet under the ID of this device: others were not made
    /// here, and who has their private halves is not known.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotMadeHere`].
    pub fn check_shown(&self, published: &UserKeys) -> Result<(), DeviceError> {
        match published.device(self.device_id()) {
            Some(_) => Err(DeviceError::NotMadeHere),
            None => Ok(()),
        }
    }
}

//! Making the keys of this device, and opening them again.

use super::error::DeviceError;
use super::new_device::{self, NewDevice};
use super::olm::OwnKeys;
use super::this_device::Device;
use crate::{LocalState, SealingKey};

impl Device {
    /// Whether keys were made for the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`LocalStateError`](crate::LocalStateError), in the form of [`DeviceError`].
    pub fn exists(state: &LocalState) -> Result<bool, DeviceError> {
        Ok(state.session()?.is_some() && state.has_sealed_rows()?)
    }

    /// Whether a key opens what a device keeps in a state, of this log-in or an earlier one; it does
    /// when nothing is kept.
    pub(crate) fn check_key(state: &LocalState, key: &SealingKey) -> Result<(), DeviceError> {
        state.sealed_rows(key)?;
        Ok(())
    }

    /// Makes keys for the log-in that is kept in a state. They are on disk when this returns, and on
    /// the server after [`upload_keys`](Self::upload_keys).
    ///
    /// Keys of an earlier log-in with another device ID are replaced: that device is gone. What was
    /// pinned and whom this machine does not trust any more stays, if `key` opens it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Exists`] when there are keys for this log-in and `key` opens them,
    /// [`DeviceError::LoggedOut`], [`DeviceError::NoDeviceId`], and errors of reading or writing
    /// the local state.
    pub fn create(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        NewDevice::generate(state)?.keep(state, key)
    }

    /// Opens the keys of the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoKeys`] when none were made, [`DeviceError::WrongKey`],
    /// [`DeviceError::OtherDevice`] when they belong to an earlier log-in,
    /// [`DeviceError::LoggedOut`], [`DeviceError::Damaged`], and errors of reading or writing the
    /// local state.
    pub fn open(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        let device_id = new_device::id(state)?;
        let rows = state.sealed_rows(key)?.ok_or(DeviceError::NoKeys)?;
        let keys = OwnKeys::load(&rows)?;
        if keys.device_id == device_id && keys.user_id == state.user_id() {
            Self::with(rows, &keys)
        } else {
            Err(DeviceError::OtherDevice)
        }
    }
}

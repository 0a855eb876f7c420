//! The keys of a device that was made here and is not kept yet.

use fourfold::Content;
use fourfold::identity::Trust;
use fourfold::signable::Signable;

use super::clock::Clock;
use super::error::DeviceError;
use super::olm::OwnKeys;
use super::remembered::Remembered;
use super::this_device::Device;
use crate::local_state::{SealedError, Table};
use crate::{LocalState, SealingKey};

/// The keys of a device, made here and nowhere kept yet: what they will sign and publish is known
/// before anything is written.
///
/// ```no_run
/// use fourfold_client::{LocalState, NewDevice, SealingKey};
/// # fn example(state: &mut LocalState, key: &SealingKey) -> Result<(), fourfold_client::DeviceError> {
/// let new = NewDevice::generate(state)?;
/// println!("{}", new.device_keys().to_json());
/// let device = new.keep(state, key)?;
/// # Ok(())
/// # }
/// ```
pub struct NewDevice {
    keys: OwnKeys,
    device_keys: Content,
}

impl NewDevice {
    /// Makes keys for the log-in that is kept in a state. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`DeviceError::LoggedOut`], [`DeviceError::NoDeviceId`], and errors of reading or writing
    /// the local state.
    pub fn generate(state: &LocalState) -> Result<Self, DeviceError> {
        let keys = OwnKeys::generate(state.user_id(), &id(state)?);
        let device_keys = keys.device_keys()?;
        Ok(Self { keys, device_keys })
    }

    /// As [`Device::device_id`].
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.keys.device_id
    }

    /// As [`Device::device_keys`].
    #[must_use]
    pub fn device_keys(&self) -> &Content {
        &self.device_keys
    }

    /// As [`Device::sign`].
    ///
    /// # Errors
    ///
    /// [`DeviceError::Unsignable`] when the object has no canonical form.
    pub fn sign(&self, object: &mut Signable) -> Result<(), DeviceError> {
        self.keys.sign(object)
    }

    /// Keeps them, sealed. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// As [`Device::create`], and [`DeviceError::OtherDevice`] when they were made for another
    /// log-in.
    pub fn keep(self, state: &mut LocalState, key: &SealingKey) -> Result<Device, DeviceError> {
        let device_id = id(state)?;
        if self.keys.device_id != device_id || self.keys.user_id != state.user_id() {
            return Err(DeviceError::OtherDevice);
        }
        match state.sealed_rows(key) {
            Ok(Some(rows)) => {
                if OwnKeys::find(&rows)?.is_some_and(|keys| keys.device_id == device_id) {
                    return Err(DeviceError::Exists);
                }
            }
            Ok(None) | Err(SealedError::WrongKey) => {}
            Err(error) => return Err(error.into()),
        }
        let mut rows = state.new_sealed_rows(key, &Remembered::TABLES)?;
        if let Some(trust) = rows.get::<Trust>(Table::Trust, "")? {
            let trust = trust.for_device(&device_id, Clock::start(None).now());
            rows.put(Table::Trust, "", &trust)?;
        }
        self.keys.save(&mut rows)?;
        rows.commit()?;
        Device::with(rows, &self.keys)
    }
}

impl std::fmt::Debug for NewDevice {
    /// Shows the public keys only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewDevice")
            .field("device_id", &self.keys.device_id)
            .field("ed25519", &self.keys.account.ed25519_key().to_base64())
            .finish_non_exhaustive()
    }
}

pub(super) fn id(state: &LocalState) -> Result<String, DeviceError> {
    let session = state.session()?.ok_or(DeviceError::LoggedOut)?;
    session.device_id.ok_or(DeviceError::NoDeviceId)
}

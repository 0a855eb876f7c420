//! The device: its keys, and what it keeps about other devices.

mod decrypt;
mod encrypt;
mod error;
mod outbox;
mod own_keys;
mod payload;
mod peer;
mod sessions;
mod unstored;
mod upload;

use fourfold::Content;

pub use self::error::{DeviceError, OlmError};
use self::own_keys::OwnKeys;
use crate::{
    Account, LocalState, SealingKey,
    local_state::{SealedError, SealedRows, Table},
};

/// This log-in as a device with keys of its own, to which other devices of the user can send
/// secrets.
///
/// Its private keys are made here and never leave; on disk they are sealed with a [`SealingKey`].
/// As long as it lives, the [`LocalState`] that it came from stays locked against other processes.
///
/// ```no_run
/// use fourfold_client::{Account, Device, LocalState, SealingKey};
/// # async fn example(
/// #     mut state: LocalState, account: Account, key: SealingKey,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut device = if Device::exists(&state)? {
///     Device::open(&mut state, &key)?
/// } else {
///     Device::create(&mut state, &key)?
/// };
/// device.upload_keys(&account).await?;
/// println!("{}", device.ed25519());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Device {
    user_id: String,
    device_id: String,
    ed25519: String,
    curve25519: String,
    device_keys: Content,
    rows: SealedRows,
    /// Which run of the program this is: another random number each time.
    run: u64,
}

impl Device {
    /// Whether keys were made for the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`LocalStateError`](crate::LocalStateError), in the form of [`DeviceError`].
    pub fn exists(state: &LocalState) -> Result<bool, DeviceError> {
        Ok(state.session()?.is_some() && state.has_sealed_rows()?)
    }

    /// Makes keys for the log-in that is kept in a state. They are on disk when this returns, and on
    /// the server after [`upload_keys`](Self::upload_keys).
    ///
    /// Keys of an earlier log-in with another device ID are replaced: that device is gone.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Exists`] when there are keys for this log-in and `key` opens them,
    /// [`DeviceError::LoggedOut`], [`DeviceError::NoDeviceId`], and the errors of the file system.
    pub fn create(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        let device_id = device_id(state)?;
        match state.sealed_rows(key) {
            Ok(Some(rows)) => {
                if OwnKeys::load(&rows)?.is_some_and(|keys| keys.device_id == device_id) {
                    return Err(DeviceError::Exists);
                }
            }
            Ok(None) | Err(SealedError::WrongKey) => {}
            Err(error) => return Err(error.into()),
        }
        let mut rows = state.new_sealed_rows(key, &[Table::Unstored])?;
        let keys = OwnKeys::generate(state.user_id(), &device_id);
        keys.save(&mut rows)?;
        rows.commit()?;
        Self::with(rows, &keys)
    }

    /// Opens the keys of the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoKeys`] when none were made, [`DeviceError::WrongKey`],
    /// [`DeviceError::OtherDevice`] when they belong to an earlier log-in,
    /// [`DeviceError::LoggedOut`], [`DeviceError::Damaged`], and the errors of the file system.
    pub fn open(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        let device_id = device_id(state)?;
        let rows = state.sealed_rows(key)?.ok_or(DeviceError::NoKeys)?;
        let keys = OwnKeys::load(&rows)?.ok_or(DeviceError::Damaged)?;
        if keys.device_id == device_id && keys.user_id == state.user_id() {
            Self::with(rows, &keys)
        } else {
            Err(DeviceError::OtherDevice)
        }
    }

    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The ID of the device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The public Ed25519 key, which people compare as the fingerprint: unpadded base64.
    #[must_use]
    pub fn ed25519(&self) -> &str {
        &self.ed25519
    }

    /// The public Curve25519 key, to which others encrypt: unpadded base64.
    #[must_use]
    pub fn curve25519(&self) -> &str {
        &self.curve25519
    }

    /// The keys as they are published
    /// ([`DeviceKeys`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload_request_devicekeys)):
    /// `user_id`, `device_id`, `algorithms`, `keys`, and the signature of the device itself. Built
    /// from the private keys, not from what a server says: what signs this signs this device.
    #[must_use]
    pub fn device_keys(&self) -> &Content {
        &self.device_keys
    }

    /// Adds the signature of this device to an object, such as the master key or the data of a key
    /// backup, under `signatures[user]["ed25519:DEVICE"]`. Other signatures stay.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Unsignable`] when the object has no canonical form, and the errors of the file
    /// system.
    pub fn sign(&self, object: &mut Content) -> Result<(), DeviceError> {
        self.keys()?.sign(object)
    }

    fn with(rows: SealedRows, keys: &OwnKeys) -> Result<Self, DeviceError> {
        Ok(Self {
            user_id: keys.user_id.clone(),
            device_id: keys.device_id.clone(),
            ed25519: keys.account.ed25519_key().to_base64(),
            curve25519: keys.account.curve25519_key().to_base64(),
            device_keys: keys.device_keys()?,
            rows,
            run: getrandom::u64().map_err(|_| DeviceError::Randomness)?,
        })
    }

    fn keys(&self) -> Result<OwnKeys, DeviceError> {
        OwnKeys::load(&self.rows)?.ok_or(DeviceError::Damaged)
    }

    fn check_account(&self, account: &Account) -> Result<(), DeviceError> {
        if account.user_id() == self.user_id && account.device_id() == Some(&self.device_id) {
            Ok(())
        } else {
            Err(DeviceError::OtherDevice)
        }
    }
}

fn device_id(state: &LocalState) -> Result<String, DeviceError> {
    let session = state.session()?.ok_or(DeviceError::LoggedOut)?;
    session.device_id.ok_or(DeviceError::NoDeviceId)
}

#[cfg(test)]
mod tests;

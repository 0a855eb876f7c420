//! This device: its keys, made when they are needed first, and what they are sealed with.

use fourfold_client::{Device, DeviceError};

use crate::{
    account::LoggedIn,
    error::{Error, Exit, Result},
    sealing_key::{self, SealingOptions},
    ui,
};

/// Opens this device, or makes its keys, and sees to it that they are published.
pub(crate) fn open(logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Device> {
    let sealing = sealing_key::find(&logged_in.state, options)?;
    let mut device = match Device::open(&mut logged_in.state, &sealing.key) {
        Err(DeviceError::NoKeys | DeviceError::OtherDevice) => {
            Device::create(&mut logged_in.state, &sealing.key)?
        }
        // Sealed by an earlier log-in, with a key that is gone.
        Err(DeviceError::WrongKey) if !sealing.is_in_use => {
            Device::create(&mut logged_in.state, &sealing.key)?
        }
        device => device?,
    };
    sealing.remember()?;
    let _busy = ui::busy("publishing the keys of this device");
    logged_in.wait(device.upload_keys(&logged_in.account))?;
    Ok(device)
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::LocalState(error) => error.into(),
            DeviceError::Server(error) => error.into(),
            DeviceError::WrongKey => Self::new(Exit::WrongKey, error)
                .hint("give the right one with --store-key-file or --store-passphrase-file"),
            DeviceError::Damaged => Self::new(Exit::Corrupt, error),
            error => Self::usage(error),
        }
    }
}

//! This device, as other devices see it.

use fourfold::Content;

use super::own_keys::OwnKeys;
use crate::device::error::DeviceError;

/// Whose device this is, its public keys, and the run of the program that encrypts for it. What is
/// kept about sessions lies in the rows, which each function takes.
#[derive(Debug)]
pub(crate) struct OwnDevice {
    user_id: String,
    device_id: String,
    ed25519: String,
    curve25519: String,
    device_keys: Content,
    run: u64,
}

impl OwnDevice {
    /// The public half of these keys, in a new run of the program.
    pub(crate) fn new(keys: &OwnKeys) -> Result<Self, DeviceError> {
        Ok(Self {
            user_id: keys.user_id.clone(),
            device_id: keys.device_id.clone(),
            ed25519: keys.account.ed25519_key().to_base64(),
            curve25519: keys.account.curve25519_key().to_base64(),
            device_keys: keys.device_keys()?,
            run: getrandom::u64().map_err(|_| DeviceError::Randomness)?,
        })
    }

    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    pub(crate) fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Unpadded base64.
    pub(crate) fn ed25519(&self) -> &str {
        &self.ed25519
    }

    /// Unpadded base64.
    pub(crate) fn curve25519(&self) -> &str {
        &self.curve25519
    }

    /// The keys as they are published, signed by the device itself.
    pub(crate) fn device_keys(&self) -> &Content {
        &self.device_keys
    }

    /// Which run of the program this is: another random number each time.
    pub(crate) fn run(&self) -> u64 {
        self.run
    }
}

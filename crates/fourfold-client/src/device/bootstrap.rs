//! What a device does before and after a bootstrap is carried out.

use fourfold::plan::Bootstrap;

use super::error::DeviceError;
use super::this_device::Device;
use crate::Account;

impl Device {
    /// What comes before the plan of a bootstrap is carried out: the keys of this device are
    /// published, and what the plan publishes the public half of is kept here, sealed, until it is in
    /// secret storage. When this returns, an interruption loses nothing.
    ///
    /// The plan finds the step that publishes the device done then. A server that gets the keys of a
    /// device again after they were signed may keep them without the signature, so they come first.
    ///
    /// # Errors
    ///
    /// The errors of every call and of the file system.
    pub async fn prepare_bootstrap(
        &mut self,
        account: &Account,
        bootstrap: &Bootstrap,
    ) -> Result<(), DeviceError> {
        self.upload_keys(account).await?;
        if bootstrap.plan().is_empty() {
            return Ok(());
        }
        self.keep_unstored(&bootstrap.secrets())
    }

    /// What comes after the plan was carried out: holds on to the master key, and forgets what was
    /// kept, which is in secret storage now.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherIdentity`] when another one is pinned and not to be replaced, and the errors
    /// of every call and of the file system.
    pub async fn settle_bootstrap(
        &mut self,
        account: &Account,
        bootstrap: &Bootstrap,
    ) -> Result<(), DeviceError> {
        if let Some(master) = bootstrap.keys().master_key() {
            let master = master.public_key();
            self.hold_on_to(account, master, bootstrap.replaces_pin())
                .await?;
        }
        self.forget_unstored()
    }
}

//! Opening the local state for the agent, and putting the device in it to work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fourfold::sharing::Policy;
use fourfold_client::{Device, DeviceError, LocalState, LocalStateError, SealingKey};
use tokio::time::sleep;

use crate::agent::exchange::{Context, Exchange};
use crate::agent::secrets::VaultSecrets;
use crate::agent::vault::Vault;
use crate::error::{Error, Result};
use crate::keys::sealing_key::{self, SealingOptions, Unsealed};
use crate::terminal::messages;

/// The means by which a session opens the local state and its device.
pub(crate) struct Opening {
    pub(crate) folder: PathBuf,
    pub(crate) user_id: String,
    pub(crate) device_id: Option<String>,
    pub(crate) sealing: SealingOptions,
    /// Kept, so that nobody is asked for a passphrase twice.
    pub(crate) key: Option<SealingKey>,
    pub(crate) policy: Policy,
    pub(crate) vault: Arc<Vault>,
    pub(crate) context: Context,
}

impl Opening {
    /// The device at work, if it has keys. They are made by `setup` and by `device verify`.
    pub(crate) fn exchange(
        &mut self,
        state: &mut LocalState,
    ) -> Result<Option<Exchange<VaultSecrets>>> {
        let device = self.device(state)?;
        Ok(device
            .map(|device| self.employ(device, state))
            .transpose()?)
    }

    fn employ(
        &self,
        device: Device,
        state: &LocalState,
    ) -> Result<Exchange<VaultSecrets>, DeviceError> {
        let secrets = VaultSecrets {
            account: self.context.account.clone(),
            vault: Arc::clone(&self.vault),
            state: state.another()?,
        };
        let context = self.context.clone();
        Exchange::new(device, secrets, context, self.policy.clone())
    }

    /// Opens the local state again, and waits for it: for a command that came without asking, and
    /// for room on the disk.
    pub(crate) async fn reopen(&mut self) -> Result<(LocalState, Option<Exchange<VaultSecrets>>)> {
        let mut is_told = false;
        loop {
            match self.try_to_reopen() {
                Ok(opened) => return Ok(opened),
                Err(NotOpened::Busy) => sleep(PAUSE).await,
                Err(NotOpened::Ends(error)) => return Err(error),
                Err(NotOpened::Unusable(error)) => {
                    if !std::mem::replace(&mut is_told, true) {
                        messages::warn(format_args!("waiting: {error}"));
                    }
                    sleep(LONG_PAUSE).await;
                }
            }
        }
    }

    fn try_to_reopen(&mut self) -> Result<(LocalState, Option<Exchange<VaultSecrets>>), NotOpened> {
        let mut state = LocalState::open(&self.folder, &self.user_id)?;
        let session = state.session()?;
        let session = session.ok_or_else(|| Error::refused("logged out: the agent stops"))?;
        if session.device_id != self.device_id {
            return Err(Error::refused("logged in again: restart the agent").into());
        }
        let device = self.device(&mut state)?;
        let exchange = device
            .map(|device| self.employ(device, &state))
            .transpose()?;
        Ok((state, exchange))
    }

    fn device(&mut self, state: &mut LocalState) -> Result<Option<Device>> {
        if !Device::exists(state)? {
            messages::say(
                "this device has no keys yet: it neither asks other devices nor answers them",
            );
            messages::say("fourfold setup or fourfold device verify creates them");
            return Ok(None);
        }
        if let Some(key) = &self.key
            && let Ok(device) = Device::open(state, key)
        {
            return Ok(Some(device));
        }
        match sealing_key::find(state, &self.sealing)?.open(state)? {
            Unsealed::Device(device, key) => {
                self.key = Some(key);
                Ok(Some(*device))
            }
            Unsealed::Earlier(_) | Unsealed::Nothing(_) => Ok(None),
        }
    }
}

/// Why the local state cannot be opened again.
enum NotOpened {
    /// Another process has it.
    Busy,
    /// The disk does not let it, which may pass.
    Unusable(LocalStateError),
    Ends(Error),
}

impl From<LocalStateError> for NotOpened {
    fn from(error: LocalStateError) -> Self {
        match error {
            LocalStateError::Locked { .. } => Self::Busy,
            LocalStateError::Io { .. } | LocalStateError::Database { .. } => Self::Unusable(error),
            _ => Self::Ends(error.into()),
        }
    }
}

impl From<DeviceError> for NotOpened {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::LocalState(error) => error.into(),
            error => Self::Ends(error.into()),
        }
    }
}

impl From<Error> for NotOpened {
    fn from(error: Error) -> Self {
        Self::Ends(error)
    }
}

/// The interval at which it checks whether another process is done.
const PAUSE: Duration = Duration::from_millis(50);

/// The interval at which it checks whether the disk works again.
const LONG_PAUSE: Duration = Duration::from_secs(1);

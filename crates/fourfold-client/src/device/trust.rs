//! Whom this machine trusts among the user's devices.

use fourfold::Timestamp;
use fourfold::identity::{
    LoggedInDevices, PinnedBy, TombstoneReason, Trust, TrustChange, UserKeys,
};
use fourfold::sharing::Input;
use fourfold::signed_json::PublicKey;
use tracing::{instrument, warn};

use super::error::DeviceError;
use super::event::DeviceEvent;
use super::this_device::Device;
use crate::account::logged_in;
use crate::{Account, DeviceLists};

impl Device {
    /// The state of trust: the user's devices that this machine knows, and which of them it trusts.
    /// As fresh as the last [`refresh`](Self::refresh) or sync.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        self.devices.trust()
    }

    /// Pins the master key of the user: its private key is held, or the user verified it. Kept when
    /// this returns.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherIdentity`] when another one is pinned, and errors of reading or writing
    /// the local state.
    pub fn pin(&mut self, master_key: PublicKey, how: PinnedBy) -> Result<(), DeviceError> {
        let mut pinned = Ok(());
        self.change_trust(|trust| pinned = trust.hold_on(master_key, how))?;
        Ok(pinned?)
    }

    /// The same in place of another one that is pinned: only when the user said that this is to be.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn replace_pin(&mut self, master_key: PublicKey, how: PinnedBy) -> Result<(), DeviceError> {
        self.change_trust(|trust| trust.pin(master_key, how))
    }

    /// Never trusts a device again on this machine, whoever signed it: it was logged out, or the
    /// user does not want it. Kept when this returns.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn distrust(
        &mut self,
        device_id: &str,
        reason: TombstoneReason,
    ) -> Result<(), DeviceError> {
        let now = self.clock.now();
        self.change_trust(|trust| trust.tombstone(device_id, reason, now))
    }

    /// Notes that the user verified this device on this machine, by its fingerprint or by emoji.
    /// Kept when this returns; `false` when there is no such device with this key.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn confirm(&mut self, device_id: &str, ed25519: PublicKey) -> Result<bool, DeviceError> {
        let now = self.clock.now();
        let mut is_known = false;
        self.change_trust(|trust| is_known = trust.confirm(device_id, ed25519, now))?;
        Ok(is_known)
    }

    /// Asks the server for the devices of the user, their keys and who is logged in, and tells what
    /// changed. Kept when this returns.
    ///
    /// When the server does not say who is logged in, devices that were known to be stay trusted and
    /// others are not; it is asked again after a pause that grows up to an hour, if that matters.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Devices`] when the answer cannot be used; then no device is trusted with
    /// anything until one can. Also errors of reading or writing the local state, and those of
    /// every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn refresh(&mut self, account: &Account) -> Result<Vec<TrustChange>, DeviceError> {
        let (keys, logged_in) = self.query(account).await?;
        self.observe_devices(&keys, logged_in.as_ref())
    }

    /// Takes in what was asked for elsewhere, as [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn observe(&mut self, lists: &DeviceLists) -> Result<Vec<TrustChange>, DeviceError> {
        self.observe_devices(&lists.keys, lists.logged_in().as_ref())
    }

    /// As [`refresh`](Self::refresh), and puts everything that comes of it among the events, in the
    /// same step.
    pub(super) async fn refresh_and_tell(&mut self, account: &Account) -> Result<(), DeviceError> {
        let (keys, logged_in) = self.query(account).await?;
        let now = self.clock.now();
        self.keep(|device| {
            for change in device.put_devices(&keys, logged_in.as_ref(), now)? {
                device.events.push(DeviceEvent::Trust(change));
            }
            Ok(())
        })?;
        self.devices.observed(now);
        Ok(())
    }

    async fn query(
        &mut self,
        account: &Account,
    ) -> Result<(UserKeys, Option<LoggedInDevices>), DeviceError> {
        self.check_account(account)?;
        self.devices.query_started();
        let body = account.keys_query(self.user_id()).await?;
        let keys = UserKeys::from_keys_query(self.user_id(), &body)?;
        let logged_in = match account.devices_now().await {
            Ok(devices) => Some(logged_in(&devices)),
            Err(error) if error.is_logged_out() => return Err(error.into()),
            Err(error) => {
                warn!(%error, "it is unknown which devices are logged in");
                None
            }
        };
        Ok((keys, logged_in))
    }

    fn observe_devices(
        &mut self,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
    ) -> Result<Vec<TrustChange>, DeviceError> {
        let now = self.clock.now();
        let changes = self.keep(|device| device.put_devices(keys, logged_in, now))?;
        self.devices.observed(now);
        Ok(changes)
    }

    /// Pending until the caller commits.
    fn put_devices(
        &mut self,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
        now: Timestamp,
    ) -> Result<Vec<TrustChange>, DeviceError> {
        let changes = self.devices.observe(&mut self.rows, keys, logged_in, now)?;
        self.tell_of_trust()?;
        Ok(changes)
    }

    fn change_trust(&mut self, change: impl FnOnce(&mut Trust)) -> Result<(), DeviceError> {
        self.keep(|device| {
            device.devices.change(&mut device.rows, change)?;
            device.tell_of_trust()
        })
    }

    /// What the machine says of it is not in its state: taken out in the same step, it is told whatever
    /// fails later. Pending until the caller commits.
    fn tell_of_trust(&mut self) -> Result<(), DeviceError> {
        self.tell(Input::TrustChanged);
        self.poll_sharing()
    }
}

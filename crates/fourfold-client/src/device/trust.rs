//! The list of the user's devices, and whom this machine trusts.

use std::time::Duration;

use fourfold::Timestamp;
use fourfold::identity::{
    Curve25519PublicKey, KnownDevice, LoggedInDevices, PinnedBy, TombstoneReason, Trust,
    TrustChange, UserKeys,
};
use fourfold::sharing::Input;
use fourfold::signed_json::PublicKey;
use tracing::{debug, instrument, warn};

use super::olm::peer::Peer;
use super::{Device, DeviceError};
use crate::account::logged_in;
use crate::local_state::{SealedRows, Table};
use crate::verification::{OtherSide, OwnSide, is_ambiguous};
use crate::{Account, DeviceLists};

impl Device {
    /// What this machine knows of the user's devices, and which of them it trusts. As fresh as the
    /// last [`refresh`](Self::refresh) or sync.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Pins the master key of the user: its private key is held, or the user verified it. Kept when
    /// this returns.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherIdentity`] when another one is pinned, and the errors of the file system.
    pub fn pin(&mut self, master_key: PublicKey, how: PinnedBy) -> Result<(), DeviceError> {
        let mut pinned = Ok(());
        self.change_trust(|trust| pinned = trust.hold_on(master_key, how))?;
        Ok(pinned?)
    }

    /// The same in place of another one that is pinned: only when the user said that this is to be.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn replace_pin(&mut self, master_key: PublicKey, how: PinnedBy) -> Result<(), DeviceError> {
        self.change_trust(|trust| trust.pin(master_key, how))
    }

    /// Never trusts a device again on this machine, whoever signed it: it was logged out, or the
    /// user does not want it. Kept when this returns.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
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
    /// The errors of the file system.
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
    /// anything until one can. And the errors of the file system and of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn refresh(&mut self, account: &Account) -> Result<Vec<TrustChange>, DeviceError> {
        self.check_account(account)?;
        self.trust.query_started();
        let body = account.keys_query(&self.user_id).await?;
        let keys = UserKeys::from_keys_query(&self.user_id, &body)?;
        let logged_in = match account.devices_now().await {
            Ok(devices) => Some(logged_in(&devices)),
            Err(error) if error.is_logged_out() => return Err(error.into()),
            Err(error) => {
                warn!(%error, "it is not known who is logged in");
                None
            }
        };
        self.observe_devices(&keys, logged_in.as_ref())
    }

    /// Takes in what was asked for elsewhere, as [`refresh`](Self::refresh) does.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn observe(&mut self, lists: &DeviceLists) -> Result<Vec<TrustChange>, DeviceError> {
        self.observe_devices(&lists.keys, lists.logged_in().as_ref())
    }

    fn observe_devices(
        &mut self,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
    ) -> Result<Vec<TrustChange>, DeviceError> {
        let now = self.clock.now();
        self.evidence.identity = Some(keys.identity().clone());
        let mut changes = Vec::new();
        self.change_trust(|trust| changes = trust.observe(keys, logged_in, now))?;
        self.confirmed = Some(now);
        self.log_ins.answered(self.trust.waits_for_log_ins(), now);
        Ok(changes)
    }

    /// Whether the devices are to be asked for: they changed, or may have, or it is time to ask
    /// again who is logged in.
    pub(super) fn is_list_due(&self) -> bool {
        let asks_again = || self.trust.waits_for_log_ins() && self.log_ins.is_due(self.now());
        !self.trust.is_fresh() || asks_again()
    }

    /// When the server was silent for long, the devices may have changed without a word of it: the
    /// list is out of date then, until the next sync asks for it.
    pub(super) fn doubt_old_list(&mut self) {
        let now = self.clock.now();
        let is_recent = |at: Timestamp| now.since(at) < CONFIRMED_FOR;
        if self.trust.is_fresh() && !self.confirmed.is_some_and(is_recent) {
            debug!("the server was silent for too long");
            self.trust.mark_stale();
            self.tell(Input::TrustChanged);
        }
    }

    /// The devices that claim a Curve25519 key, those that are verified first.
    pub(super) fn claimants(&self, key: &vodozemac::Curve25519PublicKey) -> Vec<Peer> {
        let key = Curve25519PublicKey::from_bytes(key.to_bytes());
        let claimants = key.map(|key| self.trust.claimants(key)).unwrap_or_default();
        claimants.into_iter().map(Peer::from).collect()
    }

    /// The device with a Curve25519 key, as another one would be encrypted for.
    pub(super) fn peer_by_key(&self, key: &vodozemac::Curve25519PublicKey) -> Option<Peer> {
        let key = Curve25519PublicKey::from_bytes(key.to_bytes()).ok()?;
        self.trust.device_by_curve25519(key).map(Peer::from)
    }

    /// A device that this machine trusts with secrets at this moment.
    pub(super) fn verified_peer(&self, device_id: &str) -> Option<Peer> {
        let is_verified = self.trust.is_fresh() && self.trust.verdict(device_id).is_verified();
        is_verified
            .then(|| self.trust.device(device_id).map(Peer::from))
            .flatten()
    }

    /// The two sides of a verification with a device, with the keys as they are known now. `None`
    /// for a device that is not known, and when a device of the user is named like one of the
    /// user's keys.
    pub(super) fn sides(&self, device_id: &str) -> Option<(OwnSide, OtherSide)> {
        let published = self.evidence.identity.as_ref()?;
        let master_key = published.master_key().ok();
        let cross_signing: Vec<_> = [
            master_key,
            published.self_signing_key().ok(),
            published.user_signing_key().ok(),
            self.trust.pinned().map(|(key, _)| key),
            self.trust.pinned_self_signing_key(),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.trust.colliding_device().is_some()
            || self
                .trust
                .devices()
                .any(|device| is_ambiguous(&device.device_id, &cross_signing))
        {
            warn!("a device is named like a key of the user: nothing is verified");
            return None;
        }
        let device = self
            .trust
            .device(device_id)
            .filter(|_| self.trust.verdict(device_id).may_be_verified())?;
        let own = OwnSide {
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
            ed25519: PublicKey::from_base64(&self.ed25519).ok()?,
            // Vouched for only as long as nothing else is published.
            trusted_master_key: self
                .trust
                .pinned()
                .map(|(key, _)| key)
                .filter(|key| master_key == Some(*key) && self.trust.alarm().is_none()),
        };
        let other = OtherSide {
            device_id: device.device_id.clone(),
            ed25519: device.ed25519,
            master_key,
        };
        Some((own, other))
    }

    /// Why a device cannot be verified, when this says it.
    pub(super) fn not_verifiable(&self, device_id: &str) -> DeviceError {
        match self.trust.verdict(device_id) {
            verdict if verdict.may_be_verified() => DeviceError::NotVerifiable,
            verdict => DeviceError::NoUseToVerify(verdict),
        }
    }

    fn change_trust(&mut self, change: impl FnOnce(&mut Trust)) -> Result<(), DeviceError> {
        change(&mut self.trust);
        self.rows.put(Table::Trust, "", &self.trust)?;
        self.tell(Input::TrustChanged);
        self.commit()
    }
}

/// How long the list of devices counts as confirmed after an answer of the server: three long polls.
const CONFIRMED_FOR: Duration = Duration::from_secs(90);

/// When to ask again who is logged in, after a server that did not say. A change of the list of
/// devices asks at once, whatever this says.
#[derive(Debug, Default)]
pub(super) struct LogIns {
    failures: u32,
    next: Timestamp,
}

impl LogIns {
    /// Notes whether the last answer left something open.
    fn answered(&mut self, is_open: bool, now: Timestamp) {
        self.failures = if is_open {
            self.failures.saturating_add(1)
        } else {
            0
        };
        let doubled = Self::FIRST_PAUSE * 2_u32.pow(self.failures.saturating_sub(1).min(8));
        self.next = now + doubled.min(Self::LONGEST_PAUSE);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    const FIRST_PAUSE: Duration = Duration::from_secs(60);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
}

/// What was kept, or nothing yet.
pub(super) fn load(
    rows: &SealedRows,
    user_id: &str,
    device_id: &str,
) -> Result<Trust, DeviceError> {
    let trust: Option<Trust> = rows.get(Table::Trust, "")?;
    Ok(trust.unwrap_or_else(|| Trust::new(user_id, device_id)))
}

impl From<&KnownDevice> for Peer {
    fn from(device: &KnownDevice) -> Self {
        Self {
            device_id: device.device_id.clone(),
            ed25519: device.ed25519,
            curve25519: vodozemac::Curve25519PublicKey::from_bytes(*device.curve25519.as_bytes()),
        }
    }
}

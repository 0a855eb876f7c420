//! The list of the user's devices, and whom this machine trusts.

use std::time::Duration;

use fourfold::{
    Timestamp,
    identity::{
        Curve25519PublicKey, KnownDevice, PinnedBy, TombstoneReason, Trust, TrustChange, UserKeys,
    },
    sharing::Input,
    signed_json::PublicKey,
};
use tracing::{debug, instrument, warn};

use super::{Device, DeviceError, peer::Peer};
use crate::{
    Account,
    local_state::{SealedRows, Table},
    verification::{OtherSide, OwnSide, is_ambiguous},
};

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
    /// The errors of the file system.
    pub fn pin(&mut self, master_key: PublicKey, how: PinnedBy) -> Result<(), DeviceError> {
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

    /// Asks the server for the devices of the user, and tells what changed. Kept when this returns.
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
        self.observe_devices(&body)
    }

    /// Takes in an answer to `/keys/query`.
    pub(super) fn observe_devices(&mut self, body: &str) -> Result<Vec<TrustChange>, DeviceError> {
        let keys = UserKeys::from_keys_query(&self.user_id, body)?;
        let now = self.clock.now();
        self.evidence.identity = Some(keys.identity().clone());
        let mut changes = Vec::new();
        self.change_trust(|trust| changes = trust.observe(&keys, now))?;
        self.confirmed = Some(now);
        Ok(changes)
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
            .filter(|device| device.device_id != self.device_id)?;
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

    fn change_trust(&mut self, change: impl FnOnce(&mut Trust)) -> Result<(), DeviceError> {
        change(&mut self.trust);
        self.rows.put(Table::Trust, "", &self.trust)?;
        self.tell(Input::TrustChanged);
        self.commit()
    }
}

/// How long the list of devices counts as confirmed after an answer of the server: three long polls.
const CONFIRMED_FOR: Duration = Duration::from_secs(90);

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

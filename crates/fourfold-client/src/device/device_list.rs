//! The list of the user's devices, as it is known here.

use std::time::Duration;

use fourfold::identity::{Curve25519PublicKey, LoggedInDevices, Trust, TrustChange, UserKeys};
use fourfold::sharing::Context;
use fourfold::signed_json::PublicKey;
use fourfold::{BackupVersion, PublishedKeys, Timestamp};
use tracing::{debug, warn};

use super::error::DeviceError;
use super::olm::{OwnDevice, Peer};
use crate::local_state::{SealedRows, Table};
use crate::verification::{OtherSide, OwnSide, is_ambiguous};

/// The devices, whom this machine trusts among them, and what the server published last. What is
/// changed is pending in the rows until the caller commits.
#[derive(Debug)]
pub(super) struct DeviceList {
    trust: Trust,
    /// The keys of the user and the version of the backup, as they were published last.
    published: PublishedKeys,
    /// When the server last said that the list is as it is known here.
    confirmed: Option<Timestamp>,
    log_ins: LogIns,
}

impl DeviceList {
    /// The list as it was kept, or an empty one.
    pub(super) fn load(rows: &SealedRows, own: &OwnDevice) -> Result<Self, DeviceError> {
        Ok(Self {
            trust: trust(rows, own)?,
            published: PublishedKeys::default(),
            confirmed: None,
            log_ins: LogIns::default(),
        })
    }

    /// Goes back to what was kept.
    pub(super) fn reload(&mut self, rows: &SealedRows, own: &OwnDevice) -> Result<(), DeviceError> {
        self.trust = trust(rows, own)?;
        Ok(())
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Changes whom this machine trusts.
    pub(super) fn change(
        &mut self,
        rows: &mut SealedRows,
        change: impl FnOnce(&mut Trust),
    ) -> Result<(), DeviceError> {
        change(&mut self.trust);
        Ok(rows.put(Table::Trust, "", &self.trust)?)
    }

    /// The context of the decisions of secret sharing.
    pub(super) fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            trust: &self.trust,
            published_keys: &self.published,
            now,
        }
    }

    /// Nobody is trusted with anything before the devices were asked for again.
    pub(super) fn mark_stale(&mut self) {
        self.trust.mark_stale();
    }

    /// A query of the devices begins.
    pub(super) fn query_started(&mut self) {
        self.trust.query_started();
    }

    /// Takes in the answer.
    pub(super) fn observe(
        &mut self,
        rows: &mut SealedRows,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
        now: Timestamp,
    ) -> Result<Vec<TrustChange>, DeviceError> {
        self.published.identity = Some(keys.identity().clone());
        let mut changes = Vec::new();
        self.change(rows, |trust| changes = trust.observe(keys, logged_in, now))?;
        Ok(changes)
    }

    /// Notes that what was taken in is kept.
    pub(super) fn observed(&mut self, now: Timestamp) {
        self.confirmed = Some(now);
        self.log_ins.answered(self.trust.waits_for_log_ins(), now);
    }

    /// Notes that the server said nothing of a change in an answer of this moment.
    pub(super) fn confirm(&mut self, at: Timestamp) {
        self.confirmed = self.confirmed.max(Some(at));
    }

    /// Notes which version of the key backup is current.
    pub(super) fn observe_backup(&mut self, version: Option<BackupVersion>) {
        self.published.backup = version;
    }

    /// Returns `true` if the devices are to be asked for: they changed, or may have, or it is time
    /// to ask again who is logged in.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let asks_again = || self.trust.waits_for_log_ins() && self.log_ins.is_due(now);
        !self.trust.is_fresh() || asks_again()
    }

    /// When the server was silent for long, the devices may have changed without a word of it: the
    /// list is out of date then, until the next sync asks for it. Whether that is so now.
    pub(super) fn doubt(&mut self, now: Timestamp) -> bool {
        let is_recent = |at: Timestamp| now.since(at) < CONFIRMED_FOR;
        if !self.trust.is_fresh() || self.confirmed.is_some_and(is_recent) {
            return false;
        }
        debug!("the server was silent for too long");
        self.trust.mark_stale();
        true
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

    /// The IDs of the devices that may be verified.
    pub(super) fn verifiable(&self) -> Vec<String> {
        self.trust
            .devices()
            .map(|device| device.device_id.clone())
            .filter(|id| self.trust.verdict(id).may_be_verified())
            .collect()
    }

    /// The two sides of a verification with a device, with the keys as they are known now. `None`
    /// for a device that is not known, and when a device of the user is named like one of the
    /// user's keys.
    pub(super) fn sides(&self, own: &OwnDevice, device_id: &str) -> Option<(OwnSide, OtherSide)> {
        let published = self.published.identity.as_ref()?;
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
            warn!("the ID of a device is a key of the user: nothing is verified");
            return None;
        }
        let device = self
            .trust
            .device(device_id)
            .filter(|_| self.trust.verdict(device_id).may_be_verified())?;
        let own = OwnSide {
            user_id: own.user_id().to_owned(),
            device_id: own.device_id().to_owned(),
            ed25519: PublicKey::from_base64(own.ed25519()).ok()?,
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
}

fn trust(rows: &SealedRows, own: &OwnDevice) -> Result<Trust, DeviceError> {
    let trust: Option<Trust> = rows.get(Table::Trust, "")?;
    Ok(trust.unwrap_or_else(|| Trust::new(own.user_id(), own.device_id())))
}

/// When to ask again who is logged in, after a server that did not say. A change of the list of
/// devices asks at once, whatever this says.
#[derive(Debug, Default)]
struct LogIns {
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
        let doubled = Self::MIN_PAUSE * 2_u32.pow(self.failures.saturating_sub(1).min(8));
        self.next = now + doubled.min(Self::MAX_PAUSE);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    const MIN_PAUSE: Duration = Duration::from_secs(60);
    const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
}

/// The time for which the list of devices counts as confirmed after a response of the server: three
/// long polls.
const CONFIRMED_FOR: Duration = Duration::from_secs(90);

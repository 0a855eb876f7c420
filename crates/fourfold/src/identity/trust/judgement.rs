//! The one judgement of a device, for everything that is done with it.

use super::Trust;
use crate::identity::{Curve25519PublicKey, DeviceTrust, KnownDevice, LogIn};
use crate::signed_json::PublicKey;

impl Trust {
    /// Whether a device is trusted, and if not, why. Code that lists devices, asks one, answers it,
    /// takes something from it or verifies it goes by this and nothing else. Freshness is another
    /// question: [`is_fresh`](Self::is_fresh).
    #[must_use]
    pub fn verdict(&self, device_id: &str) -> DeviceTrust {
        if device_id == self.device_id {
            return DeviceTrust::ThisDevice;
        }
        if self.colliding.contains(device_id) {
            return DeviceTrust::CollidingId;
        }
        let device = self.devices.get(device_id);
        if device.is_some_and(|device| device.log_in == LogIn::Missing) {
            return DeviceTrust::NotLoggedIn;
        }
        if let Some(tombstone) = self.tombstones.get(device_id) {
            return DeviceTrust::Tombstoned(tombstone.reason);
        }
        let Some(device) = device else {
            return DeviceTrust::Unknown;
        };
        let signed = self.judge_signature(device);
        if !signed.is_verified() {
            signed
        } else if self.tombstones.is_full() && device.confirmed.is_none() {
            DeviceTrust::TooManyTombstones
        } else if device.log_in == LogIn::Unknown {
            DeviceTrust::LogInUnknown
        } else {
            DeviceTrust::Verified
        }
    }

    /// How the user's other devices judge this one, as far as can be told from here:
    /// [`Verified`](DeviceTrust::Verified), or why no other device answers it.
    #[must_use]
    pub fn verdict_on_this_device(&self) -> DeviceTrust {
        if self.colliding.contains(&self.device_id) {
            return DeviceTrust::CollidingId;
        }
        match self.devices.get(&self.device_id) {
            Some(device) => self.judge_signature(device),
            None => DeviceTrust::Unknown,
        }
    }

    /// Whether the pinned identity signed a device.
    fn judge_signature(&self, device: &KnownDevice) -> DeviceTrust {
        match self.usable_self_signing_key() {
            Err(reason) => reason,
            Ok(_) if device.dehydrated => DeviceTrust::Dehydrated,
            Ok(key) if device.signed_by != Some(key) => DeviceTrust::NotSigned,
            Ok(_) => DeviceTrust::Verified,
        }
    }

    /// The self-signing key, when it is published, chains to the pinned master key, and is the one
    /// that is pinned with it.
    ///
    /// # Errors
    ///
    /// The [`DeviceTrust`] that every device has while there is none.
    pub(crate) fn usable_self_signing_key(&self) -> Result<PublicKey, DeviceTrust> {
        let pin = self.pin.as_ref().ok_or(DeviceTrust::NotPinned)?;
        if self.alarm.is_some() {
            return Err(DeviceTrust::IdentityChanged);
        }
        self.published
            .self_signing_of(pin.master)
            .filter(|key| pin.self_signing == Some(*key))
            .ok_or(DeviceTrust::IdentityUnusable)
    }

    /// The devices that are [verified](DeviceTrust::Verified).
    pub fn verified_devices(&self) -> impl Iterator<Item = &KnownDevice> {
        self.devices()
            .filter(|device| self.verdict(&device.device_id).is_verified())
    }

    /// The devices that claim this Curve25519 key, those that are verified first.
    ///
    /// A device proves that it holds its Ed25519 key, by signing its keys, and proves nothing about
    /// the Curve25519 key among them: any device can claim the one of another. What came over Olm is
    /// from the claimant whose Ed25519 key the plaintext names.
    #[must_use]
    pub fn claimants(&self, key: Curve25519PublicKey) -> Vec<&KnownDevice> {
        let claimants = self.devices.values().filter(|one| one.curve25519 == key);
        let mut claimants: Vec<_> = claimants.collect();
        claimants.sort_by_cached_key(|one| !self.verdict(&one.device_id).is_verified());
        claimants
    }

    /// The device with this Curve25519 key. Of several that claim it, the one that is verified
    /// counts; `None` when none of them is, or more than one.
    #[must_use]
    pub fn device_by_curve25519(&self, key: Curve25519PublicKey) -> Option<&KnownDevice> {
        let is_verified = |one: &KnownDevice| self.verdict(&one.device_id).is_verified();
        match self.claimants(key).as_slice() {
            [only] => Some(only),
            [first, second, ..] if is_verified(first) && !is_verified(second) => Some(first),
            _ => None,
        }
    }

    /// The device with both of these keys; one that is verified comes before others.
    #[must_use]
    pub fn device_by_keys(
        &self,
        curve25519: Curve25519PublicKey,
        ed25519: PublicKey,
    ) -> Option<&KnownDevice> {
        let mut claimants = self.claimants(curve25519).into_iter();
        claimants.find(|one| one.ed25519 == ed25519)
    }
}

//! What the answers of the server do to what is known.

use std::collections::BTreeSet;

use super::{IdentityAlarm, Published, Trust, TrustChange};
use crate::Timestamp;
use crate::identity::{
    DeviceKeys, DeviceTrust, KnownDevice, LogIn, LoggedInDevices, PublishedIdentity,
    TombstoneReason, UserKeys,
};
use crate::signed_json::PublicKey;

impl Trust {
    /// Takes in what the server says about the user's devices, and says what changed: their keys, as
    /// `POST /keys/query` shows them, and who is logged in, as `GET /devices` says **after** that.
    /// In this order a device that is in the first answer and not in the second one is gone.
    ///
    /// Keys of another user are not looked at. An answer that leaves this very device out is not
    /// taken for a list of the user's devices. Of keys, nothing is taken from it but an alarm, and
    /// the list stays stale. Of log-ins, it counts as none.
    ///
    /// Without an answer about log-ins a device that was known to be logged in counts as logged in
    /// still, as long as its keys are shown; one of which it is not known is trusted with nothing.
    /// A server that fails there thus takes nothing away from what works, and gives nothing.
    pub fn observe(
        &mut self,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
        now: Timestamp,
    ) -> Vec<TrustChange> {
        let mut changes = Vec::new();
        if keys.user_id() != self.user_id {
            return changes;
        }
        let waited_before = self.waits_for_log_ins();
        let verified_before: BTreeSet<_> = self
            .verified_devices()
            .map(|device| device.device_id.clone())
            .collect();
        self.observe_identity(keys.identity(), &mut changes);
        if keys.device(&self.device_id).is_none() {
            self.freshness.unanswered();
            changes.push(TrustChange::ThisDeviceMissing);
            return changes;
        }
        self.observe_missing_devices(keys, now, &mut changes);
        let self_signing = keys.identity().self_signing_key().ok();
        for (device_id, keys) in keys.devices() {
            if let Ok(keys) = keys {
                self.observe_device(keys, self_signing, now, &mut changes);
            } else if self.devices.contains_key(device_id) {
                self.bury(device_id, TombstoneReason::KeysChanged, now, &mut changes);
            }
        }
        self.observe_log_ins(logged_in, now, &mut changes);
        self.observe_collisions(keys, &mut changes);
        if self.waits_for_log_ins() && !waited_before {
            changes.push(TrustChange::LogInsUnknown);
        }
        for device in self.verified_devices() {
            if !verified_before.contains(&device.device_id) {
                changes.push(TrustChange::Verified {
                    device_id: device.device_id.clone(),
                });
            }
        }
        self.freshness.answered();
        changes
    }

    fn observe_identity(&mut self, identity: &PublishedIdentity, changes: &mut Vec<TrustChange>) {
        self.published = Published {
            master: identity.master_key().ok(),
            self_signing: identity.self_signing_key().ok(),
        };
        let Some(pin) = &mut self.pin else { return };
        let alarm = match (
            identity.master_key(),
            pin.self_signing,
            identity.listed_self_signing_key(),
        ) {
            (Ok(published), ..) if published != pin.master => {
                Some(IdentityAlarm::MasterKeyChanged {
                    pinned: pin.master,
                    published,
                })
            }
            (Ok(_), Some(pinned), Some(published)) if published != pinned => {
                Some(IdentityAlarm::SelfSigningKeyChanged { pinned, published })
            }
            _ => None,
        };
        if let Some(alarm) = alarm {
            // The first alarm says what was pinned and what came instead; later ones add nothing.
            if self.alarm.is_none() {
                self.alarm = Some(alarm);
                changes.push(TrustChange::IdentityChanged(alarm));
            }
        } else if self.alarm.is_none() {
            let pinned = pin.master;
            if pin.self_signing.is_none() {
                pin.self_signing = self.published.self_signing_of(pinned);
            }
            if self.published.self_signing_of(pinned).is_none() {
                changes.push(TrustChange::IdentityUnusable);
            }
        }
    }

    fn observe_missing_devices(
        &mut self,
        keys: &UserKeys,
        now: Timestamp,
        changes: &mut Vec<TrustChange>,
    ) {
        let missing: Vec<String> = self
            .devices
            .keys()
            .filter(|id| keys.device(id).is_none())
            .cloned()
            .collect();
        for device_id in missing {
            self.bury(&device_id, TombstoneReason::Disappeared, now, changes);
        }
    }

    fn observe_device(
        &mut self,
        keys: &DeviceKeys,
        self_signing: Option<PublicKey>,
        now: Timestamp,
        changes: &mut Vec<TrustChange>,
    ) {
        let signed_by =
            self_signing.filter(|key| key.verify(keys.content(), &self.user_id).is_ok());
        let mut device = KnownDevice::new(keys, signed_by, now);
        match self.devices.get(keys.device_id()) {
            Some(known) if known.has_keys_of(keys) => {
                device.first_seen = known.first_seen;
                device.confirmed = known.confirmed;
                device.was_signed |= known.was_signed;
                device.log_in = known.log_in;
            }
            Some(_) => self.bury(keys.device_id(), TombstoneReason::KeysChanged, now, changes),
            None => changes.push(TrustChange::Appeared {
                device_id: keys.device_id().to_owned(),
            }),
        }
        self.devices.insert(keys.device_id().to_owned(), device);
    }

    /// Returns `true` if a device would be trusted if the server said that it is logged in: then it
    /// is worth asking again.
    #[must_use]
    pub fn waits_for_log_ins(&self) -> bool {
        let mut ids = self.devices.keys();
        ids.any(|id| self.verdict(id) == DeviceTrust::LogInUnknown)
    }

    fn observe_log_ins(
        &mut self,
        logged_in: Option<&LoggedInDevices>,
        now: Timestamp,
        changes: &mut Vec<TrustChange>,
    ) {
        let Some(logged_in) = logged_in.filter(|list| list.contains(&self.device_id)) else {
            return;
        };
        let reason = TombstoneReason::NotLoggedIn;
        for (device_id, device) in &mut self.devices {
            if logged_in.contains(device_id) {
                device.log_in = LogIn::Listed;
                continue;
            }
            device.log_in = LogIn::Missing;
            device.confirmed = None;
            if self.tombstones.get(device_id).is_none() {
                changes.push(TrustChange::Tombstoned {
                    device_id: device_id.clone(),
                    reason,
                });
            }
            self.tombstones
                .insert(device_id, reason, device.was_signed, now);
        }
    }

    /// Takes a device out of those that are known and leaves a tombstone. This very device gets
    /// none: it is never shared with anyway.
    fn bury(
        &mut self,
        device_id: &str,
        reason: TombstoneReason,
        now: Timestamp,
        changes: &mut Vec<TrustChange>,
    ) {
        let Some(device) = self.devices.remove(device_id) else {
            return;
        };
        if device_id != self.device_id {
            self.tombstones
                .insert(device_id, reason, device.was_signed, now);
        }
        changes.push(TrustChange::Tombstoned {
            device_id: device_id.to_owned(),
            reason,
        });
    }

    fn observe_collisions(&mut self, keys: &UserKeys, changes: &mut Vec<TrustChange>) {
        let mut cross_signing_keys: Vec<PublicKey> = keys.identity().listed().collect();
        cross_signing_keys.extend(
            self.pin
                .iter()
                .flat_map(|pin| [Some(pin.master), pin.self_signing])
                .flatten(),
        );
        self.colliding = keys
            .devices()
            .map(|(device_id, _)| device_id)
            .filter(|id| cross_signing_keys.iter().any(|key| key.is_device_id(id)))
            .map(str::to_owned)
            .collect();
        changes.extend(
            self.colliding
                .iter()
                .cloned()
                .map(|device_id| TrustChange::CollidingId { device_id }),
        );
    }
}

//! The devices that are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::identity::{DeviceKeys, Tombstone, TombstoneReason};

/// Tombstones by device ID, bounded.
///
/// A server can list any number of devices that nobody signed and let them go again; of those only
/// the newest are remembered. Devices that the user's identity signed, or that the user put away,
/// are never forgotten: when there are too many, the table is full, and from then on no device is
/// trusted by its signature alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Tombstones {
    by_device: BTreeMap<String, Tombstone>,
    full: bool,
}

impl Tombstones {
    /// The most devices that were never signed.
    pub(super) const MAX_FORGETTABLE: usize = 1_000;
    /// The most devices that were signed, or that the user put away.
    pub(super) const MAX_LASTING: usize = 10_000;

    pub(super) fn get(&self, device_id: &str) -> Option<&Tombstone> {
        self.by_device.get(device_id)
    }

    /// Returns `true` if some device that should be remembered could not be.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    /// Remembers a device. One that is remembered already keeps its first reason, unless the new
    /// one is the user's.
    pub(super) fn insert(
        &mut self,
        device_id: &str,
        reason: TombstoneReason,
        was_signed: bool,
        now: Timestamp,
    ) {
        if let Some(tombstone) = self.by_device.get_mut(device_id) {
            tombstone.was_signed |= was_signed;
            if is_of_user(reason) {
                tombstone.reason = reason;
            }
            return;
        }
        let tombstone = Tombstone {
            reason,
            since: now,
            was_signed,
        };
        if device_id.len() > DeviceKeys::MAX_ID_BYTES || !self.make_room_for(&tombstone) {
            return;
        }
        self.by_device.insert(device_id.to_owned(), tombstone);
    }

    pub(super) fn remove(&mut self, device_id: &str) {
        self.by_device.remove(device_id);
    }

    fn make_room_for(&mut self, new: &Tombstone) -> bool {
        let lasting = is_lasting(new);
        let others = self
            .by_device
            .values()
            .filter(|one| is_lasting(one) == lasting);
        let most = if lasting {
            Self::MAX_LASTING
        } else {
            Self::MAX_FORGETTABLE
        };
        if others.count() < most {
            return true;
        }
        if lasting {
            self.full = true;
            return false;
        }
        let oldest = self
            .by_device
            .iter()
            .filter(|(_, one)| !is_lasting(one))
            .min_by_key(|(_, one)| one.since)
            .map(|(id, _)| id.clone());
        if let Some(oldest) = oldest {
            self.by_device.remove(&oldest);
        }
        true
    }
}

fn is_lasting(tombstone: &Tombstone) -> bool {
    tombstone.was_signed || is_of_user(tombstone.reason)
}

fn is_of_user(reason: TombstoneReason) -> bool {
    matches!(
        reason,
        TombstoneReason::Blocked | TombstoneReason::LoggedOut
    )
}

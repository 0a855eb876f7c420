//! The devices that are gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Timestamp,
    identity::{Tombstone, TombstoneReason},
};

/// Tombstones by device ID, bounded.
///
/// A server can list any number of devices that nobody signed and let them go again; of those only
/// the newest are remembered. Devices that the user's identity signed are never forgotten: when
/// there are too many, the table is full, and no new device is trusted by its signature alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Tombstones {
    by_device: BTreeMap<String, Tombstone>,
}

impl Tombstones {
    /// The most devices that were never signed.
    const MAX_UNSIGNED: usize = 1_000;
    /// The most devices that were signed, or that the user blocked.
    const MAX_SIGNED: usize = 10_000;

    pub(super) fn get(&self, device_id: &str) -> Option<&Tombstone> {
        self.by_device.get(device_id)
    }
}

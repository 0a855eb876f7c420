//! What was ignored, counted by reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Why an event was ignored. Nothing of this goes over the network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ignored {
    /// A request that was taken back before it came.
    Cancelled,
    /// A request that came before.
    Duplicate,
    /// A value that is not what its name says, or that nothing is known to compare with.
    InvalidValue,
    /// An answer to a request that is over.
    Late,
    /// The machine is locked.
    Locked,
    /// Not an event that the machine knows, or not complete.
    Malformed,
    /// An answer of a device that was not asked.
    NotAsked,
    /// A secret that was not encrypted with Olm.
    NotEncrypted,
    /// An answer to no request of this device, or a push that is not wanted.
    NotOpen,
    /// From a device, or for one, that is not verified.
    NotTrusted,
    /// From another user.
    OtherUser,
    /// Too many requests wait.
    QueueFull,
    /// A request of this very device.
    ThisDevice,
    /// From a device that the user does not have.
    UnknownDevice,
}

/// Counters of ignored events since the machine was created or restored.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(BTreeMap<Ignored, u64>);

impl Counts {
    pub(super) fn count(&mut self, reason: Ignored) {
        let count = self.0.entry(reason).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn of(&self, reason: Ignored) -> u64 {
        self.0.get(&reason).copied().unwrap_or_default()
    }
}

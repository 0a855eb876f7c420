//! Another device of the user, and what is remembered about encrypting with it.

use fourfold::identity::KnownDevice;
use fourfold::signed_json::PublicKey;
use serde::{Deserialize, Serialize};
use vodozemac::Curve25519PublicKey;

use crate::device::clock::{HOUR, is_within};
use crate::device::error::DeviceError;
use crate::local_state::{SealedRows, Table};

/// The identity of another device, as its owner signed it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) device_id: String,
    pub(crate) ed25519: PublicKey,
    pub(crate) curve25519: Curve25519PublicKey,
}

impl Peer {
    /// The name of its row, and the beginning of the names of its sessions.
    pub(crate) fn name(&self) -> String {
        self.curve25519.to_base64()
    }
}

impl From<&KnownDevice> for Peer {
    fn from(device: &KnownDevice) -> Self {
        Self {
            device_id: device.device_id.clone(),
            ed25519: device.ed25519,
            curve25519: Curve25519PublicKey::from_bytes(*device.curve25519.as_bytes()),
        }
    }
}

/// The state of a device that does not depend on its sessions.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct PeerNotes {
    /// Failures since [`failures_since`](Self::failures_since).
    failures: u32,
    failures_since: u64,
    /// When a session was last replaced, in milliseconds of the wall clock.
    replaced_at: Option<u64>,
    /// Whether its sessions do not work any more and a new one is to be made.
    pub(crate) is_wedged: bool,
    /// The IDs of sessions that were given up: a message that began one begins none again.
    gone: Vec<String>,
    /// The one-time keys of the device that were used here, the newest last.
    used_one_time_keys: Vec<String>,
}

impl PeerNotes {
    pub(crate) fn load(rows: &SealedRows, peer: &Peer) -> Result<Self, DeviceError> {
        Ok(rows.get(Table::Peer, &peer.name())?.unwrap_or_default())
    }

    pub(crate) fn save(&self, rows: &mut SealedRows, peer: &Peer) -> Result<(), DeviceError> {
        Ok(rows.put(Table::Peer, &peer.name(), self)?)
    }

    /// Counts a message that did not decrypt. MACs of Olm are 64 bits short, so that the number of
    /// guesses is what protects them.
    pub(crate) fn failed(&mut self, now: u64) {
        if !is_within(self.failures_since, now, HOUR) {
            self.failures = 0;
            self.failures_since = now;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Returns `true` if so much failed within an hour that nothing more is tried.
    pub(crate) fn is_exhausted(&self, now: u64) -> bool {
        self.failures >= MAX_FAILURES && is_within(self.failures_since, now, HOUR)
    }

    /// Returns `true` if a new session may be begun because the others do not work: once an hour.
    pub(crate) fn may_replace(&self, now: u64) -> bool {
        self.is_wedged && !self.replaced_at.is_some_and(|at| is_within(at, now, HOUR))
    }

    /// Notes that a new session is being begun.
    pub(crate) fn replaced(&mut self, now: u64) {
        self.is_wedged = false;
        self.replaced_at = Some(now);
    }

    pub(crate) fn forget_session(&mut self, session_id: String) {
        self.gone.push(session_id);
        let surplus = self.gone.len().saturating_sub(MAX_GONE);
        self.gone.drain(..surplus);
    }

    /// Notes that a one-time key of the device is used. `false` when it was before: the server hands
    /// the same key out again.
    pub(crate) fn use_one_time_key(&mut self, key: &str) -> bool {
        if self.used_one_time_keys.iter().any(|used| used == key) {
            return false;
        }
        self.used_one_time_keys.push(key.to_owned());
        let surplus = self.used_one_time_keys.len().saturating_sub(MAX_GONE);
        self.used_one_time_keys.drain(..surplus);
        true
    }

    pub(crate) fn was_session(&self, session_id: &str) -> bool {
        self.gone.iter().any(|gone| gone == session_id)
    }
}

/// The maximum number of messages of one device that may fail within an hour.
const MAX_FAILURES: u32 = 100;

/// The maximum number of past sessions, and of used one-time keys, that are remembered.
const MAX_GONE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_bounded_by_the_hour() {
        let mut notes = PeerNotes::default();
        for _ in 0..MAX_FAILURES {
            assert!(!notes.is_exhausted(HOUR));
            notes.failed(HOUR);
        }
        assert!(notes.is_exhausted(HOUR));
        assert!(notes.is_exhausted(2 * HOUR - 1));
        assert!(!notes.is_exhausted(2 * HOUR));
        assert!(!notes.is_exhausted(0), "the clock was set back");
        notes.failed(2 * HOUR);
        assert!(!notes.is_exhausted(2 * HOUR));
    }

    #[test]
    fn a_session_is_replaced_once_an_hour() {
        let mut notes = PeerNotes::default();
        assert!(!notes.may_replace(HOUR));
        notes.is_wedged = true;
        assert!(notes.may_replace(HOUR));
        notes.replaced(HOUR);
        notes.is_wedged = true;
        assert!(!notes.may_replace(2 * HOUR - 1));
        assert!(notes.may_replace(2 * HOUR));
    }

    #[test]
    fn sessions_that_are_gone_are_remembered_within_bounds() {
        let mut notes = PeerNotes::default();
        for number in 0..MAX_GONE + 1 {
            notes.forget_session(number.to_string());
        }
        assert!(!notes.was_session("0"));
        assert!(notes.was_session("1"));
        assert!(notes.was_session(&MAX_GONE.to_string()));
    }
}

//! Messages that no device can have seen: tracked in memory only, and treated as seen if in doubt.
//!
//! A request for a secret may vanish together with its cancellation only when its device has not seen
//! it. Whatever is read from an inbox counts as seen, whether or not the answer arrived.
//!
//! # Why it never says unseen of what was shown
//!
//! A reader notes up to where it will read, then reads up to there and no further. The writer holds
//! the lock from its question to its commit. So a note comes either before the question, which then
//! sees it, or after the commit, and then the reader does not find what was deleted. An inbox
//! about which nothing is known, after a restart or because it was forgotten, has been seen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bounded::fingerprint::{Fingerprint, Fingerprints};
use crate::bounded::generations::Generations;
use crate::store::{DeviceId, Position, UserId};

/// The position after which nothing was shown, for inboxes in which a request arrived.
pub(super) struct Unseen {
    fingerprints: Fingerprints,
    inboxes: Mutex<Inboxes>,
}

type Inboxes = Generations<Fingerprint, Position>;

impl Unseen {
    pub(super) fn new() -> Self {
        Self {
            fingerprints: Fingerprints::new(),
            inboxes: Mutex::new(Generations::new(MAX_INBOXES)),
        }
    }

    /// Notes that a device is about to see what waits for it up to a position. May block until a
    /// transaction has ended.
    pub(super) fn shows(&self, user: &UserId, device: &DeviceId, up_to: Position) {
        if let Some(after) = self.lock().entry(user, device) {
            *after = up_to.max(*after);
        }
    }

    /// Stops the readers of inboxes until the answer is dropped.
    pub(super) fn lock(&self) -> Locked<'_> {
        Locked {
            fingerprints: &self.fingerprints,
            inboxes: self.inboxes.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// While this lives, no reader begins to read an inbox.
pub(super) struct Locked<'a> {
    fingerprints: &'a Fingerprints,
    inboxes: MutexGuard<'a, Inboxes>,
}

impl Locked<'_> {
    /// Notes that a request takes a position, which is higher than all that were given out.
    pub(super) fn arrives(&mut self, user: &UserId, device: &DeviceId, position: Position) {
        if self.entry(user, device).is_none() {
            let before = Position(position.0.saturating_sub(1));
            let inbox = self.fingerprints.of(&(user, device));
            self.inboxes.insert(inbox, before, 1);
        }
    }

    /// Returns `true` if the device cannot have seen the message at a position.
    pub(super) fn holds(&mut self, user: &UserId, device: &DeviceId, position: Position) -> bool {
        self.entry(user, device)
            .is_some_and(|after| position > *after)
    }

    fn entry(&mut self, user: &UserId, device: &DeviceId) -> Option<&mut Position> {
        let inbox = self.fingerprints.of(&(user, device));
        self.inboxes.entry(&inbox, |_| 1)
    }
}

/// Inboxes that are remembered.
const MAX_INBOXES: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_only_what_arrived_after_it_was_asked_to_watch() {
        let unseen = Unseen::new();
        let (alice, device) = (UserId::new("@alice:a"), DeviceId::new("D"));
        let holds = |position| unseen.lock().holds(&alice, &device, Position(position));
        assert!(!holds(5));
        unseen.lock().arrives(&alice, &device, Position(5));
        assert!(!holds(4) && holds(5) && holds(6));
        unseen.lock().arrives(&alice, &device, Position(7));
        unseen.shows(&alice, &device, Position(5));
        unseen.shows(&alice, &device, Position(3));
        assert!(!holds(5) && holds(7));
    }
}

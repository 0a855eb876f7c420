//! Messages to devices: how large a request may be, and what an acknowledgement means.

use crate::store::{Position, StoreError};

/// The copies of one request, one for each device, counted before any is delivered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Copies {
    copies: usize,
    bytes: usize,
}

impl Copies {
    /// Counts a message of `length` bytes for so many devices.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`] when the request becomes too large.
    pub fn add(&mut self, devices: usize, length: usize) -> Result<(), StoreError> {
        self.copies = self.copies.saturating_add(devices);
        self.bytes = self.bytes.saturating_add(devices.saturating_mul(length));
        if self.copies > MAX_COPIES || self.bytes > MAX_BYTES {
            return Err(StoreError::Quota("messages for all devices together"));
        }
        Ok(())
    }
}

/// Returns `true` if an acknowledgement up to a position means anything. A position of the future
/// is older than a store that was restored from a backup: it acknowledges nothing.
#[must_use]
pub fn is_acknowledged(up_to: Position, current: Position) -> bool {
    up_to <= current
}

/// Copies that one request may put into inboxes: a writer does nothing else meanwhile.
const MAX_COPIES: usize = 5_000;

/// Bytes that one request may put into inboxes.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_limited_in_copies_and_in_bytes() {
        let mut copies = Copies::default();
        copies.add(4_000, 1).unwrap();
        copies.add(1_000, 1).unwrap();
        copies.add(1, 1).unwrap_err();
        let mut copies = Copies::default();
        copies.add(256, 65_536).unwrap();
        copies.add(1, 1).unwrap_err();
        Copies::default().add(usize::MAX, usize::MAX).unwrap_err();
    }

    #[test]
    fn a_position_of_the_future_acknowledges_nothing() {
        assert!(is_acknowledged(Position(3), Position(3)));
        assert!(!is_acknowledged(Position(4), Position(3)));
    }
}

//! Transactions: what of a request that comes again is still to be delivered, and how long that is
//! remembered.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::store::{DeviceId, Timestamp, Transaction};

/// The part of a transaction that was done before.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores make them")]
pub enum Begun {
    /// Nothing.
    Fresh,
    /// All but these copies, for which there was no room.
    But(Vec<u8>),
    /// Everything.
    Done,
}

/// The record of a transaction that a store keeps at its end.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores match on it")]
pub enum Kept {
    /// The record that it has kept already.
    AsBefore,
    /// Nothing: nothing was delivered, so that nothing happened.
    Nothing,
    /// That it was done, but for these copies; `None` when all were delivered.
    But(Option<Vec<u8>>),
}

impl Begun {
    /// Returns `true` if a copy is still to be delivered.
    #[must_use]
    pub fn wants(&self, copy: impl FnOnce() -> [u8; COPY]) -> bool {
        match self {
            Self::Fresh => true,
            Self::Done => false,
            Self::But(refused) => {
                let copy = copy();
                refused.chunks_exact(COPY).any(|refused| refused == copy)
            }
        }
    }

    /// What is kept when these copies were refused, of so many that were tried.
    #[must_use]
    pub fn end(&self, refused: &[[u8; COPY]], tried: usize) -> Kept {
        match self {
            Self::Done => Kept::AsBefore,
            Self::Fresh if refused.is_empty() => Kept::AsBefore,
            Self::Fresh if refused.len() == tried => Kept::Nothing,
            Self::Fresh | Self::But(_) => {
                Kept::But((!refused.is_empty()).then(|| refused.concat()))
            }
        }
    }
}

/// Names a copy of a message within its request.
#[must_use]
pub fn copy(index: usize, device: &DeviceId) -> [u8; COPY] {
    let mut hash = Sha256::new();
    hash.update(index.to_be_bytes());
    hash.update(device.as_str());
    let hash: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    [a, b, c, d, e, f, g, h]
}

/// Returns `true` if a transaction, on its way, looks for others that may be forgotten: one in
/// [`FORGET_EVERY`], by chance.
#[must_use]
pub fn looks_for_old(transaction: &Transaction) -> bool {
    let [first, ..] = transaction.hash;
    first.is_multiple_of(FORGET_EVERY)
}

/// The time before which transactions may be forgotten.
#[must_use]
pub fn forgotten_before(now: Timestamp) -> Timestamp {
    let remembered = u64::try_from(REMEMBERED.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_sub(remembered))
}

/// How many of the oldest transactions of one device are forgotten, whatever their age, when so many
/// are remembered.
#[must_use]
pub fn too_many(remembered: u64) -> u64 {
    if remembered <= MAX_REMEMBERED {
        return 0;
    }
    remembered - KEPT_OF_TOO_MANY
}

/// Bytes that name a copy within its request: enough for the few thousand of one.
pub const COPY: usize = 8;

/// One in so many transactions looks for what may be forgotten.
pub const FORGET_EVERY: u8 = 64;

/// The time for which a transaction is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Transactions of one device that are remembered; of more, the oldest are forgotten early.
const MAX_REMEMBERED: u64 = 50_000;

/// The number that stays then: fewer, so that the next deletion is not due at once.
const KEPT_OF_TOO_MANY: u64 = 49_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn copies() -> [[u8; COPY]; 3] {
        [("D", 0), ("E", 0), ("D", 1)].map(|(device, index)| copy(index, &DeviceId::new(device)))
    }

    #[test]
    fn a_request_that_comes_again_delivers_what_was_refused() {
        let [first, second, third] = copies();
        assert!(first != second && first != third && second != third);
        assert!(Begun::Fresh.wants(|| first));
        assert!(!Begun::Done.wants(|| first));
        let begun = Begun::But([first, third].concat());
        assert!(begun.wants(|| first) && !begun.wants(|| second) && begun.wants(|| third));
    }

    #[test]
    fn what_was_refused_is_kept_and_a_request_that_did_nothing_is_not() {
        let [first, second, _] = copies();
        assert_eq!(Begun::Fresh.end(&[], 2), Kept::AsBefore);
        assert_eq!(Begun::Fresh.end(&[first, second], 2), Kept::Nothing);
        let kept = Kept::But(Some(first.to_vec()));
        assert_eq!(Begun::Fresh.end(&[first], 2), kept);
        let before = Begun::But([first, second].concat());
        assert_eq!(before.end(&[first], 2), kept);
        assert_eq!(before.end(&[], 2), Kept::But(None));
        let still = Kept::But(Some([first, second].concat()));
        assert_eq!(before.end(&[first, second], 2), still);
        assert_eq!(Begun::Done.end(&[], 0), Kept::AsBefore);
    }

    #[test]
    fn a_day_is_remembered_and_of_very_many_the_newest() {
        let day = 24 * 3600 * 1000;
        assert_eq!(forgotten_before(Timestamp(day + 5)), Timestamp(5));
        assert_eq!(forgotten_before(Timestamp(5)), Timestamp(0));
        assert_eq!(too_many(50_000), 0);
        assert_eq!(too_many(50_001), 1_001);
    }

    #[test]
    fn some_transactions_look_for_old_ones() {
        let looking = (0..=u8::MAX).filter(|first| {
            looks_for_old(&Transaction {
                device: DeviceId::new("D"),
                hash: [*first; 32],
                at: Timestamp(0),
            })
        });
        assert_eq!(looking.count(), 4);
    }
}

//! The history of account data: how much of it is kept, and for how long.
//!
//! Limits are enforced when a content enters the history. Beyond one, more is deleted than has to be,
//! so that a user at a limit does not pay for a deletion with each write.

use std::time::Duration;

use crate::store::{HistoryQuota, Timestamp};

/// The usage of the history by a user.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Usage {
    /// Contents.
    pub entries: u64,
    /// Bytes of contents and types.
    pub bytes: u64,
}

impl Usage {
    /// With one more content of so many bytes, its type included.
    #[must_use]
    pub fn with(self, bytes: u64) -> Self {
        Self {
            entries: self.entries + 1,
            bytes: self.bytes + bytes,
        }
    }

    /// Without what was deleted.
    #[must_use]
    pub fn without(self, deleted: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(deleted.entries),
            bytes: self.bytes.saturating_sub(deleted.bytes),
        }
    }
}

/// What has to be deleted, beginning with what was replaced first: at least so much of each.
#[must_use]
pub fn excess(usage: Usage, quota: HistoryQuota) -> Usage {
    let over = |used: u64, most: u64| {
        if used > most {
            used - most_after_deletion(most)
        } else {
            0
        }
    };
    Usage {
        entries: over(usage.entries, quota.entries),
        bytes: over(usage.bytes, quota.bytes),
    }
}

/// The number of contents of one type that stay when it has more than the quota allows.
#[must_use]
pub fn most_after_deletion(most: u64) -> u64 {
    most - most / 4
}

/// The time before which a content must have been replaced to be too old: it is neither shown nor
/// kept by [`is_sweep_due`].
#[must_use]
pub fn oldest(now: Timestamp, quota: HistoryQuota) -> Timestamp {
    let age = u64::try_from(quota.age.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_sub(age))
}

/// Returns `true` if the user's contents that are too old are to be looked for: once a day is often
/// enough, because they are not shown.
#[must_use]
pub fn is_sweep_due(swept_at: Timestamp, now: Timestamp) -> bool {
    now.since(swept_at) >= SWEEP_INTERVAL
}

const SWEEP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: HistoryQuota = HistoryQuota {
        entries: 8,
        entries_of_type: 4,
        bytes: 100,
        age: Duration::from_millis(500),
    };

    fn usage(entries: u64, bytes: u64) -> Usage {
        Usage { entries, bytes }
    }

    #[test]
    fn nothing_goes_below_a_limit_and_a_quarter_beyond_it() {
        assert_eq!(excess(usage(8, 100), QUOTA), usage(0, 0));
        assert_eq!(excess(usage(9, 100), QUOTA), usage(3, 0));
        assert_eq!(excess(usage(8, 101), QUOTA), usage(0, 26));
        assert_eq!(excess(usage(0, 0).with(1_000), QUOTA), usage(0, 925));
        assert_eq!(most_after_deletion(4), 3);
        assert_eq!(most_after_deletion(1), 1);
    }

    #[test]
    fn what_is_deleted_is_no_longer_counted() {
        assert_eq!(usage(3, 30).without(usage(2, 25)), usage(1, 5));
        assert_eq!(usage(1, 5).without(usage(2, 25)), usage(0, 0));
    }

    #[test]
    fn age_counts_from_the_replacement_and_is_looked_at_once_a_day() {
        assert_eq!(oldest(Timestamp(1_500), QUOTA), Timestamp(1_000));
        assert_eq!(oldest(Timestamp(100), QUOTA), Timestamp(0));
        let day = Timestamp(24 * 60 * 60 * 1_000);
        assert!(is_sweep_due(Timestamp(0), day));
        assert!(!is_sweep_due(Timestamp(1), day));
    }
}

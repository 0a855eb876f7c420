//! Account data: the condition of a write, and what it counts.

use crate::store::{AccountDataQuota, Condition, Position, StoreError};

/// The usage of account data by a user, over all rooms and the account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Totals {
    /// Types, each counted in each room.
    pub types: u64,
    /// Bytes of contents, types and room IDs.
    pub bytes: u64,
}

/// The lengths of one write.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Lengths {
    /// Bytes of the type and the room ID.
    pub name: u64,
    /// Bytes of the content.
    pub content: u64,
}

/// Checks the condition against the position of what is stored.
///
/// # Errors
///
/// [`StoreError::Changed`].
pub fn check(condition: Condition, stored: Option<Position>) -> Result<(), StoreError> {
    if condition.holds(stored) {
        return Ok(());
    }
    Err(StoreError::Changed)
}

/// The totals after a write. `stored` is the length of the content that it replaces, if there is one.
///
/// # Errors
///
/// [`StoreError::Quota`]. A user over the quota, because it was lowered, may still replace what is
/// there by what is no larger.
pub fn replace(
    totals: Totals,
    stored: Option<u64>,
    new: Lengths,
    quota: AccountDataQuota,
) -> Result<Totals, StoreError> {
    let mut after = totals;
    match stored {
        Some(stored) => after.bytes = after.bytes.saturating_sub(stored),
        None => {
            after.types += 1;
            after.bytes += new.name;
        }
    }
    after.bytes += new.content;
    if after.types > quota.types && stored.is_none() {
        return Err(StoreError::Quota("types of account data"));
    }
    if after.bytes > quota.bytes && after.bytes > totals.bytes {
        return Err(StoreError::Quota("bytes of account data"));
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: AccountDataQuota = AccountDataQuota {
        types: 2,
        bytes: 100,
    };

    fn totals(types: u64, bytes: u64) -> Totals {
        Totals { types, bytes }
    }

    fn put(before: Totals, stored: Option<u64>, content: u64) -> Option<Totals> {
        replace(before, stored, Lengths { name: 10, content }, QUOTA).ok()
    }

    #[test]
    fn a_new_type_counts_its_name_and_a_replacement_the_difference() {
        assert_eq!(put(totals(0, 0), None, 5), Some(totals(1, 15)));
        assert_eq!(put(totals(1, 15), Some(5), 7), Some(totals(1, 17)));
        assert_eq!(put(totals(1, 15), Some(5), 0), Some(totals(1, 10)));
    }

    #[test]
    fn the_quota_is_reached_and_not_passed() {
        assert_eq!(put(totals(1, 15), None, 75), Some(totals(2, 100)));
        assert_eq!(put(totals(1, 15), None, 76), None);
        assert_eq!(put(totals(2, 20), None, 0), None);
        assert_eq!(put(totals(2, 20), Some(0), 80), Some(totals(2, 100)));
    }

    #[test]
    fn who_is_over_a_lowered_quota_may_shrink() {
        assert_eq!(put(totals(5, 500), Some(100), 100), Some(totals(5, 500)));
        assert_eq!(put(totals(5, 500), Some(100), 101), None);
        assert_eq!(put(totals(5, 500), Some(100), 50), Some(totals(5, 450)));
    }

    #[test]
    fn a_condition_names_the_change_that_stored_it() {
        let stored = Some(Position(7));
        for (condition, holds) in [
            (Condition::Always, [true, true]),
            (Condition::Absent, [false, true]),
            (Condition::Present, [true, false]),
            (Condition::Unchanged(Position(7)), [true, false]),
            (Condition::Unchanged(Position(6)), [false, false]),
        ] {
            let checked = [stored, None].map(|stored| check(condition, stored).is_ok());
            assert_eq!(checked, holds, "{condition:?}");
        }
    }
}

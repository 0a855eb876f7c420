//! Moments, as given by the caller of the core.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in milliseconds. The core has no clock: every moment is an argument.
///
/// Only differences count, and they must stay right over restarts. So a program that keeps state
/// begins, at its start, at the later of the wall clock (milliseconds since 1970) and the last
/// moment that it stored, and from there adds what a monotonic clock counted. A wall clock that is
/// set back or forward while the program runs changes nothing then; one that was set back before a
/// start makes open deadlines last longer by the time that the program was off, no more.
///
/// ```
/// use std::time::Duration;
/// use fourfold::Timestamp;
/// let asked = Timestamp::from_millis(1_000);
/// assert_eq!((asked + Duration::from_secs(2)).as_millis(), 3_000);
/// assert_eq!(asked.since(Timestamp::from_millis(4_000)), Duration::ZERO);
/// ```
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A moment so many milliseconds after whatever the caller counts from.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since an earlier moment; nothing when that one is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

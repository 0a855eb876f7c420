//! The clock of a device: it never goes back, also not over restarts.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fourfold::Timestamp;

/// Begins at the later of the wall clock and the last moment that was kept, and goes on from there
/// as a monotonic clock does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    begun: Instant,
    at: u64,
}

impl Clock {
    pub(super) fn start(last_kept: Option<Timestamp>) -> Self {
        let last_kept = last_kept.map_or(0, Timestamp::as_millis);
        Self {
            begun: Instant::now(),
            at: wall_clock().max(last_kept),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.at) + self.begun.elapsed()
    }

    /// As if so much time had passed.
    #[cfg(test)]
    pub(super) fn advance(&mut self, by: Duration) {
        self.at += u64::try_from(by.as_millis()).unwrap();
    }
}

/// Milliseconds since 1970, as other devices are told.
pub(super) fn wall_clock() -> u64 {
    let passed: Duration = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `true` if something that happened at `then` is less than `span` ago. A clock that was
/// set back makes no span longer than it is.
pub(crate) fn is_within(then: u64, now: u64, span: u64) -> bool {
    now.checked_sub(then).is_some_and(|passed| passed < span)
}

/// In milliseconds.
pub(crate) const HOUR: u64 = 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_was_set_back_does_not_turn_time_back() {
        let future = Timestamp::from_millis(wall_clock() * 2);
        let mut clock = Clock::start(Some(future));
        assert!(clock.now() >= future);
        clock.advance(Duration::from_secs(1));
        assert!(clock.now() >= future + Duration::from_secs(1));
        assert!(Clock::start(None).now() >= Timestamp::from_millis(wall_clock() - 60_000));
    }
}

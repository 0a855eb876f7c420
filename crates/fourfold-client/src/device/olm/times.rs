//! When things were done to the keys of this device.

use serde::{Deserialize, Serialize};

use crate::device::clock::{HOUR, is_within};

/// When things were done to the keys, in milliseconds of the wall clock.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(crate) struct Times {
    fallback_key_made: Option<u64>,
    /// Whether an older fallback key is still kept, for messages on their way.
    has_older_fallback_key: bool,
    restored: Option<u64>,
    one_time_keys_made: u64,
    one_time_keys_made_since: u64,
}

impl Times {
    /// The number of one-time keys that may be created now, out of those wanted. A server that says
    /// again and again that they are used up gets no more than these in an hour.
    pub(crate) fn allow_one_time_keys(&mut self, wanted: u64, now: u64) -> u64 {
        if !is_within(self.one_time_keys_made_since, now, HOUR) {
            self.one_time_keys_made = 0;
            self.one_time_keys_made_since = now;
        }
        let allowed = wanted.min(MAX_ONE_TIME_KEYS_AN_HOUR.saturating_sub(self.one_time_keys_made));
        self.one_time_keys_made += allowed;
        allowed
    }

    /// Returns `true` if the fallback key may be replaced: once an hour.
    pub(crate) fn may_make_fallback_key(&self, now: u64) -> bool {
        !self
            .fallback_key_made
            .is_some_and(|made| is_within(made, now, HOUR))
    }

    /// Notes that it was replaced.
    pub(crate) fn made_fallback_key(&mut self, now: u64) {
        self.has_older_fallback_key = self.fallback_key_made.is_some();
        self.fallback_key_made = Some(now);
    }

    /// Returns `true` if the older fallback key is to be forgotten: an hour after it was replaced.
    pub(crate) fn is_older_fallback_key_over(&self, now: u64) -> bool {
        self.has_older_fallback_key && self.may_make_fallback_key(now)
    }

    /// Notes that the older fallback key is forgotten.
    pub(crate) fn forgot_fallback_key(&mut self) {
        self.has_older_fallback_key = false;
    }

    /// Notes that everything is begun again; `false`, and nothing is noted, within a day of the
    /// last time.
    pub(crate) fn start_over(&mut self, now: u64) -> bool {
        if self.restored.is_some_and(|at| is_within(at, now, DAY)) {
            return false;
        }
        self.restored = Some(now);
        true
    }
}

/// The maximum number of one-time keys that are created within an hour.
const MAX_ONE_TIME_KEYS_AN_HOUR: u64 = 500;

const DAY: u64 = 24 * HOUR;

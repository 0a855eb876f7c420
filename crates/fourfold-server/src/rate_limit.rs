//! Token buckets, one for each address or user and kind of request.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Rate;
use crate::error::MatrixError;
use crate::generations::Generations;
use crate::store::Timestamp;

/// One kind of request, limited for each key by itself.
pub(crate) struct RateLimiter {
    rate: Option<Rate>,
    clock: Clock,
    hasher: RandomState,
    shards: Vec<Mutex<Generations<Box<str>, Bucket>>>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Option<Rate>, clock: Clock) -> Self {
        let shard = || Mutex::new(Generations::new(BUCKETS / SHARDS));
        Self {
            rate,
            clock,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    /// Takes one token of the key's bucket, or says when the next comes.
    pub(crate) fn take(&self, key: &str) -> Result<(), MatrixError> {
        let Some(rate) = self.rate else { return Ok(()) };
        let hash = usize::try_from(self.hasher.hash_one(key) >> 32).unwrap_or(0);
        let Some(shard) = self.shards.get(hash % SHARDS) else {
            return Ok(());
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if let Some(bucket) = shard.entry(key, |_| 1) {
            return bucket.take(rate, now);
        }
        let mut bucket = Bucket {
            level: f64::from(rate.burst),
            at: now,
        };
        let taken = bucket.take(rate, now);
        shard.insert(key.into(), bucket, 1);
        taken
    }
}

struct Bucket {
    level: f64,
    at: Timestamp,
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), MatrixError> {
        let refilled = now.since(self.at).as_secs_f64() * rate.per_second;
        self.level = (self.level + refilled).min(f64::from(rate.burst));
        self.at = self.at.max(now);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        let seconds = (1.0 - self.level) / rate.per_second;
        let retry_after = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT);
        Err(MatrixError::LimitExceeded {
            retry_after: retry_after.min(LONGEST_WAIT),
        })
    }
}

/// Keys that are remembered. One who is forgotten starts with a full bucket, so there must be more
/// than anyone can fill in the time that a bucket takes to refill.
const BUCKETS: usize = 200_000;

const SHARDS: usize = 16;

const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_after_the_burst_and_says_when_to_come_back() {
        let clock = Clock::manual(Timestamp(0));
        let rate = Rate {
            per_second: 0.5,
            burst: 2,
        };
        let limiter = RateLimiter::new(Some(rate), clock.clone());
        limiter.take("a").unwrap();
        limiter.take("a").unwrap();
        limiter.take("b").unwrap();
        let refused = limiter.take("a");
        let Err(MatrixError::LimitExceeded { retry_after }) = refused else {
            panic!()
        };
        assert_eq!(retry_after, Duration::from_secs(2));
        clock.advance(retry_after);
        limiter.take("a").unwrap();
        limiter.take("a").unwrap_err();
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limiter = RateLimiter::new(None, Clock::system());
        for _ in 0..1000 {
            limiter.take("a").unwrap();
        }
    }
}

//! Token buckets, one for each address or user and kind of request.

use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::bounded::fingerprint::{Fingerprint, Fingerprints};
use crate::bounded::generations::Generations;
use crate::clock::Clock;
use crate::config::Rate;
use crate::http::error::MatrixError;
use crate::store::Timestamp;

/// One kind of request, limited for each key by itself. Of a key, which may be a name that a stranger
/// chose, only its fingerprint is kept.
pub(crate) struct RateLimiter {
    rate: Option<Rate>,
    clock: Clock,
    fingerprints: Fingerprints,
    shards: Vec<Mutex<Generations<Fingerprint, Bucket>>>,
}

impl RateLimiter {
    pub(crate) fn new(rate: Option<Rate>, clock: Clock) -> Self {
        let shard = || Mutex::new(Generations::new(MAX_BUCKETS / SHARDS));
        Self {
            rate,
            clock,
            fingerprints: Fingerprints::new(),
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    /// Takes one token of the key's bucket, or says when the next comes.
    pub(crate) fn take(&self, key: &(impl Hash + ?Sized)) -> Result<(), MatrixError> {
        let taken = self.with_bucket(key, Bucket::take);
        taken.unwrap_or(Ok(()))
    }

    /// Takes tokens for a request that began and costs more than one. The bucket may owe them: then
    /// who comes next waits until they are there.
    pub(crate) fn charge(&self, key: &(impl Hash + ?Sized), tokens: usize) {
        let tokens = f64::from(u32::try_from(tokens).unwrap_or(u32::MAX));
        self.with_bucket(key, |bucket, _| bucket.level -= tokens);
    }

    /// Works on the bucket as it is now; `None` when nothing is limited.
    fn with_bucket<T>(
        &self,
        key: &(impl Hash + ?Sized),
        work: impl FnOnce(&mut Bucket, Rate) -> T,
    ) -> Option<T> {
        let rate = self.rate?;
        let key = self.fingerprints.of(key);
        let shard = self.shards.get(key.part(SHARDS))?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if let Some(bucket) = shard.entry(&key, |_| 1) {
            bucket.refill(rate, now);
            return Some(work(bucket, rate));
        }
        let mut bucket = Bucket {
            level: f64::from(rate.burst),
            at: now,
        };
        let done = work(&mut bucket, rate);
        shard.insert(key, bucket, 1);
        Some(done)
    }
}

struct Bucket {
    level: f64,
    at: Timestamp,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Timestamp) {
        let refilled = now.since(self.at).as_secs_f64() * rate.per_second;
        self.level = (self.level + refilled).min(f64::from(rate.burst));
        self.at = self.at.max(now);
    }

    fn take(&mut self, rate: Rate) -> Result<(), MatrixError> {
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        let seconds = (1.0 - self.level) / rate.per_second;
        let retry_after = Duration::try_from_secs_f64(seconds).unwrap_or(MAX_WAIT);
        Err(MatrixError::LimitExceeded {
            retry_after: retry_after.min(MAX_WAIT),
        })
    }
}

/// Keys that are remembered. One who is forgotten starts with a full bucket, so there must be more
/// than anyone can fill in the time that a bucket takes to refill.
const MAX_BUCKETS: usize = 200_000;

const SHARDS: usize = 16;

const MAX_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RateLimits;

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
    fn what_costs_more_is_owed() {
        let clock = Clock::manual(Timestamp(0));
        let rate = Rate {
            per_second: 1.0,
            burst: 2,
        };
        let limiter = RateLimiter::new(Some(rate), clock.clone());
        limiter.take("a").unwrap();
        limiter.charge("a", 5);
        let Err(MatrixError::LimitExceeded { retry_after }) = limiter.take("a") else {
            panic!()
        };
        assert_eq!(retry_after, Duration::from_secs(5));
        clock.advance(retry_after);
        limiter.take("a").unwrap();
        limiter.take("b").unwrap();
    }

    // shows: SRV-11
    #[test]
    fn what_is_kept_does_not_grow_with_the_names_nor_beyond_a_number() {
        let limiter = RateLimiter::new(RateLimits::default().login.per_user, Clock::system());
        for number in 0..2 * MAX_BUCKETS {
            limiter.take(&number).unwrap();
        }
        let kept = |shard: &Mutex<Generations<Fingerprint, Bucket>>| shard.lock().unwrap().len();
        let kept: usize = limiter.shards.iter().map(kept).sum();
        assert!(
            (MAX_BUCKETS / 2..=MAX_BUCKETS + 2 * SHARDS).contains(&kept),
            "{kept}"
        );
        assert!(size_of::<(Fingerprint, Bucket)>() <= 32);
    }

    #[test]
    fn no_rate_is_no_limit() {
        let limiter = RateLimiter::new(None, Clock::system());
        for _ in 0..1000 {
            limiter.take("a").unwrap();
        }
    }
}

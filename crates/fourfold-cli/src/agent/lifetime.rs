//! The lifetime of a key in the agent.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The readings of clocks at a moment. These clocks cannot be set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Moment {
    /// Since the machine started, suspension included.
    pub(crate) since_boot: Duration,
    /// Since the machine started, without the time that it was suspended.
    pub(crate) awake: Duration,
}

impl Moment {
    /// The readings now.
    pub(crate) fn now() -> Self {
        #[cfg(target_os = "linux")]
        const SINCE_BOOT: ClockId = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        const SINCE_BOOT: ClockId = ClockId::Monotonic;
        let read = |clock| {
            let time = clock_gettime(clock);
            Duration::new(
                time.tv_sec.try_into().unwrap_or_default(),
                time.tv_nsec.try_into().unwrap_or_default(),
            )
        };
        // In this order a pause between the two looks like less suspension, never like more.
        Self {
            since_boot: read(SINCE_BOOT),
            awake: read(ClockId::Monotonic),
        }
    }

    fn suspended(&self) -> Duration {
        self.since_boot.saturating_sub(self.awake)
    }
}

/// The limits on the lifetime of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    /// Without being used.
    pub(crate) idle: Duration,
    /// However often it is used.
    pub(crate) lifetime: Option<Duration>,
}

/// Why a key is kept no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expired {
    Idle,
    Lifetime,
    Suspended,
}

impl Expired {
    /// For the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Idle => "not used for a while",
            Self::Lifetime => "its lifetime ended",
            Self::Suspended => "the machine was suspended",
        }
    }
}

/// Something that is kept for a while.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    value: T,
    limits: Limits,
    since: Moment,
    used: Moment,
}

impl<T> Kept<T> {
    pub(crate) fn new(value: T, limits: Limits, now: Moment) -> Self {
        Self {
            value,
            limits,
            since: now,
            used: now,
        }
    }

    /// The value, which starts the idle time again. To be asked only after
    /// [`expired`](Self::expired).
    pub(crate) fn using(&mut self, now: Moment) -> &T {
        self.used = now;
        &self.value
    }

    /// The value, which changes nothing.
    pub(crate) fn value(&self) -> &T {
        &self.value
    }

    /// Whether it has to go now.
    pub(crate) fn expired(&self, now: Moment) -> Option<Expired> {
        if now.suspended() > self.since.suspended() + JITTER {
            return Some(Expired::Suspended);
        }
        let age = |since: Moment| now.since_boot.saturating_sub(since.since_boot);
        let is_over = |lifetime| age(self.since) >= lifetime;
        if self.limits.lifetime.is_some_and(is_over) {
            return Some(Expired::Lifetime);
        }
        (age(self.used) >= self.limits.idle).then_some(Expired::Idle)
    }

    /// The time that remains if it is not used.
    pub(crate) fn remaining(&self, now: Moment) -> Duration {
        let idle = self.used.since_boot + self.limits.idle;
        let lifetime = self.limits.lifetime;
        let end = lifetime.map_or(idle, |lifetime| idle.min(self.since.since_boot + lifetime));
        end.saturating_sub(now.since_boot)
    }
}

/// The two clocks are not read at the same time.
const JITTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn after(minutes: u32) -> Moment {
        Moment {
            since_boot: MINUTE * (1000 + minutes),
            awake: MINUTE * (900 + minutes),
        }
    }

    fn kept(lifetime: Option<u32>) -> Kept<()> {
        let limits = Limits {
            idle: MINUTE * 15,
            lifetime: lifetime.map(|minutes| MINUTE * minutes),
        };
        Kept::new((), limits, after(0))
    }

    // shows: AGT-04
    #[test]
    fn use_prolongs_the_idle_time() {
        let mut kept = kept(None);
        assert_eq!(kept.expired(after(14)), None);
        assert_eq!(kept.remaining(after(14)), MINUTE);
        assert_eq!(kept.expired(after(15)), Some(Expired::Idle));
        for minutes in (10..1000).step_by(10) {
            assert_eq!(kept.expired(after(minutes)), None);
            kept.using(after(minutes));
        }
    }

    #[test]
    fn nothing_prolongs_the_lifetime() {
        let mut kept = kept(Some(20));
        kept.using(after(10));
        kept.using(after(19));
        assert_eq!(kept.expired(after(19)), None);
        assert_eq!(kept.remaining(after(19)), MINUTE);
        assert_eq!(kept.expired(after(20)), Some(Expired::Lifetime));
        assert_eq!(kept.remaining(after(30)), Duration::ZERO);
    }

    // shows: AGT-04, AG-06
    #[test]
    fn a_suspended_machine_locks_however_short_it_was() {
        let kept = kept(None);
        let mut now = after(1);
        now.awake -= Duration::from_secs(3);
        assert_eq!(kept.expired(now), Some(Expired::Suspended));
    }

    #[test]
    fn a_stopped_process_locks_as_if_it_had_run() {
        // SIGSTOP for an hour: the clocks go on, and the first look at them after it tells.
        let kept = kept(None);
        assert_eq!(kept.expired(after(60)), Some(Expired::Idle));
    }

    #[test]
    fn the_clocks_of_this_machine_run_and_agree() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second.since_boot >= first.since_boot && second.awake >= first.awake);
        assert!(first.since_boot > Duration::ZERO);
        assert_eq!(kept(None).expired(after(0)), None);
        let kept = Kept::new((), kept(None).limits, first);
        assert_eq!(kept.expired(second), None);
    }
}

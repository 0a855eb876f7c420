//! Rate limits for events that a homeserver can trigger as often as it likes: a few of each kind
//! are reported, and the others are counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::audit::{ALERT, Record, TRUST};

/// The kinds of lines. Lines of one kind do not suppress those of another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Appeared,
    CollidingId,
    ConflictingAnswers,
    Gone,
    GoneDevice,
    Identity,
    InvalidValue,
    Limited,
    LogInsUnknown,
    OtherAlert,
    OtherChange,
    OutOfSync,
    Restored,
    ThisDeviceMissing,
    Verification,
    Verified,
}

impl Kind {
    /// The event of the log under which they stand.
    fn event(self) -> &'static str {
        match self {
            Self::Appeared
            | Self::CollidingId
            | Self::Gone
            | Self::Identity
            | Self::LogInsUnknown
            | Self::OtherChange
            | Self::ThisDeviceMissing
            | Self::Verified => TRUST,
            _ => ALERT,
        }
    }

    /// Returns `true` if the user should know now.
    pub(crate) fn is_urgent(self) -> bool {
        !matches!(
            self,
            Self::Appeared | Self::Gone | Self::OtherChange | Self::Verified
        )
    }

    fn words(self) -> &'static str {
        match self {
            Self::Appeared => "new devices",
            Self::CollidingId => "devices whose ID is a key of the account",
            Self::ConflictingAnswers => "answers that differ from the first one",
            Self::Gone => "devices that disappeared or changed",
            Self::GoneDevice => "requests or answers of untrusted devices",
            Self::Identity => "changes of the published identity",
            Self::InvalidValue => "values that do not match the public key",
            Self::Limited => "devices that send too many requests",
            Self::LogInsUnknown => "times that the list of logged-in devices was missing",
            Self::OtherAlert => "alerts",
            Self::OtherChange => "changes of the devices",
            Self::OutOfSync => "times out of sync with the homeserver",
            Self::Restored => "times that the files were an older copy",
            Self::ThisDeviceMissing => "device lists without this device",
            Self::Verification => "requests to verify a device",
            Self::Verified => "devices that are verified now",
        }
    }

    /// The number of lines that are reported in a [`WINDOW`].
    fn max_in_window(self) -> u32 {
        match self {
            // A person is asked to do something.
            Self::Verification => 3,
            Self::OutOfSync => 5,
            _ => 20,
        }
    }
}

/// Lets a few lines of each kind through.
#[derive(Debug, Default)]
pub(crate) struct Sieve(BTreeMap<Kind, Window>);

/// The lines of a kind since the first one of a while.
#[derive(Debug)]
struct Window {
    begun: Instant,
    told: u32,
    left_out: u64,
}

impl Sieve {
    /// Returns `true` if one more line of this kind is told.
    pub(crate) fn lets_through(&mut self, kind: Kind, now: Instant) -> bool {
        let window = self.0.entry(kind).or_insert(Window {
            begun: now,
            told: 0,
            left_out: 0,
        });
        // One that is over is not begun again before it was told how many were left out.
        if window.told < kind.max_in_window() || (window.is_over(now) && window.left_out == 0) {
            if window.is_over(now) {
                (window.begun, window.told) = (now, 0);
            }
            window.told += 1;
            return true;
        }
        window.left_out = window.left_out.saturating_add(1);
        false
    }

    /// A line for each kind of which some were left out, when its time has come.
    pub(crate) fn left_out(&mut self, now: Instant) -> Vec<(Kind, Record)> {
        self.take(|window| window.is_over(now))
    }

    /// The same without waiting for the time.
    pub(crate) fn left_out_so_far(&mut self) -> Vec<(Kind, Record)> {
        self.take(|_| true)
    }

    fn take(&mut self, is_due: impl Fn(&Window) -> bool) -> Vec<(Kind, Record)> {
        let mut lines = Vec::new();
        self.0.retain(|kind, window| {
            if !is_due(window) {
                return true;
            }
            if window.left_out > 0 {
                let words = kind.words();
                let reason = format!("{} more were omitted: {words}", window.left_out);
                lines.push((*kind, Record::new(kind.event()).reason(reason)));
            }
            false
        });
        lines
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.begun) >= WINDOW
    }
}

const WINDOW: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    // shows: AGT-09
    #[test]
    fn a_few_are_told_and_the_others_are_counted_once() {
        let (mut sieve, begun) = (Sieve::default(), Instant::now());
        let mut told = |kind, number: u32, now| {
            let passed = (0..number).filter(|_| sieve.lets_through(kind, now));
            let passed = passed.count();
            let lines = sieve.left_out(now).into_iter();
            let reasons = lines.map(|(_, record)| record.reason.unwrap_or_default());
            (passed, reasons.collect::<Vec<_>>())
        };
        assert_eq!(told(Kind::Gone, 900, begun), (20, vec![]));
        // Another kind is not kept away.
        assert_eq!(told(Kind::GoneDevice, 1, begun), (1, vec![]));
        let later = begun + WINDOW / 2;
        assert_eq!(told(Kind::Gone, 5, later), (0, vec![]));
        let over = begun + WINDOW;
        let said = "885 more were omitted: devices that disappeared or changed";
        assert_eq!(told(Kind::Gone, 0, over), (0, vec![said.to_owned()]));
        assert_eq!(told(Kind::Gone, 21, over), (20, vec![]));
        let lines = sieve.left_out_so_far();
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].0, lines[0].1.event.as_str()), (Kind::Gone, TRUST));
        assert!(sieve.left_out_so_far().is_empty());
    }

    #[test]
    fn what_comes_now_and_then_is_always_told() {
        let (mut sieve, mut now) = (Sieve::default(), Instant::now());
        for _ in 0..1000 {
            assert!(sieve.lets_through(Kind::Verification, now));
            now += WINDOW / 3;
        }
    }
}

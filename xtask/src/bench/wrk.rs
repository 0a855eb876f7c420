//! wrk, the load generator: one series with one thread.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::command;
use crate::failure::Failure;

/// The figures of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Series {
    /// Answers in a second.
    pub(super) rate: f64,
    /// Half of the answers came within so many milliseconds.
    pub(super) p50: f64,
    /// 99 of 100 answers came within so many milliseconds.
    pub(super) p99: f64,
    /// Answers of status 400 and above, and requests without an answer.
    pub(super) failed: u64,
}

impl Series {
    /// Of the times that single answers took, so many at once. The rate is that of clients that ask
    /// again as soon as they are answered: it is the number of them, divided by the mean time.
    pub(super) fn of(mut taken: Vec<Duration>, connections: u32) -> Self {
        taken.sort();
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let at = |percent: usize| {
            let index = (taken.len() * percent / 100).min(taken.len().saturating_sub(1));
            taken.get(index).copied().map_or(0.0, milliseconds)
        };
        let count = u32::try_from(taken.len()).unwrap_or(u32::MAX).max(1);
        let mean = taken.iter().sum::<Duration>() / count;
        Self {
            rate: f64::from(connections) / mean.as_secs_f64().max(1e-9),
            p50: at(50),
            p99: at(99),
            failed: 0,
        }
    }
}

/// Runs one series of a script against a server.
pub(super) fn run(
    base: &str,
    script: &Path,
    connections: u32,
    duration: Duration,
) -> Result<Series, Failure> {
    let said = command::output(
        Command::new("wrk")
            .args(["--threads", "1", "--timeout", "10s"])
            .args(["--connections", &connections.to_string()])
            .args(["--duration", &format!("{}s", duration.as_secs())])
            .arg("--script")
            .arg(script)
            .arg(base),
    )?;
    parse(&said.answer)
        .ok_or_else(|| Failure::Check(format!("wrk gave no figures:\n{}", said.answer)))
}

/// Reads the line that the script's `done` writes.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a few seconds are far below 2^52"
)]
fn parse(said: &str) -> Option<Series> {
    let line = said.lines().find_map(|line| line.strip_prefix("series "))?;
    let figure = |name: &str| -> Option<u64> {
        line.split(' ')
            .find_map(|word| word.split_once('=').filter(|(key, _)| *key == name))?
            .1
            .parse()
            .ok()
    };
    let seconds = figure("duration_us").filter(|&time| time > 0)? as f64 / 1e6;
    Some(Series {
        rate: figure("requests")? as f64 / seconds,
        p50: figure("p50_us")? as f64 / 1e3,
        p99: figure("p99_us")? as f64 / 1e3,
        failed: figure("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_percentiles_in_milliseconds() {
        let taken = (1..=100).rev().map(Duration::from_millis).collect();
        let series = Series::of(taken, 2);
        assert_eq!((series.p50, series.p99), (51.0, 100.0));
        assert!((series.rate - 39.6).abs() < 0.1, "{}", series.rate);
    }

    #[test]
    fn reads_the_line_among_the_others() {
        let said = "Running 5s test\nseries requests=1000 duration_us=5000000 p50_us=2500 \
                    p99_us=4300 failed=1\n";
        let series = Series {
            rate: 200.0,
            p50: 2.5,
            p99: 4.3,
            failed: 1,
        };
        assert_eq!(parse(said), Some(series));
    }

    #[test]
    fn gives_nothing_when_the_script_did_not_finish() {
        assert_eq!(parse("Running 5s test\n"), None);
        assert_eq!(
            parse("series requests=1 duration_us=0 p50_us=1 p99_us=1 failed=0"),
            None
        );
    }
}

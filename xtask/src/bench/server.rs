//! Our server beside Synapse, in the same run, under the same load.
//!
//! Times on a shared machine mean little by themselves, so the series of the two servers take
//! turns, and what counts is the ratio. docs/performance.md says how to read the table.

use std::process::{Command, ExitCode};
use std::time::Duration;

use super::load::{Load, Workload};
use super::table::{self, Row};
use super::waking;
use super::wrk::{self, Series};
use crate::failure::Failure;
use crate::live::{self, Server};
use crate::workspace::Workspace;
use crate::{command, report};

/// Connections at once: one shows the latency of a lone client, many the capacity.
const CONNECTIONS: &[u32] = &[1, 32];

/// Series of each cell; the table shows the median.
const ROUNDS: usize = 3;

const WARM_UP: Duration = Duration::from_secs(1);

/// What is sent to both servers, and whether the wake-up of a long poll is measured, too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) workloads: &'static [Workload],
    pub(super) is_waking_measured: bool,
}

/// `cargo xtask bench server` and `to-device`.
pub(super) fn command(
    workspace: &Workspace,
    plan: Plan,
    arguments: &[String],
) -> Result<ExitCode, Failure> {
    let options = Options::parse(arguments)?;
    if !command::succeeds(Command::new("which").arg("wrk")) {
        return Err(Failure::MissingTool(
            "wrk is not installed; on Debian and Ubuntu: apt-get install --yes wrk".to_owned(),
        ));
    }
    let mut stands = Vec::new();
    for start in [live::start_fourfold, live::start_synapse]
        .into_iter()
        .zip(["fourfold", "synapse"])
        .filter_map(|(start, name)| options.wants(name).then_some(start))
    {
        let server = start(workspace)?;
        report::line(format_args!(
            "{} answers at {}; adding users",
            server.name(),
            server.base()
        ));
        let load = Load::prepare(server.base(), plan.workloads)?;
        stands.push(Stand { server, load });
    }
    let mut rows = measure(workspace, &stands, plan.workloads, options.series)?;
    if plan.is_waking_measured {
        rows.extend(measure_waking(&stands)?);
    }
    report::line("");
    report::line(table::markdown(&rows));
    for stand in stands {
        stand.server.finish()?;
    }
    let failed: u64 = rows.iter().map(Row::failures).sum();
    if failed > 0 {
        return Err(Failure::Check(format!(
            "{failed} requests were not answered with 200"
        )));
    }
    Ok(ExitCode::SUCCESS)
}

/// A server with its users.
#[derive(Debug)]
struct Stand {
    server: Server,
    load: Load,
}

fn measure(
    workspace: &Workspace,
    stands: &[Stand],
    workloads: &'static [Workload],
    duration: Duration,
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for (number, workload) in workloads.iter().enumerate() {
        let mut scripts = Vec::new();
        for stand in stands {
            scripts.push(
                stand
                    .load
                    .script(workspace, (number, workload), stand.server.name())?,
            );
        }
        for &connections in CONNECTIONS {
            let mut series: Vec<Vec<Series>> = stands.iter().map(|_| Vec::new()).collect();
            for _ in 0..ROUNDS {
                for ((stand, script), series) in stands.iter().zip(&scripts).zip(&mut series) {
                    let base = stand.server.base();
                    wrk::run(base, script, connections, WARM_UP)?;
                    series.push(wrk::run(base, script, connections, duration)?);
                }
            }
            report::line(format_args!("measured {} at {connections}", workload.name));
            let cells = stands
                .iter()
                .zip(series)
                .map(|(stand, series)| (stand.server.name(), series));
            rows.push(Row::new(workload.name, connections, cells));
        }
    }
    Ok(rows)
}

fn measure_waking(stands: &[Stand]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for &connections in CONNECTIONS {
        let mut series: Vec<Vec<Series>> = stands.iter().map(|_| Vec::new()).collect();
        for _ in 0..ROUNDS {
            for (stand, series) in stands.iter().zip(&mut series) {
                series.push(waking::run(stand.load.sessions(), connections)?);
            }
        }
        report::line(format_args!("measured the wake-up at {connections}"));
        let cells = stands
            .iter()
            .zip(series)
            .map(|(stand, series)| (stand.server.name(), series));
        rows.push(Row::new("wake-up of a long poll", connections, cells));
    }
    Ok(rows)
}

#[derive(Debug)]
struct Options {
    only: Option<String>,
    series: Duration,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            only: None,
            series: Duration::from_secs(5),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .ok_or_else(|| Failure::Usage(format!("{word} needs a value")))
            };
            match word.as_str() {
                "--only" => {
                    let name = value()?;
                    if !["fourfold", "synapse"].contains(&name.as_str()) {
                        return Err(Failure::Usage(format!("no server {name:?}")));
                    }
                    options.only = Some(name.clone());
                }
                "--seconds" => {
                    let seconds = value()?
                        .parse()
                        .ok()
                        .filter(|seconds| (1..=600).contains(seconds));
                    options.series = seconds
                        .map(Duration::from_secs)
                        .ok_or_else(|| Failure::Usage("--seconds takes 1 to 600".to_owned()))?;
                }
                _ => return Err(Failure::Usage(format!("no option {word:?}"))),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Failure> {
        Options::parse(
            &words
                .iter()
                .map(|&word| word.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn measures_both_servers_unless_told() {
        let both = parse(&[]).unwrap();
        assert!(both.wants("fourfold") && both.wants("synapse"));
        let one = parse(&["--only", "synapse", "--seconds", "2"]).unwrap();
        assert!(!one.wants("fourfold") && one.wants("synapse"));
        assert_eq!(one.series, Duration::from_secs(2));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for words in [
            &["--only"][..],
            &["--only", "dendrite"],
            &["--seconds", "0"],
            &["--fast"],
        ] {
            assert!(matches!(parse(words), Err(Failure::Usage(_))), "{words:?}");
        }
    }
}

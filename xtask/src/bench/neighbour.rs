//! What the requests of one user take while another one floods the server.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::load;
use super::wrk::Series;
use crate::failure::Failure;
use crate::http::{Client, Session};
use crate::workspace::Workspace;
use crate::{files, live, report};

/// Requests of each kind in one series.
const REQUESTS: usize = 500;

/// Pauses between them: well within what one user may ask.
const PAUSE: Duration = Duration::from_millis(20);

/// Series of each kind, with and without the flood in turn; the table shows the median.
const ROUNDS: usize = 3;

/// Connections of the one who floods.
const CONNECTIONS: u32 = 32;

/// `cargo xtask bench neighbour`: fails when the 99th percentile more than doubles.
pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let server = live::start_fourfold_with_limits(workspace)?;
    let client = Client::new(server.base());
    let (quiet, loud) = (client.register("quiet")?, client.register("loud")?);
    let script = workspace.target.join("bench/neighbour.lua");
    files::write(&script, &load::repeated(&loud))?;

    let mut rows: Vec<(&str, [Vec<Series>; 2])> = Vec::new();
    for (name, method) in [("GET account_data", "GET"), ("PUT account_data", "PUT")] {
        let mut series = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (is_flooded, series) in series.iter_mut().enumerate() {
                let flood = (is_flooded == 1).then(|| Flood::start(server.base(), &script));
                let flood = flood.transpose()?;
                series.push(measure(&quiet, method)?);
                drop(flood);
            }
        }
        rows.push((name, series));
    }
    server.finish()?;
    report::line(
        "| workload | alone, p50 / p99 ms | beside a flood, p50 / p99 ms | ratio of p99 |",
    );
    report::line("|---|--:|--:|--:|");
    let mut worst: f64 = 0.0;
    for (name, [alone, flooded]) in rows {
        let (alone, flooded) = (median(alone)?, median(flooded)?);
        let ratio = flooded.p99 / alone.p99;
        worst = worst.max(ratio);
        report::line(format_args!(
            "| {name} | {:.2} / {:.2} | {:.2} / {:.2} | {ratio:.1} |",
            alone.p50, alone.p99, flooded.p50, flooded.p99
        ));
    }
    if worst > 2.0 {
        return Err(Failure::Check(format!(
            "beside a flood the 99th percentile is {worst:.1} times what it is alone"
        )));
    }
    Ok(())
}

fn measure(session: &Session, method: &str) -> Result<Series, Failure> {
    let path = session.account_data("org.example.note");
    session.client.must("PUT", &path, Some(&json!({})))?;
    let mut taken = Vec::with_capacity(REQUESTS);
    for number in 0..REQUESTS {
        thread::sleep(PAUSE);
        let body = (method == "PUT").then(|| json!({ "number": number }));
        let begun = Instant::now();
        session.client.must(method, &path, body.as_ref())?;
        taken.push(begun.elapsed());
    }
    Ok(Series::of(taken, 1))
}

fn median(mut series: Vec<Series>) -> Result<Series, Failure> {
    series.sort_by(|a, b| a.p99.total_cmp(&b.p99));
    let middle = series.get(series.len() / 2).copied();
    middle.ok_or_else(|| Failure::Check("nothing was measured".to_owned()))
}

/// wrk, until it ends. It runs at low priority, so that the server is measured and not the load
/// generator beside it.
struct Flood(Child);

impl Flood {
    fn start(base: &str, script: &std::path::Path) -> Result<Self, Failure> {
        let mut wrk = Command::new("nice");
        wrk.args(["-n", "19", "wrk", "--threads", "1", "--duration", "600s"])
            .args(["--connections", &CONNECTIONS.to_string()])
            .arg("--script")
            .arg(script)
            .arg(base)
            .stdout(Stdio::null());
        let child = wrk
            .spawn()
            .map_err(|error| Failure::MissingTool(format!("wrk does not start: {error}")))?;
        // Until what the user may ask at once is used up, and longer.
        thread::sleep(Duration::from_secs(2));
        Ok(Self(child))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

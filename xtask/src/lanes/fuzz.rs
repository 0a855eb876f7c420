//! A few seconds of fuzzing for every parser.
//!
//! The targets are functions in fuzz/src/targets.rs. Where cargo-fuzz and a nightly compiler are
//! there, libFuzzer drives them. Everywhere else the ordinary test `fuzz_corpus` of the core drives
//! the same functions over the committed corpus and over seeded mutations of it: more of them here
//! than in the lane `tests`.

use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// The time for which libFuzzer runs one target.
const SECONDS: u32 = 6;

/// The number of mutations of each target's corpus that the replay tries.
const MUTATIONS: u32 = 100_000;

/// One target is one folder here.
const CORPUS: &str = "fuzz/corpus";

pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    if command::succeeds(&mut fuzzer(workspace, &["--version"])) {
        fuzz(workspace)
    } else {
        report::note("cargo-fuzz or a nightly compiler is not installed: replaying instead");
        replay(workspace)
    }
}

fn fuzz(workspace: &Workspace) -> Result<(), Failure> {
    // There is one lock file: the fuzz crate starts from it and adds libFuzzer.
    let lock = files::read_text(&workspace.root.join("Cargo.lock"))?;
    files::write(&workspace.root.join("fuzz/Cargo.lock"), &lock)?;
    command::run(&mut prepared(workspace, "build"))?;
    for target in targets(workspace)? {
        // libFuzzer adds to the first folder: not to the one that is committed.
        let found = workspace.target.join("fuzz-corpus").join(&target);
        files::create_folder(&found)?;
        let report = command::output(
            prepared(workspace, "run")
                .arg(&target)
                .arg(found)
                .arg(workspace.root.join(CORPUS).join(&target))
                .args(["--", "-max_len=65536", "-timeout=5", "-print_final_stats=1"])
                .arg(format!("-max_total_time={SECONDS}")),
        )?;
        report::note(format_args!(
            "{target}: {SECONDS} s, {}",
            tried(&report.complaint)
        ));
    }
    Ok(())
}

/// A verb of cargo-fuzz with the options that building and running must share.
fn prepared(workspace: &Workspace, verb: &str) -> Command {
    let mut command = fuzzer(workspace, &[verb]);
    command
        // There is no unsafe code for a sanitizer to examine.
        .args(["--sanitizer", "none"])
        // Some crates switch verification off under cfg(fuzzing).
        .arg("--no-cfg-fuzzing")
        .arg("--target-dir")
        .arg(workspace.target.join("fuzz"));
    command
}

/// The number of inputs that libFuzzer reports.
fn tried(log: &str) -> String {
    log.lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .map_or_else(
            || "no count".to_owned(),
            |count| format!("{} inputs", count.trim()),
        )
}

fn replay(workspace: &Workspace) -> Result<(), Failure> {
    command::run(
        cargo(&workspace.root)
            .env("FOURFOLD_FUZZ_MUTATIONS", MUTATIONS.to_string())
            .args([
                "test",
                "--package",
                "fourfold",
                "--test",
                "fuzz_corpus",
                "--locked",
            ]),
    )
}

/// The names of the targets: the folders of the corpus.
fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = workspace
        .files()?
        .iter()
        .filter_map(|file| file.strip_prefix(CORPUS).ok())
        .filter_map(|inside| inside.iter().next())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.dedup();
    Ok(names)
}

/// `cargo fuzz …` with the nightly compiler.
fn fuzzer(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command
        .current_dir(&workspace.root)
        .args(["run", "nightly", "cargo", "fuzz"])
        .args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_number_of_inputs() {
        let log = "INFO: seed corpus\nstat::number_of_executed_units: 1496003\nstat::peak: 1\n";
        assert_eq!(tried(log), "1496003 inputs");
    }
}

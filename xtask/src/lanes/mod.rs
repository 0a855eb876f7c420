//! What CI runs: named lanes, in order, each with a headline, a time and a verdict.

mod checks;
mod dependencies;
mod fuzz;
mod release;
mod vectors;
mod wasm;

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{floors, live, messages, public_api, report, requirements};

/// One lane of CI.
#[derive(Debug)]
struct Lane {
    name: &'static str,
    headline: &'static str,
    run: fn(&Workspace) -> Result<(), Failure>,
}

/// All lanes: the cheap ones first, so that a small mistake is reported early.
const LANES: &[Lane] = &[
    Lane {
        name: "format",
        headline: "source is formatted",
        run: checks::format,
    },
    Lane {
        name: "floors",
        headline: "the plan of the house holds",
        run: floors::run,
    },
    Lane {
        name: "vectors",
        headline: "every known answer has a runner",
        run: vectors::run,
    },
    Lane {
        name: "messages",
        headline: "every text that a person reads was read",
        run: messages::run,
    },
    Lane {
        name: "dependencies",
        headline: "what is linked may be",
        run: dependencies::run,
    },
    Lane {
        name: "clippy",
        headline: "no lint complains",
        run: checks::clippy,
    },
    Lane {
        name: "documentation",
        headline: "documentation builds",
        run: checks::documentation,
    },
    Lane {
        name: "public-api",
        headline: "the libraries offer what is kept as their public API",
        run: public_api::run,
    },
    Lane {
        name: "wasm",
        headline: "the core builds for the browser",
        run: wasm::run,
    },
    Lane {
        name: "release",
        headline: "nothing that is for tests is in a release",
        run: release::run,
    },
    Lane {
        name: "tests",
        headline: "unit, integration and documentation tests",
        run: checks::tests,
    },
    Lane {
        name: "requirements",
        headline: "what must hold has tests that run",
        run: show_requirements,
    },
    Lane {
        name: "fuzz-smoke",
        headline: "parsers survive random input",
        run: fuzz::run,
    },
    Lane {
        name: "quickstart",
        headline: "the first command of the README",
        run: checks::quickstart,
    },
    Lane {
        name: "live",
        headline: "the story works against running servers",
        run: live::run,
    },
    Lane {
        name: "interop",
        headline: "other people's clients and ours understand each other",
        run: live::interop::run,
    },
];

/// One lane that ran.
#[derive(Debug)]
struct Run {
    name: &'static str,
    verdict: Verdict,
    time: Duration,
}

/// How a lane ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Failed,
    Passed,
    Skipped,
}

/// `cargo xtask test`: runs all lanes or the named ones, and continues after a failure.
pub(crate) fn command(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode, Failure> {
    if arguments.iter().any(|argument| argument == "--list") {
        for lane in LANES {
            report::line(format_args!("{:<14} {}", lane.name, lane.headline));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let runs: Vec<Run> = chosen(arguments)?
        .into_iter()
        .map(|lane| run(workspace, lane))
        .collect();
    let count = |of| runs.iter().filter(|run| run.verdict == of).count();
    report::line("");
    for run in &runs {
        report::line(run);
    }
    for Run { name, .. } in runs.iter().filter(|run| run.verdict == Verdict::Failed) {
        report::line(format_args!(
            "failed: {name} (again: cargo xtask test {name})"
        ));
    }
    report::line(format_args!(
        "{} passed, {} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Failed),
        count(Verdict::Skipped)
    ));
    Ok(if count(Verdict::Failed) == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The lanes that the arguments name, in the order of the list; all when they name none.
fn chosen(arguments: &[String]) -> Result<Vec<&'static Lane>, Failure> {
    for argument in arguments {
        if !LANES.iter().any(|lane| lane.name == argument) {
            let names: Vec<&str> = LANES.iter().map(|lane| lane.name).collect();
            return Err(Failure::Usage(format!(
                "no lane {argument:?}; the lanes are {}",
                names.join(", ")
            )));
        }
    }
    let wanted = |lane: &&Lane| arguments.is_empty() || arguments.iter().any(|a| a == lane.name);
    Ok(LANES.iter().filter(wanted).collect())
}

fn show_requirements(workspace: &Workspace) -> Result<(), Failure> {
    let lanes: Vec<&str> = LANES.iter().map(|lane| lane.name).collect();
    requirements::run(workspace, &lanes)
}

fn run(workspace: &Workspace, lane: &Lane) -> Run {
    report::line(format_args!("\n== {}: {}", lane.name, lane.headline));
    let started = Instant::now();
    let outcome = (lane.run)(workspace);
    let time = started.elapsed();
    if let Err(failure) = &outcome {
        for line in failure.to_string().lines() {
            report::note(line);
        }
    }
    let verdict = Verdict::of(&outcome, workspace.ci);
    let shown = report::seconds(time);
    report::line(format_args!("-- {}: {verdict} in {shown}", lane.name));
    Run {
        name: lane.name,
        verdict,
        time,
    }
}

/// A line of the summary.
impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict.to_string();
        let time = report::seconds(self.time);
        write!(f, "{:<14} {verdict:<8} {time:>9}", self.name)
    }
}

impl Verdict {
    /// A missing tool skips a lane at home, and is an error in CI.
    const fn of(outcome: &Result<(), Failure>, ci: bool) -> Self {
        match outcome {
            Ok(()) => Self::Passed,
            Err(Failure::MissingTool(_)) if !ci => Self::Skipped,
            Err(_) => Self::Failed,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "FAILED",
            Self::Passed => "passed",
            Self::Skipped => "skipped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        chosen(&arguments)
            .unwrap()
            .into_iter()
            .map(|lane| lane.name)
            .collect()
    }

    #[test]
    fn runs_everything_when_nothing_is_named() {
        assert_eq!(names(&[]).len(), LANES.len());
    }

    #[test]
    fn keeps_the_order_of_the_list() {
        assert_eq!(names(&["clippy", "format"]), ["format", "clippy"]);
    }

    #[test]
    fn refuses_a_lane_that_does_not_exist() {
        assert!(matches!(
            chosen(&["lint".to_owned()]),
            Err(Failure::Usage(_))
        ));
    }

    #[test]
    fn says_how_long_a_lane_took() {
        let run = Run {
            name: "format",
            verdict: Verdict::Passed,
            time: Duration::from_millis(1250),
        };
        assert_eq!(run.to_string(), "format         passed       1.2 s");
    }

    #[test]
    fn skips_a_missing_tool_at_home_and_fails_in_ci() {
        let missing = Err(Failure::MissingTool("python3 is not installed".to_owned()));
        assert_eq!(Verdict::of(&missing, false), Verdict::Skipped);
        assert_eq!(Verdict::of(&missing, true), Verdict::Failed);
        let wrong = Err(Failure::Check("a test failed".to_owned()));
        assert_eq!(Verdict::of(&wrong, false), Verdict::Failed);
        assert_eq!(Verdict::of(&Ok(()), true), Verdict::Passed);
    }
}

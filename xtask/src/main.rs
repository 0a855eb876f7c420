//! The tools of the workspace: everything that CI runs, and the benchmarks, as one program.
//!
//! `cargo xtask test` is CI. `cargo xtask bench` compares our server with Synapse.

mod bench;
mod command;
mod failure;
mod files;
mod floors;
mod http;
mod kept;
mod lanes;
mod live;
mod messages;
mod process;
mod public_api;
mod report;
mod reproduce;
mod requirements;
mod workspace;

use std::env;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::workspace::Workspace;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            report::error(&failure);
            match failure {
                Failure::Check(_) => ExitCode::from(1),
                Failure::MissingTool(_) | Failure::Usage(_) => ExitCode::from(2),
            }
        }
    }
}

fn run(arguments: &[String]) -> Result<ExitCode, Failure> {
    let (command, rest) = match arguments {
        [] => ("help", arguments),
        [command, rest @ ..] => (command.as_str(), rest),
    };
    match command {
        "test" => lanes::command(&Workspace::find()?, rest),
        "floors" => lanes::command(&Workspace::find()?, &["floors".to_owned()]),
        "circles" => {
            floors::show_circles(&Workspace::find()?, rest)?;
            Ok(ExitCode::SUCCESS)
        }
        "requirements" if rest == ["--write"] => {
            requirements::write(&Workspace::find()?)?;
            Ok(ExitCode::SUCCESS)
        }
        "messages" if rest == ["--write"] => {
            messages::write(&Workspace::find()?)?;
            Ok(ExitCode::SUCCESS)
        }
        "public-api" if rest == ["--write"] => {
            public_api::write(&Workspace::find()?)?;
            Ok(ExitCode::SUCCESS)
        }
        "reproduce" => {
            reproduce::run(&Workspace::find()?)?;
            Ok(ExitCode::SUCCESS)
        }
        "bench" => bench::command(&Workspace::find()?, rest),
        "help" | "--help" | "-h" => {
            report::line(USAGE);
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::Usage(format!("no command {other:?}\n\n{USAGE}"))),
    }
}

const USAGE: &str = "\
cargo xtask test [LANE…]    what CI runs, or only the named lanes
cargo xtask test --list     the lanes
cargo xtask floors          short for `test floors`
cargo xtask circles [CRATE…]
                            circles of imports, with the names that tie them
cargo xtask requirements --write
                            makes docs/requirements.md again
cargo xtask messages --write
                            makes docs/messages.txt again, which lists what a person reads
cargo xtask public-api --write
                            keeps what the libraries offer now as what they should offer
cargo xtask reproduce       builds a release twice and compares (not in CI: it takes long)
cargo xtask bench [LANE] [OPTION…]
                            figures for docs/performance.md
    server                  our server beside Synapse (the default; needs wrk)
    to-device               the same for what devices send each other (needs wrk)
        --seconds N         length of one series (5)
        --only NAME         only `fourfold` or only `synapse`
    sharing                 from asking for a secret to having it
    agent                   what an idle agent takes
    flood                   a million events of no use, and one request
    neighbour               what one user waits while another one floods (needs wrk)
    siege [ATTACK…]         the same under every attack that strangers and users can make";

//! The command `fourfold`.

mod account;
mod agent;
mod commands;
mod error;
mod exit;
mod hints;
mod keys;
mod memory;
mod options;
mod runtime;
mod state;
mod storage;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;
use commands::Arguments;
use terminal::{messages, signals};

fn main() -> ExitCode {
    // First of all, whatever the command: any of them may be given a secret.
    memory::close();
    memory::end_at_panics();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return messages::arguments(&error, wants_json()),
    };
    start_log(arguments.global.verbose);
    if !arguments.command.stops_itself() {
        signals::watch();
    }
    let json = arguments.global.json;
    match commands::run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            messages::error(&error, json);
            ExitCode::from(error.exit as u8)
        }
    }
}

/// Returns `true` if `--json` stands among arguments that could not be understood.
fn wants_json() -> bool {
    std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
}

/// Logs go to standard error and never hold contents, keys or tokens.
fn start_log(verbose: u8) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .with_writer(|| messages::Log)
        .init();
}

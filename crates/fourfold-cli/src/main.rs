//! The command `fourfold`.

mod account;
mod agent;
mod arguments;
mod commands;
mod error;
mod keys;
mod memory;
mod storage;
mod terminal;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser as _;
use error::Result;
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
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            messages::error(&error, json);
            ExitCode::from(error.exit as u8)
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let global = &arguments.global;
    match arguments.command {
        Command::Quickstart(options) => commands::quickstart::run(&options),
        Command::Serve(options) => commands::serve::run(&options),
        Command::Login(options) => commands::login::run(global, &options),
        Command::Logout(options) => commands::login::log_out(global, &options),
        Command::Whoami => commands::login::who_am_i(global),
        Command::Status(options) => commands::status::run(global, &options),
        Command::Setup(options) => commands::setup::run(global, &options),
        Command::Get(options) => commands::get::run(global, &options),
        Command::Put(options) => commands::put::run(global, &options),
        Command::Rm(options) => commands::rm::run(global, &options),
        Command::Ls(options) => commands::ls::run(global, &options),
        Command::Device(command) => commands::device::run(global, &command),
        Command::Request(options) => commands::request::run(global, &options),
        Command::Agent(options) => commands::agent::run(global, &options),
        Command::Unlock(options) => commands::unlock::run(global, &options),
        Command::Lock => commands::lock::run(global),
        Command::Key(command) => commands::key::run(global, &command),
        Command::Resume(options) => commands::resume::run(global, &options),
        Command::Kit(options) => commands::kit::run(global, &options),
        Command::Completions { shell } => commands::generate::completions(shell),
        Command::Man { folder } => commands::generate::man_pages(&folder),
    }
}

/// Whether `--json` stands among arguments that could not be understood.
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

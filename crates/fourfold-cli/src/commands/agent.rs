//! `fourfold agent`: run it, look at it, end it.

use std::time::Duration;

use clap::{Args, Subcommand};
use fourfold_client::{Account, LocalState, LocalStateError, escape_untrusted};

use crate::{
    account,
    agent::{self, Address, Agent, AuditLog, Record, Running, protocol::Status},
    arguments::Global,
    duration,
    error::{Error, Exit, Result},
    output, ui,
};

/// Options of `agent`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartOptions,
}

/// How the agent works.
#[derive(Args, Clone, Debug)]
struct StartOptions {
    /// Stay in the foreground, and ask at this terminal
    #[arg(long)]
    foreground: bool,
    /// Forget the key after this time without use
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "15m")]
    idle: Duration,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show how the agent is
    Status,
    /// Show what was asked of this device, and what came of it; the agent need not run
    Log,
    /// End the agent
    Stop,
}

impl Options {
    /// Whether it ends on its own terms when a signal comes.
    pub(crate) fn stops_itself(&self) -> bool {
        self.command.is_none()
    }
}

/// Runs the agent, or does what a command under it says.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    match &options.command {
        None => start(global, &options.start),
        Some(Command::Status) => status(global),
        Some(Command::Log) => log(global),
        Some(Command::Stop) => stop(global),
    }
}

fn start(global: &Global, options: &StartOptions) -> Result<()> {
    let folder = account::state_folder(global)?;
    let user_id = account::user_id(global, &folder)?;
    let address = Address::of(&folder, &user_id)?;
    let state = match LocalState::open(&folder, &user_id) {
        Err(error @ LocalStateError::Locked { .. }) => {
            return Err(match Agent::at(&folder, &user_id)? {
                Some(agent) => Error::new(
                    Exit::Conflict,
                    format!("an agent is running already: process {}", agent.process()),
                )
                .hint("fourfold agent stop ends it"),
                None => error.into(),
            });
        }
        Err(LocalStateError::NoState { .. }) => return Err(account::not_logged_in()),
        state => state?,
    };
    let session = state.session()?.ok_or_else(account::not_logged_in)?;
    let running = Running {
        account: Account::new(session, &fourfold_client::Options::default())?,
        folder,
        state,
        idle: options.idle,
        address,
    };
    let path = running.address.path().display().to_string();
    account::runtime()?.block_on(agent::run(running, || {
        output::line(format_args!("listening at {path}"))
    }))
}

fn status(global: &Global) -> Result<()> {
    let status = Agent::require(global)?.status()?;
    if global.json {
        return output::json(&status);
    }
    print_status(&status)
}

fn print_status(status: &Status) -> Result<()> {
    output::line(format_args!(
        "account  {}",
        escape_untrusted(&status.user_id)
    ))?;
    let device = status.device_id.as_deref().unwrap_or("none");
    output::line(format_args!("device   {}", escape_untrusted(device)))?;
    output::line(format_args!("process  {}", status.process))?;
    match (&status.key_id, status.locks_in) {
        (Some(id), Some(seconds)) => output::line(format_args!(
            "key      {}, for {} when it is not used",
            escape_untrusted(id.as_str()),
            duration::describe(Duration::from_secs(seconds))
        )),
        _ => output::line("key      none: it is locked"),
    }
}

fn log(global: &Global) -> Result<()> {
    let folder = account::state_folder(global)?;
    let user_id = account::user_id(global, &folder)?;
    let records = AuditLog::of(&folder, &user_id)?.read()?;
    if global.json {
        return output::json(&records);
    }
    records.iter().try_for_each(print_record)
}

fn print_record(record: &Record) -> Result<()> {
    let of = |text: &Option<String>| text.as_deref().map(escape_untrusted);
    let mut line = format!(
        "{}  {}",
        written(record.time),
        escape_untrusted(&record.event)
    );
    for (word, text) in [
        (" ", of(&record.secret)),
        (" for ", of(&record.device_id)),
        (", key ", of(&record.fingerprint)),
        (": ", of(&record.reason)),
    ] {
        if let Some(text) = text {
            line.push_str(word);
            line.push_str(&text);
        }
    }
    output::line(line)
}

/// Seconds since 1970 as a date and a time, UTC.
fn written(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(
        || seconds.to_string(),
        |time| {
            format!(
                "{} {:02}:{:02}:{:02}Z",
                time.date(),
                time.hour(),
                time.minute(),
                time.second()
            )
        },
    )
}

fn stop(global: &Global) -> Result<()> {
    Agent::require(global)?.stop()?;
    if global.json {
        return output::json(&serde_json::json!({"stopped": true}));
    }
    ui::say("the agent ends");
    Ok(())
}

//! `fourfold agent`: run it, look at it, end it.

mod background;
mod log;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use fourfold_client::{Account, LocalState, LocalStateError, escape_untrusted};

use crate::agent::protocol::Status;
use crate::agent::{self, Address, Agent, Asker, Running, Terminal};
use crate::error::{Error, Exit, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::Global;
use crate::terminal::{duration, messages, output};
use crate::{runtime, state};

/// Options of `agent`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartOptions,
}

/// Options of the agent.
#[derive(Args, Clone, Debug)]
struct StartOptions {
    /// Stay in the foreground, and ask on this terminal
    #[arg(long)]
    foreground: bool,
    /// Forget the key after this time without use
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "15m")]
    idle: Duration,
    /// The policy file, which says what other devices may have [default: fourfold/policy.toml in
    /// the user's configuration folder]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Ask by running PROGRAM: it reads the question as JSON from standard input, and exits with 0
    /// for Yes
    #[arg(long, value_name = "PROGRAM")]
    ask: Option<PathBuf>,
    #[command(flatten)]
    sealing: SealingOptions,
    /// Go into the background when ready
    #[arg(long, hide = true, requires = "foreground")]
    detach: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Show the agent's status
    Status,
    /// Show the audit log: requests, decisions and alerts. The agent need not run
    Log(log::Options),
    /// List the requests of other devices that wait for an answer
    Questions,
    /// Answer a request
    Answer {
        /// The number of the question
        question: u64,
        /// Yes or no
        #[arg(value_enum)]
        answer: YesOrNo,
    },
    /// Stop the agent
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum YesOrNo {
    Yes,
    No,
}

/// Runs the agent, or does what a command under it says.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    match &options.command {
        None if options.start.foreground => start(global, &options.start),
        None => background::start(),
        Some(Command::Status) => status(global),
        Some(Command::Log(options)) => log::run(global, options),
        Some(Command::Questions) => questions(global),
        Some(Command::Answer { question, answer }) => {
            Agent::require(global)?.answer(*question, *answer == YesOrNo::Yes)?;
            done(global, "answered")
        }
        Some(Command::Stop) => {
            Agent::require(global)?.stop()?;
            done(global, "stopped")
        }
    }
}

fn start(global: &Global, options: &StartOptions) -> Result<()> {
    // In the background there is no folder to start from.
    let folder = std::path::absolute(state::folder(global)?)?;
    let user_id = state::user_id(global, &folder)?;
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
        Err(LocalStateError::NoState { .. }) => return Err(state::not_logged_in()),
        state => state?,
    };
    let session = state.session()?.ok_or_else(state::not_logged_in)?;
    let asker = match &options.ask {
        Some(program) => Asker::program(program)?,
        None if options.detach => Asker::Nobody,
        None => Terminal::open().map_or(Asker::Nobody, Asker::Terminal),
    };
    let running = Running {
        policy: agent::load_policy(options.policy.as_deref())?,
        asker,
        sealing: options.sealing.clone(),
        account: Account::new(session, &fourfold_client::Options::default())?,
        folder,
        state,
        idle: options.idle,
        address,
    };
    let path = running.address.path().display().to_string();
    runtime::new()?.block_on(agent::run(running, || {
        if global.json {
            let started = serde_json::json!({"process": std::process::id(), "socket": path});
            output::json_line(&started)?;
        } else {
            output::line(format_args!("listening at {path}"))?;
        }
        if options.detach {
            background::detach()?;
        }
        Ok(())
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
    let sync = if status.in_sync { "yes" } else { "no" };
    output::line(format_args!("in sync  {sync}"))?;
    match (&status.key_id, status.locks_in) {
        (Some(id), Some(seconds)) => output::line(format_args!(
            "key      {}, for {} when it is not used",
            escape_untrusted(id.as_str()),
            duration::about(Duration::from_secs(seconds))
        )),
        _ => output::line("key      none: it is locked"),
    }
}

fn questions(global: &Global) -> Result<()> {
    let questions = Agent::require(global)?.questions()?;
    if global.json {
        return output::json(&questions);
    }
    for question in &questions {
        output::line(format_args!("question {}", question.id))?;
        agent::describe(question)
            .iter()
            .try_for_each(output::line)?;
    }
    if questions.is_empty() {
        messages::say("no device waits for an answer");
    }
    Ok(())
}

fn done(global: &Global, what: &str) -> Result<()> {
    if global.json {
        return output::json(&serde_json::json!({ what: true }));
    }
    messages::say(what);
    Ok(())
}

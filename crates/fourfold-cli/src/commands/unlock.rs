//! `fourfold unlock`: give the agent a key to keep.

use std::time::Duration;

use clap::Args;

use crate::account;
use crate::agent::Agent;
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global, UnlockOptions};
use crate::storage::unlock;
use crate::terminal::{duration, messages, output};

/// Options of `unlock`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Forget the key after this time, even if it is in use
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    lifetime: Option<Duration>,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Finds the key, proves it, and hands it over.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut agent = Agent::require(global)?;
    let (snapshot, compared) = agent.snapshot(options.accept)?;
    compared.report(global.json);
    // Nobody waits for the agent while the user looks for the paper.
    drop(agent);
    let input = &options.unlock.input;
    let compared = account::settle(global, &snapshot, compared, input, options.accept)?;
    let snapshot = compared.for_opening(snapshot, None)?;
    let storage = snapshot.storage();
    let key = unlock::one_proven(&snapshot, &options.unlock)?;
    let mut agent = Agent::require(global)?;
    agent.unlock(key.key(), options.lifetime)?;
    let status = agent.status()?;
    if global.json {
        return output::json(&status);
    }
    let Some(seconds) = status.locks_in else {
        return Err(Error::new(
            Exit::Conflict,
            "the agent was locked again in the meantime",
        ));
    };
    messages::say(format_args!(
        "unlocked with the key {}; the agent forgets it after {} without use",
        unlock::label(&storage, key.id()),
        duration::about(Duration::from_secs(seconds))
    ));
    Ok(())
}

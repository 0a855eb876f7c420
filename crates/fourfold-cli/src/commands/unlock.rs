//! `fourfold unlock`: give the agent a key to keep.

use std::time::Duration;

use clap::Args;
use fourfold::SecretStorage;

use crate::{
    agent::Agent,
    arguments::{Global, UnlockOptions},
    duration,
    error::{Error, Exit, Result},
    output, ui, unlock,
};

/// Options of `unlock`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Forget the key after this time, however often it is used
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    lifetime: Option<Duration>,
    #[command(flatten)]
    unlock: UnlockOptions,
}

/// Finds the key, proves it, and hands it over.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut agent = Agent::require(global)?;
    let snapshot = agent.snapshot()?;
    // Nobody waits for the agent while the user looks for the paper.
    drop(agent);
    let storage = SecretStorage::new(&snapshot.account_data);
    let key = unlock::one_proven(&storage, &options.unlock)?;
    let mut agent = Agent::require(global)?;
    agent.unlock(key.key(), options.lifetime)?;
    let status = agent.status()?;
    if global.json {
        return output::json(&status);
    }
    let Some(seconds) = status.locks_in else {
        return Err(Error::new(
            Exit::Conflict,
            "the agent was locked again meanwhile",
        ));
    };
    ui::say(format_args!(
        "unlocked with the key {}; it is forgotten when it is not used for {}",
        unlock::label(&storage, key.id()),
        duration::about(Duration::from_secs(seconds))
    ));
    Ok(())
}

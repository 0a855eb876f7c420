//! `fourfold resume`: go on with a change that was interrupted.

use clap::Args;

use crate::{account::LoggedIn, arguments::Global, error::Result, ui};

/// Options of `resume`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Give the change up and keep what it has done so far; the account is readable at every step
    #[arg(long)]
    abandon: bool,
}

/// Completes the plan in the journal, or forgets it.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    if options.abandon {
        logged_in.state.abandon()?;
        ui::say("the interrupted change is given up");
        return Ok(());
    }
    let done = logged_in
        .with_state(async |account, state| fourfold_client::resume(account, state, |_| {}).await)?;
    match done {
        Some(plan) => ui::say(format_args!("done: {}", plan.title)),
        None => ui::say("nothing was interrupted"),
    }
    Ok(())
}

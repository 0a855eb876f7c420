//! `fourfold resume`: resume an interrupted change.

use clap::Args;

use crate::account::LoggedIn;
use crate::account::change::{self, Report};
use crate::account::password::PasswordOptions;
use crate::error::Result;
use crate::options::{AcceptOptions, Global};

/// Options of `resume`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Abandon the change and keep the steps done so far; the account is readable after each of
    /// them
    #[arg(long)]
    abandon: bool,
    #[command(flatten)]
    password: PasswordOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Completes the plan in the journal, or forgets it. As every change, it is refused while the
/// homeserver shows an older or weaker state than this machine has seen; what the plan itself has
/// done already is none.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    if options.abandon {
        change::abandon(&mut logged_in)?;
        let title = "the interrupted change is abandoned";
        return Report::of_nothing(title).print(global, title);
    }
    match change::resume(&mut logged_in, &options.password, options.accept)? {
        Some(plan) => Report::of(&plan).print(global, format_args!("done: {}", plan.title)),
        None => {
            let title = "there is no interrupted change";
            Report::of_nothing(title).print(global, title)
        }
    }
}

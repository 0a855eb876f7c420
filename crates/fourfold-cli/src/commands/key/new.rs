//! `fourfold key new`: make another key.

use clap::Args;
use fourfold::{SecretStorage, plan};

use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::keys::new_key;
use crate::options::{AcceptOptions, ChangeOptions, Global, NewKeyOptions};

/// Options of `key new`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Make it the default key
    #[arg(long)]
    default: bool,
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Makes a key that opens nothing yet.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    new_key::check_delivery(&options.new, options.change)?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let new = new_key::make(&options.new)?;
    let plan = if options.default {
        plan::create_default_key(&storage, &new)
    } else {
        plan::create_key(&storage, &new)
    };
    let (how, change, id) = (&options.new, options.change, new.key().id());
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => report.print(
            global,
            format_args!("created the key {id}; fourfold key grant gives it access to secrets"),
        ),
    }
}

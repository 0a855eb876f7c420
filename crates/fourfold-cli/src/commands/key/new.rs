//! `fourfold key new`: make another key.

use clap::Args;
use fourfold::{SecretStorage, plan};

use crate::account::LoggedIn;
use crate::account::change::{self, Report};
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
    let (how, change) = (&options.new, options.change);
    let cleared = snapshot.clear(&plan);
    if !change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        return Ok(());
    }
    let id = new.key().id();
    Report::of(&plan).with_new_key(id).print(
        global,
        format_args!("made the key {id}; fourfold key grant lets it open secrets"),
    )
}

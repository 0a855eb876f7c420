//! `fourfold key rotate`: replace a key with a new one, for all secrets.

use clap::Args;
use fourfold::plan::{self, Destination};

use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, NewKeyOptions, UnlockOptions};
use crate::storage::unlock;

/// Options of `key rotate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    old: UnlockOptions,
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens everything with the old key and encrypts it under the new one.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    new_key::check_delivery(&options.new, options.change)?;
    let storage = snapshot.storage();
    let old = unlock::one(&snapshot, &options.old)?.key;
    let new = new_key::make(&options.new)?;
    let published_keys = snapshot.published_keys();
    let destination = Destination::New(&new);
    let plan = plan::rotate(&storage, &old, destination, &published_keys, &mut rng())?;
    let (how, change, id) = (&options.new, options.change, new.key().id());
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => report
            .with_old_key(old.id())
            .print(global, format_args!("rotated: the new key is {id}")),
    }
}

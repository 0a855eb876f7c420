//! `fourfold key migrate`: migrate an account from the 2019 algorithm to the current one.

use clap::Args;
use fourfold::Algorithm;
use fourfold::plan::{self, Destination};

use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput, NewKeyOptions};
use crate::storage::unlock;

/// Options of `key migrate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    old: KeyInput,
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens everything with the keys of 2019 and encrypts it under a new one.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_to_change(&options.old, options.accept)?;
    let storage = snapshot.storage();
    let is_old = |algorithm| algorithm == Some(Algorithm::Curve25519AesSha2);
    let old: Vec<_> = storage
        .keys()
        .filter(|key| is_old(key.algorithm()))
        .collect();
    if old.is_empty() {
        return Err(Error::refused("there is no key of the 2019 algorithm")
            .hint("fourfold key rotate replaces a current key"));
    }
    let old = old.into();
    new_key::check_delivery(&options.new, options.change)?;
    let mut keys = Vec::new();
    let mut budget = unlock::budget(&options.old);
    for offer in options
        .old
        .offers("Recovery key or passphrase of the old key")?
    {
        keys.push(unlock::find(&snapshot, &offer, &old, &mut budget)?.key);
    }
    let new = new_key::make(&options.new)?;
    let (keys, published_keys) = (keys.iter().collect::<Vec<_>>(), snapshot.published_keys());
    let destination = Destination::New(&new);
    let plan = plan::migrate(&storage, &keys, destination, &published_keys, &mut rng())?;
    let (how, change, id) = (&options.new, options.change, new.key().id());
    let cleared = snapshot.clear(&plan);
    match change::introduce(global, &mut logged_in, cleared, &new, how, change)? {
        None => Ok(()),
        Some(report) => report.print(global, format_args!("migrated: the new key is {id}")),
    }
}

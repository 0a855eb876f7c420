//! `fourfold key rm`: remove a key.

use clap::Args;
use fourfold::plan::{self, RemoveKeyError};

use crate::account::change;
use crate::error::Result;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput};
use crate::storage::unlock;

/// Options of `key rm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The ID of the key to remove
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    remaining: KeyInput,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Removes the key from all secrets and retires it. What it alone opens makes this refuse.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let id = unlock::key_id(&options.id)?;
    let input = &options.remaining;
    change::make_with_key(global, input, options.change, options.accept, |snapshot| {
        let storage = snapshot.storage();
        let published_keys = snapshot.published_keys();
        // Only against these another key helps: else none is asked for.
        match plan::remove_key(&storage, &id, &[], &published_keys) {
            Err(RemoveKeyError::LastCopy { .. } | RemoveKeyError::OnlyWrongCopies { .. })
                if storage.secrets_under(&id).next().is_some() => {}
            planned => return Ok(planned?),
        }
        let mut keys = Vec::new();
        let others: Vec<_> = storage.keys().filter(|key| *key.id() != id).collect();
        let others = others.into();
        let mut budget = unlock::budget(&options.remaining);
        for offer in options
            .remaining
            .offers("Recovery key or passphrase of a remaining key")?
        {
            keys.push(unlock::find(snapshot, &offer, &others, &mut budget)?.key);
        }
        let keys: Vec<_> = keys.iter().collect();
        Ok(plan::remove_key(&storage, &id, &keys, &published_keys)?)
    })
}

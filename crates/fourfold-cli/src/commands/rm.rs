//! `fourfold rm`: delete a secret.

use clap::Args;
use fourfold::plan::{self};
use fourfold::{SecretName, SecretStorage};

use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::options::{AcceptOptions, ChangeOptions, Global};

/// Options of `rm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The name of the secret
    name: String,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Deletes the secret with all its copies. No key is needed.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let name = SecretName::new(&options.name).map_err(Error::usage)?;
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let plan = plan::delete(&SecretStorage::new(&snapshot.account_data), &name)?;
    change::carry_out(
        global,
        &mut logged_in,
        snapshot.clear(&plan),
        options.change,
    )?;
    Ok(())
}

//! `fourfold rm`: delete a secret.

use clap::Args;
use fourfold::SecretName;
use fourfold::plan;

use crate::account::change;
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
    change::make(global, options.change, options.accept, |snapshot| {
        Ok(plan::delete(&snapshot.storage(), &name)?)
    })
}

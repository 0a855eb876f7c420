//! The options of `request`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use fourfold::SecretName;

use crate::keys::sealing_key::SealingOptions;
use crate::options::AcceptOptions;
use crate::terminal::duration;

/// Options of `request`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The name of the secret
    #[arg(value_name = "SECRET")]
    pub(super) name: String,
    /// Ask only this device
    #[arg(long, value_name = "DEVICE")]
    pub(super) from: Option<String>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "60s")]
    pub(super) timeout: Duration,
    /// Print the secret on the terminal
    #[arg(long)]
    pub(super) show: bool,
    /// Write the secret to this new file, readable to its owner only
    #[arg(long, value_name = "FILE", conflicts_with = "show")]
    pub(super) out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

impl Options {
    /// Ask all devices for a secret, which another command takes.
    pub(crate) fn new(
        name: &SecretName,
        timeout: Duration,
        sealing: SealingOptions,
        accept: AcceptOptions,
    ) -> Self {
        Self {
            name: name.as_str().to_owned(),
            from: None,
            timeout,
            show: false,
            out: None,
            sealing,
            accept,
        }
    }
}

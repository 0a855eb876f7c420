//! The options of `recover`.

use std::time::Duration;

use clap::Args;

use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, NewKeyOptions};
use crate::terminal::duration;

/// Options of `recover`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long to wait for each secret that another device may send
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "60s")]
    pub(super) timeout: Duration,
    /// Do not ask the other devices
    #[arg(long)]
    pub(super) no_request: bool,
    #[command(flatten)]
    pub(super) new: NewKeyOptions,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) change: ChangeOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

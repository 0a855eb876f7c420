//! The options of `device verify`.

use clap::Args;

use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, UnlockOptions};

/// Options of `device verify`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Compare emoji with this other device of yours
    #[arg(value_name = "DEVICE")]
    pub(super) device_id: Option<String>,
    /// Compare emoji with the device that asks for it
    #[arg(long)]
    pub(super) emoji: bool,
    /// Hold on to the identity that the homeserver shows now, in place of another one that this
    /// machine knows: you replaced it in another client
    #[arg(long, conflicts_with_all = ["device_id", "emoji"])]
    pub(super) accept_identity: bool,
    #[command(flatten)]
    pub(super) unlock: UnlockOptions,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

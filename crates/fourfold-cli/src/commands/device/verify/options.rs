//! The options of `device verify`.

use clap::Args;

use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, UnlockOptions};

/// Options of `device verify`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Compare emoji with this device
    #[arg(value_name = "DEVICE")]
    pub(super) device_id: Option<String>,
    /// Wait until another device asks to be verified, and compare emoji with it
    #[arg(long)]
    pub(super) emoji: bool,
    /// Trust the identity that the homeserver shows now instead of the one that this machine knows.
    /// Use it only if you replaced the identity in another client
    #[arg(long, conflicts_with_all = ["device_id", "emoji"])]
    pub(super) accept_identity: bool,
    #[command(flatten)]
    pub(super) unlock: UnlockOptions,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

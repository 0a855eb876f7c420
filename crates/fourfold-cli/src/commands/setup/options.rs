//! The options of `setup`.

use clap::Args;

use crate::account::password::PasswordOptions;
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, KeyInput, NewKeyOptions};

/// Options of `setup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Create the first key of secret storage, and nothing else
    #[arg(long, conflicts_with = "reset_identity")]
    pub(super) storage_only: bool,
    /// Replace the identity of the account with a new one: everybody who verified it has to verify
    /// it again. Asks for your user ID first, unless --yes is given
    #[arg(long)]
    pub(super) reset_identity: bool,
    /// Make a new key backup when the homeserver does not show the one that this machine knows, or
    /// shows one that cannot be read or whose private key is not in secret storage, as fourfold backup
    /// new does. The homeserver keeps the old one, and a private key that is replaced is kept
    #[arg(long, conflicts_with = "storage_only")]
    pub(super) new_backup: bool,
    #[command(flatten)]
    pub(super) new: NewKeyOptions,
    #[command(flatten)]
    pub(super) input: KeyInput,
    #[command(flatten)]
    pub(super) password: PasswordOptions,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) change: ChangeOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

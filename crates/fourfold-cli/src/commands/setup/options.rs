//! The options of `setup`.

use clap::Args;
use fourfold::cross_signing::IdentityWish;
use fourfold::plan::Wishes;

use crate::account::password::PasswordOptions;
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, KeyInput, NewKeyOptions};

/// Options of `setup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Create the first key of secret storage, and nothing else
    #[arg(long, conflicts_with_all = ["reset_identity", "restore_identity", "new_signing_keys"])]
    pub(super) storage_only: bool,
    /// Replace the identity of the account with a new one: everybody who verified it has to verify
    /// it again. Asks for your user ID first, unless --yes is given. Without a key of secret
    /// storage, because it is lost, secret storage and the key backup get new keys as well
    #[arg(long)]
    pub(super) reset_identity: bool,
    /// Publish the identity that secret storage holds again, in place of the one that is published
    #[arg(long, conflicts_with = "reset_identity")]
    pub(super) restore_identity: bool,
    /// Make a new self-signing or user-signing key, signed by the same master key, where the private
    /// one is not in secret storage or not that of the published one. Nobody has to verify you
    /// again; your devices are signed again
    #[arg(long, conflicts_with = "reset_identity")]
    pub(super) new_signing_keys: bool,
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

impl Options {
    /// What is asked for beyond completing what is there.
    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            identity: match (self.reset_identity, self.restore_identity) {
                (true, _) => IdentityWish::Replace,
                (false, true) => IdentityWish::Restore,
                (false, false) => IdentityWish::Keep,
            },
            signing_keys: self.new_signing_keys,
            backup: self.new_backup,
        }
    }
}

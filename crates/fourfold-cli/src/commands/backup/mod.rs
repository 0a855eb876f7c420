//! `fourfold backup`: the versions of the key backup and their private keys.
//!
//! What a version is, which key fits, what is kept and what is refused the library decides
//! ([`fourfold::backup`], [`fourfold::plan`]); this looks for keys, asks, and tells.

mod at_hand;
mod check;
mod new;
mod remove;
mod restore_key;
mod seen;
mod status;

use clap::Subcommand;

pub(crate) use self::at_hand::first_fitting;
use crate::error::Result;
use crate::options::Global;

/// Commands about the key backup.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the current version, whether its private key is stored, and older versions
    #[command(
        after_help = "Without a key of secret storage, what is stored is shown, and not whether it is the right key.\n\nExamples:\n  fourfold backup status\n  fourfold backup status --recovery-key-file key.txt"
    )]
    Status(status::Options),
    /// Create a new version beside the others; the private key of the former one is kept
    #[command(
        after_help = "Nothing is deleted. The new version starts empty, and each device adds the room keys that it has.\n\nExample:\n  fourfold backup new"
    )]
    New(new::Options),
    /// Delete a version, with the room keys in it
    #[command(
        after_help = "It cannot be undone. The version that is in use is only deleted with --in-use.\n\nExample:\n  fourfold backup rm 3"
    )]
    Rm(remove::Options),
    /// Try the private key on some of the room keys in the backup
    #[command(
        after_help = "Nothing of the room keys is shown or kept.\n\nExample:\n  fourfold backup check --sample 100"
    )]
    Check(check::Options),
    /// Find the private key of the current version, and store it where clients look for it
    #[command(
        after_help = "It is looked for in secret storage, also under the names of former versions, on this machine,\nand in FILE: the private key, or the recovery key that another client shows of it.\n\nExamples:\n  fourfold backup restore-key\n  fourfold request m.megolm_backup.v1 --out FILE   another device may have it\n  fourfold backup restore-key --from FILE"
    )]
    RestoreKey(restore_key::Options),
}

pub(crate) fn run(global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Status(options) => status::run(global, options),
        Command::New(options) => new::run(global, options),
        Command::Rm(options) => remove::run(global, options),
        Command::Check(options) => check::run(global, options),
        Command::RestoreKey(options) => restore_key::run(global, options),
    }
}

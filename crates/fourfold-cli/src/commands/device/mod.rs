//! `fourfold device`: the user's devices, and which of them are to be trusted.

mod ls;
mod private_keys;
mod remove;
mod sign;
mod verify;

use clap::Subcommand;

use crate::error::Result;
use crate::options::Global;

/// Commands that manage devices.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the devices, and show which are verified and why others are not
    Ls(ls::Options),
    /// Verify this device with a recovery key or passphrase, or another device by emoji
    #[command(
        after_help = "Examples:\n  fourfold device verify               asks for the recovery key\n  fourfold device verify --recovery-key-file key.txt --store-key-file state.key\n  fourfold device verify JLAFKJWSCS    compares emoji with that device\n  fourfold device verify --emoji       waits until another device asks for it"
    )]
    Verify(verify::Options),
    /// Sign another of your devices, after comparing its fingerprint
    #[command(
        after_help = "The other device shows its fingerprint as its session key.\n\nExample:\n  fourfold device sign JLAFKJWSCS --fingerprint \"xmiq 5L4p ...\""
    )]
    Sign(sign::Options),
    /// Log a device out and forget it
    #[command(after_help = "Example:\n  fourfold device rm JLAFKJWSCS")]
    Rm(remove::Options),
}

pub(crate) fn run(global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::Ls(options) => ls::run(global, options),
        Command::Verify(options) => verify::run(global, options),
        Command::Sign(options) => sign::run(global, options),
        Command::Rm(options) => remove::run(global, options),
    }
}

//! The options that commands share.

mod key_input;

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

pub(crate) use self::key_input::{KeyInput, Offer};

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The account to use, when there is more than one
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "@USER:SERVER")]
    pub(crate) account: Option<String>,
    /// The folder for the state of accounts [default: the user's state folder]
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "DIR",
        env = "FOURFOLD_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// Print data and errors as JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Write a log to standard error; -vv and -vvv log more. Secrets are never logged
    #[arg(long, short, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The heading of the options of every command.
const EVERYWHERE: &str = "Options of every command";

/// Options that control the confirmation of a change.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ChangeOptions {
    /// Show the plan and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// The option that accepts changes that this machine would refuse.
#[derive(Args, Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct AcceptOptions {
    /// Accept what the homeserver shows now, and continue: a state older than this machine has
    /// seen, a different or weaker key description, a different default key. Use it only if you
    /// made these changes yourself, on another device
    #[arg(long)]
    #[serde(default)]
    pub(crate) accept_changes: bool,
}

/// Where a read gets its data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ReadOptions {
    /// Read a snapshot from this file instead of the server
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
}

/// Options for creating a key, and for the destination of its recovery key.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewKeyOptions {
    /// Ask for a new passphrase that also opens the key
    #[arg(long)]
    pub(crate) new_passphrase: bool,
    /// Generate a passphrase of six random words that also opens the key, and show it on the
    /// terminal
    #[arg(long, conflicts_with_all = ["new_passphrase", "new_passphrase_file", "new_passphrase_fd"])]
    pub(crate) generate_passphrase: bool,
    /// Read the new passphrase from FILE ("-": standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Read the new passphrase from the open file descriptor N
    #[arg(long, value_name = "N")]
    pub(crate) new_passphrase_fd: Option<u32>,
    /// Accept a new passphrase that is easy to guess
    #[arg(long)]
    pub(crate) allow_weak_passphrase: bool,
    /// Write the new recovery key to this new file instead of showing it
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_key_out: Option<PathBuf>,
    /// Write an emergency kit, a page to print with the new recovery key, to this new file instead
    /// of showing the key
    #[arg(long, value_name = "FILE")]
    pub(crate) kit: Option<PathBuf>,
    /// A name for the key; the server can read it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

impl NewKeyOptions {
    /// Returns `true` if the user comes with a passphrase, which may be used elsewhere too.
    pub(crate) fn chooses_passphrase(&self) -> bool {
        self.new_passphrase
            || self.new_passphrase_file.is_some()
            || self.new_passphrase_fd.is_some()
    }
}

/// A key and how it is given, for commands that open or write.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct UnlockOptions {
    #[command(flatten)]
    pub(crate) input: KeyInput,
    /// Use the key with this ID, whether it is the default or not
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
}

impl UnlockOptions {
    /// Returns `true` if the user said which key it is to be, or where it comes from.
    pub(crate) fn is_given(&self) -> bool {
        let input = &self.input;
        self.key.is_some()
            || input.allow_weak_kdf
            || !(input.recovery_key_file.is_empty()
                && input.recovery_key_fd.is_empty()
                && input.passphrase_file.is_empty()
                && input.passphrase_fd.is_empty())
    }
}

//! The command line, declared once: help, completions and man pages come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{commands, secret_input::KeyInput};

/// Keep a Matrix user's secrets: store them so that the server cannot read them, open them again.
///
/// Data goes to standard output, talk to standard error, questions to the terminal. Secrets are
/// never arguments: they are asked for, or come from a file, a descriptor or standard input ("-").
#[derive(Debug, Parser)]
#[command(name = "fourfold", version, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 not found or refused, 2 usage, 3 wrong key, \
    4 network or server, 5 conflict or suspected rollback, 6 policy refused, 7 corrupt data, \
    8 not verified"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The account to use, when there is more than one
    #[arg(long, global = true, value_name = "@USER:SERVER")]
    pub(crate) account: Option<String>,
    /// Where the state of accounts is kept [default: the user's state folder]
    #[arg(long, global = true, value_name = "DIR", env = "FOURFOLD_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// Print data, and errors, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log what happens to standard error; twice for more. Secrets are never logged
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What a change is asked before it is made.
#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct ChangeOptions {
    /// Show the plan and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before carrying out the plan
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Where a read gets its data.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ReadOptions {
    /// Read from this file instead of a server
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
}

/// How a new key is made and where its recovery key goes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NewKeyOptions {
    /// Ask for a new passphrase that opens the key too
    #[arg(long)]
    pub(crate) new_passphrase: bool,
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
    /// A name for the key, readable to the server
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See the whole story on this machine, in seconds
    Quickstart(commands::quickstart::Options),
    /// Run the embedded server
    Serve(commands::serve::Options),
    /// Log in to a homeserver
    Login(commands::login::Options),
    /// Log out and forget the session
    Logout(commands::login::LogoutOptions),
    /// Show who is logged in
    Whoami,
    /// Show the keys, the default, the secrets, and who can open what
    Status(commands::status::Options),
    /// Set up secret storage: make the first key
    Setup(commands::setup::Options),
    /// Open a secret
    Get(commands::get::Options),
    /// Store a secret
    Put(commands::put::Options),
    /// Delete a secret
    Rm(commands::rm::Options),
    /// List the names of the secrets
    Ls(commands::ls::Options),
    /// Look after the keys
    #[command(subcommand)]
    Key(commands::key::Command),
    /// Go on with a change that was interrupted
    Resume(commands::resume::Options),
    /// Make a page to print, with the recovery key and what to do with it
    Kit(commands::kit::Options),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Man {
        /// The folder
        folder: PathBuf,
    },
}

/// A key and how it is given, for commands that open or write.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct UnlockOptions {
    #[command(flatten)]
    pub(crate) input: KeyInput,
    /// Use the key of this ID, whether it is the default or not
    #[arg(long, value_name = "ID")]
    pub(crate) key: Option<String>,
}

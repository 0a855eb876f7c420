//! The command line, declared once: help, completions and man pages come from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::commands;
use crate::terminal::input::KeyInput;

/// Keep a Matrix user's secrets: store them so that the server cannot read them, open them again.
///
/// Data goes to standard output, talk to standard error, questions to the terminal. Secrets are
/// never arguments: they are asked for, or come from a file, a descriptor or standard input ("-").
#[derive(Debug, Parser)]
#[command(name = "fourfold", version, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 not found or refused, 2 usage, 3 wrong key, \
    4 network or server, 5 conflict or suspected rollback, 6 policy refused, 7 corrupt data, \
    8 not verified\n\n\
    With --json, a change answers {\"changed\", \"title\", \"steps\", \"warnings\"} and, where it \
    has to do\nwith them, \"key_id\" and \"old_key_id\". An error is one JSON object, the last line \
    of standard\nerror: {\"error\", \"exit_code\", \"message\", \"hint\"}."
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
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "@USER:SERVER")]
    pub(crate) account: Option<String>,
    /// Where the state of accounts is kept [default: the user's state folder]
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        value_name = "DIR",
        env = "FOURFOLD_STATE",
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
    /// Print data, and errors, as JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Log what happens to standard error; -vv and -vvv tell more. Secrets are never logged
    #[arg(long, short, global = true, help_heading = EVERYWHERE, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The heading of the options of every command.
const EVERYWHERE: &str = "Options of every command";

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

/// What is done when the homeserver shows something else than this machine remembers.
#[derive(Args, Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct AcceptOptions {
    /// Accept what the homeserver shows now, and go on: a state that is older than this machine has
    /// seen, another or a weaker description of a key, another default key. Only after you made these
    /// changes yourself, on another device
    #[arg(long)]
    #[serde(default)]
    pub(crate) accept_changes: bool,
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
    /// Make a passphrase of six random words that opens the key too, and show it on the terminal
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
    /// Write a page to print, with the new recovery key on it, to this new file instead of showing
    /// the key
    #[arg(long, value_name = "FILE")]
    pub(crate) kit: Option<PathBuf>,
    /// A name for the key, readable to the server
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

impl NewKeyOptions {
    /// Whether the user comes with a passphrase, which may be used elsewhere too.
    pub(crate) fn chooses_passphrase(&self) -> bool {
        self.new_passphrase
            || self.new_passphrase_file.is_some()
            || self.new_passphrase_fd.is_some()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole story on this machine, in seconds
    #[command(
        after_help = "Examples:\n  fourfold quickstart\n  fourfold quickstart --keep demo   go on with the server and the accounts of the story"
    )]
    Quickstart(commands::quickstart::Options),
    /// Run the embedded server
    #[command(after_help = "Example:\n  fourfold serve --data ./data --server-name example.org")]
    Serve(commands::serve::Options),
    /// Log in to a homeserver
    #[command(after_help = "Example:\n  fourfold login @alice:example.org")]
    Login(commands::login::Options),
    /// Log out and forget the session
    Logout(commands::login::LogoutOptions),
    /// Show who is logged in
    Whoami,
    /// Show the keys, the default, the secrets, and who can open what
    #[command(
        after_help = "Examples:\n  fourfold status\n  fourfold status --snapshot account.json   of a file, without any server"
    )]
    Status(commands::status::Options),
    /// Set up secret storage, the identity, this device and the key backup
    #[command(
        after_help = "What is there already stays. After an interruption, run it again.\n\nExample:\n  fourfold setup --kit kit.html   with a page to print"
    )]
    Setup(commands::setup::Options),
    /// Open a secret and hand it to a pipe or a file
    #[command(
        after_help = "Examples:\n  fourfold get m.cross_signing.master --show\n  fourfold get org.example.token --recovery-key-file key.txt | deploy"
    )]
    Get(commands::get::Options),
    /// Store a secret
    #[command(
        after_help = "Examples:\n  fourfold put org.example.token              asks for it\n  pass show token | fourfold put org.example.token -"
    )]
    Put(commands::put::Options),
    /// Delete a secret, with all its copies
    #[command(after_help = "Example:\n  fourfold rm org.example.token")]
    Rm(commands::rm::Options),
    /// List the names of the secrets
    #[command(after_help = "Example:\n  fourfold ls -l")]
    Ls(commands::ls::Options),
    /// Look after the devices
    #[command(subcommand)]
    Device(commands::device::Command),
    /// Ask your other devices for a secret
    #[command(after_help = "Example:\n  fourfold request m.megolm_backup.v1 --out backup-key")]
    Request(commands::request::Options),
    /// Keep a key for a while, and answer the requests of your own devices
    #[command(
        after_help = "Examples:\n  fourfold agent                     in the background; then: fourfold unlock\n  fourfold agent --foreground        asks at this terminal\n  fourfold agent log                 what was asked, and what came of it"
    )]
    Agent(commands::agent::Options),
    /// Give the agent a key to keep
    #[command(after_help = "Example:\n  fourfold unlock --lifetime 8h")]
    Unlock(commands::unlock::Options),
    /// Make the agent forget its key
    Lock,
    /// Look after the keys
    #[command(subcommand)]
    Key(commands::key::Command),
    /// Go on with a change that was interrupted
    Resume(commands::resume::Options),
    /// Make a page to print, with the recovery key and what to do with it
    #[command(after_help = "Example:\n  fourfold kit --out kit.html")]
    Kit(commands::kit::Options),
    /// Print the completions for a shell
    #[command(after_help = "Example:\n  fourfold completions bash \
        > ~/.local/share/bash-completion/completions/fourfold")]
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

impl Command {
    /// Whether it ends on its own terms when a signal comes.
    pub(crate) fn stops_itself(&self) -> bool {
        matches!(self, Self::Quickstart(_) | Self::Serve(_))
    }
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

impl UnlockOptions {
    /// Whether the user said which key it is to be, or where it comes from.
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

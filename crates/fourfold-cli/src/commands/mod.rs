//! The commands, one module each; help, completions and man pages come from here.

mod agent;
mod backup;
mod device;
mod doctor;
mod export;
mod generate;
mod get;
mod import;
mod key;
mod kit;
mod lock;
mod login;
mod ls;
mod put;
mod quickstart;
mod recover;
mod request;
mod resume;
mod rm;
mod serve;
mod setup;
mod status;
mod unlock;

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Result;
use crate::options::Global;

/// Store a Matrix user's secrets so that the server cannot read them, and open them again.
///
/// Data goes to standard output, messages to standard error, questions to the terminal. Secrets are
/// never arguments: they are asked for, or read from a file, a descriptor or standard input ("-").
#[derive(Debug, Parser)]
#[command(name = "fourfold", version, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 not found or refused, 2 usage, 3 wrong key, \
    4 network or server, 5 conflict or suspected rollback, 6 policy refused, 7 corrupt data, \
    8 not verified, 9 something is wrong with the account (fourfold doctor)\n\n\
    With --json, a change prints {\"changed\", \"title\", \"steps\", \"warnings\"} and, if keys \
    are involved,\n\"key_id\" and \"old_key_id\". An error is one JSON object on the last line of \
    standard error:\n{\"error\", \"exit_code\", \"message\", \"hint\"}."
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Runs the command that was given.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let global = &arguments.global;
    match arguments.command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Login(options) => login::run(global, &options),
        Command::Logout(options) => login::log_out(global, &options),
        Command::Whoami => login::who_am_i(global),
        Command::Status(options) => status::run(global, &options),
        Command::Doctor(options) => doctor::run(global, &options),
        Command::Setup(options) => setup::run(global, &options),
        Command::Recover(options) => recover::run(global, &options),
        Command::Get(options) => get::run(global, &options),
        Command::Put(options) => put::run(global, &options),
        Command::Rm(options) => rm::run(global, &options),
        Command::Ls(options) => ls::run(global, &options),
        Command::Device(command) => device::run(global, &command),
        Command::Backup(command) => backup::run(global, &command),
        Command::Request(options) => request::run(global, &options),
        Command::Agent(options) => agent::run(global, &options),
        Command::Unlock(options) => unlock::run(global, &options),
        Command::Lock => lock::run(global),
        Command::Key(command) => key::run(global, &command),
        Command::Resume(options) => resume::run(global, &options),
        Command::Kit(options) => kit::run(global, &options),
        Command::Export(options) => export::run(global, &options),
        Command::Import(options) => import::run(global, &options),
        Command::Completions { shell } => generate::completions(Arguments::command(), shell),
        Command::Man { folder } => generate::man_pages(Arguments::command(), &folder),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a demonstration of storage and sharing on this machine
    #[command(
        after_help = "Examples:\n  fourfold quickstart\n  fourfold quickstart --keep demo   keep the server and its data afterwards"
    )]
    Quickstart(quickstart::Options),
    /// Run the embedded server
    #[command(after_help = "Example:\n  fourfold serve --data ./data --server-name example.org")]
    Serve(serve::Options),
    /// Log in to a homeserver
    #[command(after_help = "Example:\n  fourfold login @alice:example.org")]
    Login(login::Options),
    /// Log out and forget the session
    Logout(login::LogoutOptions),
    /// Show who is logged in
    Whoami,
    /// Show the keys, the default key, the secrets, and which key opens which secret
    #[command(
        after_help = "Examples:\n  fourfold status\n  fourfold status --snapshot account.json   reads a file, without a server"
    )]
    Status(status::Options),
    /// Say what is wrong with the account, why, and what repairs it; repair it
    #[command(
        after_help = "Without a key everything is examined that can be without one; with --recovery-key-file or\n--passphrase-file also whether the secrets open and match. Nothing is changed without --fix.\n\nExamples:\n  fourfold doctor\n  fourfold doctor --recovery-key-file key.txt --fix\n  fourfold doctor --snapshot account.json        examines a file, without a server\n  fourfold doctor --explain secret-missing"
    )]
    Doctor(doctor::Options),
    /// Set up secret storage, the identity, this device and the key backup
    #[command(
        after_help = "What already exists is kept. After an interruption, run it again.\n\nExample:\n  fourfold setup --kit kit.html   with an emergency kit to print"
    )]
    Setup(setup::Options),
    /// Make a new key when the recovery key and the passphrase are lost
    #[command(
        after_help = "It brings over what can be had without the key: what the agent opens, what this machine\nkeeps, and what your other devices send. Nothing is deleted: what only the lost key opens\nstays under it. After an interruption: fourfold resume.\n\nExample:\n  fourfold recover --kit kit.html"
    )]
    Recover(recover::Options),
    /// Open a secret and write it to a pipe or a file
    #[command(
        after_help = "Examples:\n  fourfold get m.cross_signing.master --show\n  fourfold get org.example.token --recovery-key-file key.txt | deploy"
    )]
    Get(get::Options),
    /// Store a secret
    #[command(
        after_help = "Examples:\n  fourfold put org.example.token              asks for it\n  pass show token | fourfold put org.example.token -\n\nThe key of the key backup, m.megolm_backup.v1, may be the recovery key that another client shows of it."
    )]
    Put(put::Options),
    /// Delete a secret, with all its copies
    #[command(after_help = "Example:\n  fourfold rm org.example.token")]
    Rm(rm::Options),
    /// List the names of the secrets
    #[command(after_help = "Example:\n  fourfold ls -l")]
    Ls(ls::Options),
    /// Manage devices
    #[command(subcommand)]
    Device(device::Command),
    /// Manage the key backup: its versions and their private keys
    #[command(subcommand)]
    Backup(backup::Command),
    /// Ask your other devices for a secret
    #[command(after_help = "Example:\n  fourfold request m.megolm_backup.v1 --out backup-key")]
    Request(request::Options),
    /// Keep a key in memory for a while, and answer requests of your own devices
    #[command(
        after_help = "Examples:\n  fourfold agent                     in the background; then: fourfold unlock\n  fourfold agent --foreground        asks on this terminal\n  fourfold agent log                 what was requested and what was decided"
    )]
    Agent(agent::Options),
    /// Unlock the agent with a recovery key or passphrase
    #[command(after_help = "Example:\n  fourfold unlock --lifetime 8h")]
    Unlock(unlock::Options),
    /// Lock the agent: it forgets its key
    Lock,
    /// Manage keys
    #[command(subcommand)]
    Key(key::Command),
    /// Resume an interrupted change
    Resume(resume::Options),
    /// Create an emergency kit: a page to print, with the recovery key and instructions
    #[command(after_help = "Example:\n  fourfold kit --out kit.html")]
    Kit(kit::Options),
    /// Write secrets to a file, sealed under a new key
    #[command(
        after_help = "The file holds the secrets of the identity and of the key backup, and those that are named.\nOther programs that read secret storage can open it: docs/export.md.\n\nExamples:\n  fourfold export secrets.json --kit secrets.html\n  fourfold export secrets.json org.example.token --recovery-key-out secrets.key"
    )]
    Export(export::Options),
    /// Store the secrets of a file that fourfold export wrote
    #[command(
        after_help = "Two keys are needed: that of the file and that of the account. Each secret is compared with the\npublished keys and with what the account has.\n\nExamples:\n  fourfold import secrets.json --dry-run\n  fourfold import secrets.json m.megolm_backup.v1"
    )]
    Import(import::Options),
    /// Print shell completions
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
    /// Returns `true` if it ends on its own terms when a signal comes.
    pub(crate) fn stops_itself(&self) -> bool {
        matches!(self, Self::Quickstart(_) | Self::Serve(_))
    }
}

//! The commands, one module each; help, completions and man pages come from here.

mod agent;
mod device;
mod generate;
mod get;
mod key;
mod kit;
mod lock;
mod login;
mod ls;
mod put;
mod quickstart;
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
        Command::Setup(options) => setup::run(global, &options),
        Command::Get(options) => get::run(global, &options),
        Command::Put(options) => put::run(global, &options),
        Command::Rm(options) => rm::run(global, &options),
        Command::Ls(options) => ls::run(global, &options),
        Command::Device(command) => device::run(global, &command),
        Command::Request(options) => request::run(global, &options),
        Command::Agent(options) => agent::run(global, &options),
        Command::Unlock(options) => unlock::run(global, &options),
        Command::Lock => lock::run(global),
        Command::Key(command) => key::run(global, &command),
        Command::Resume(options) => resume::run(global, &options),
        Command::Kit(options) => kit::run(global, &options),
        Command::Completions { shell } => generate::completions(Arguments::command(), shell),
        Command::Man { folder } => generate::man_pages(Arguments::command(), &folder),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the whole story on this machine, in seconds
    #[command(
        after_help = "Examples:\n  fourfold quickstart\n  fourfold quickstart --keep demo   go on with the server and the accounts of the story"
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
    /// Show the keys, the default, the secrets, and who can open what
    #[command(
        after_help = "Examples:\n  fourfold status\n  fourfold status --snapshot account.json   of a file, without any server"
    )]
    Status(status::Options),
    /// Set up secret storage, the identity, this device and the key backup
    #[command(
        after_help = "What is there already stays. After an interruption, run it again.\n\nExample:\n  fourfold setup --kit kit.html   with a page to print"
    )]
    Setup(setup::Options),
    /// Open a secret and hand it to a pipe or a file
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
    /// Look after the devices
    #[command(subcommand)]
    Device(device::Command),
    /// Ask your other devices for a secret
    #[command(after_help = "Example:\n  fourfold request m.megolm_backup.v1 --out backup-key")]
    Request(request::Options),
    /// Keep a key for a while, and answer the requests of your own devices
    #[command(
        after_help = "Examples:\n  fourfold agent                     in the background; then: fourfold unlock\n  fourfold agent --foreground        asks at this terminal\n  fourfold agent log                 what was asked, and what came of it"
    )]
    Agent(agent::Options),
    /// Give the agent a key to keep
    #[command(after_help = "Example:\n  fourfold unlock --lifetime 8h")]
    Unlock(unlock::Options),
    /// Make the agent forget its key
    Lock,
    /// Look after the keys
    #[command(subcommand)]
    Key(key::Command),
    /// Go on with a change that was interrupted
    Resume(resume::Options),
    /// Make a page to print, with the recovery key and what to do with it
    #[command(after_help = "Example:\n  fourfold kit --out kit.html")]
    Kit(kit::Options),
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

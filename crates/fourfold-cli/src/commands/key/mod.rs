//! `fourfold key`: manage keys.

mod check;
mod grant;
mod migrate;
mod new;
mod remove;
mod rotate;
mod successor;

use clap::{Args, Subcommand};
use fourfold::plan;
use fourfold::{Plan, SecretStorage};

use crate::account::{self, change};
use crate::commands::status;
use crate::error::Result;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput, ReadOptions, UnlockOptions};
use crate::storage::unlock;
use crate::terminal::output;

/// Commands that manage keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create another key
    #[command(after_help = "Example:\n  fourfold key new --name paper --kit kit.html")]
    New(new::Options),
    /// List the keys
    Ls(LsOptions),
    /// Identify the key of a recovery key or passphrase, and locate typing errors
    #[command(after_help = "Example:\n  fourfold key check   asks for it")]
    Check(check::Options),
    /// Make a key the default
    #[command(
        after_help = "The key itself must be given, so that the default is always a key that you have.\n\nExample:\n  fourfold key default ID"
    )]
    Default(DefaultOptions),
    /// Replace keys with a new one, for all secrets
    #[command(
        after_help = "Several keys may be given: the new one takes the place of all of them. Other keys stay,\nand what they open is said.\n\nExample:\n  fourfold key rotate --kit kit.html"
    )]
    Rotate(rotate::Options),
    /// Remove a key
    #[command(after_help = "Example:\n  fourfold key rm ID")]
    Rm(remove::Options),
    /// Give a key access to secrets that another key opens
    #[command(
        after_help = "Both keys are needed: the one that opens the secrets now, and the one that gets access.\n\nExamples:\n  fourfold key grant ID                     all that the other key opens\n  fourfold key grant ID org.example.token"
    )]
    Grant(grant::GrantOptions),
    /// Remove a key's access to secrets
    #[command(
        after_help = "A remaining key must be given, to prove that nothing becomes unreadable.\n\nExample:\n  fourfold key revoke ID org.example.token"
    )]
    Revoke(grant::RevokeOptions),
    /// Migrate an account from the 2019 algorithm to the current one
    #[command(after_help = "Example:\n  fourfold key migrate --kit kit.html")]
    Migrate(migrate::Options),
}

/// Options of `key ls`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LsOptions {
    #[command(flatten)]
    read: ReadOptions,
}

/// Options of `key default`.
#[derive(Args, Clone, Debug)]
pub(crate) struct DefaultOptions {
    /// The ID of the key
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

pub(crate) fn run(global: &Global, command: &Command) -> Result<()> {
    match command {
        Command::New(options) => new::run(global, options),
        Command::Ls(options) => ls(global, options),
        Command::Check(options) => check::run(global, options),
        Command::Default(options) => default(global, options),
        Command::Rotate(options) => rotate::run(global, options),
        Command::Rm(options) => remove::run(global, options),
        Command::Grant(options) => grant::grant(global, options),
        Command::Revoke(options) => grant::revoke(global, options),
        Command::Migrate(options) => migrate::run(global, options),
    }
}

fn ls(global: &Global, options: &LsOptions) -> Result<()> {
    let (snapshot, _) = account::look(global, &options.read, AcceptOptions::default())?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let keys = status::keys(&storage);
    if global.json {
        return output::json(&keys);
    }
    keys.iter().try_for_each(status::Key::print)?;
    let undescribed = status::undescribed(&storage);
    undescribed
        .iter()
        .try_for_each(status::UndescribedKey::print)
}

fn default(global: &Global, options: &DefaultOptions) -> Result<()> {
    let input = &options.input;
    change::make_with_key(global, input, options.change, options.accept, |snapshot| {
        let unlock = UnlockOptions {
            input: options.input.clone(),
            key: Some(options.id.clone()),
        };
        let described = unlock::one_described(snapshot, &unlock)?;
        let storage = SecretStorage::new(&described.account_data);
        let change = plan::change_default(&storage, &described.key)?;
        Ok(Plan::of(change.title.clone(), [described.plan, change]))
    })
}

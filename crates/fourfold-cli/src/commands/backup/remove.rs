//! `fourfold backup rm`: delete a version, once it is clear what goes with it.

use clap::Args;
use fourfold::backup::{CurrentBackup, ShownVersion, fitting};
use fourfold::plan::{self, KeyOfBackup};
use fourfold::{SecretName, SecretState, SecretStorageKey};
use fourfold_client::{ShownBackup, escape_untrusted};

use super::at_hand;
use super::seen::{NOT_OFFERED, in_words};
use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput};
use crate::terminal::{messages, output, prompt};

/// Options of `backup rm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The version [default: the current one]
    version: Option<String>,
    /// Delete the version that is in use, too: afterwards nothing is backed up until there is a new one
    #[arg(long)]
    in_use: bool,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Shows what is lost, asks for the version, and deletes it.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let current = CurrentBackup::of(&snapshot);
    let version = which(options, &current)?;
    let Some(shown) = shown(&logged_in, &version)? else {
        let name = escape_untrusted(&version);
        return Err(
            Error::refused(format!("there is no version {name} of the key backup"))
                .hint("fourfold backup status lists the versions"),
        );
    };
    let is_current = match &current {
        CurrentBackup::Shown(shown) => shown.version.as_deref() == Some(version.as_str()),
        CurrentBackup::Missing => false,
        // Nobody knows, so that it counts as if it were.
        CurrentBackup::Unavailable(_) => true,
    };
    let keys = at_hand::given(&snapshot, &options.input)?;
    let keys: Vec<&SecretStorageKey> = keys.iter().collect();
    let storage = snapshot.storage();
    let copies = at_hand::copies(&mut logged_in, &storage, &keys, &options.sealing, None)?;
    let is_stored = matches!(
        storage.secret(&SecretName::backup_key()),
        SecretState::Encrypted(_)
    );
    let key = match shown.usable() {
        Some(usable) if fitting(&copies, usable).next().is_some() => KeyOfBackup::AtHand,
        // Without a key of secret storage nobody knows what is stored there.
        Some(_) if keys.is_empty() && is_stored => KeyOfBackup::Unknown,
        _ => KeyOfBackup::Missing,
    };
    let plan = plan::delete_key_backup(&version, &shown, is_current, options.in_use, key)?;
    if !agree(global, &plan, &version, options.change)? {
        return Ok(());
    }
    change::apply(&mut logged_in, snapshot.clear(&plan))?;
    if global.json {
        return output::json(&change::Report::of(&plan));
    }
    messages::say(format_args!(
        "version {} is deleted",
        escape_untrusted(&version)
    ));
    if is_current {
        say_what_is_current(&logged_in)?;
    }
    Ok(())
}

fn which(options: &Options, current: &CurrentBackup) -> Result<String> {
    let named = options.version.clone();
    let current = match current {
        _ if named.is_some() => None,
        CurrentBackup::Missing => {
            return Err(Error::refused("there is no key backup")
                .hint("name an older version: fourfold backup rm VERSION"));
        }
        CurrentBackup::Unavailable(why) => {
            let why = escape_untrusted(why.as_deref().unwrap_or(NOT_OFFERED));
            return Err(Error::usage(format!(
                "which version is the current one is not known: {why}"
            ))
            .hint("name the version: fourfold backup rm VERSION"));
        }
        CurrentBackup::Shown(shown) => shown.version.clone(),
    };
    named.or(current).ok_or_else(|| {
        Error::usage("the homeserver does not say which version it is")
            .hint("name the version: fourfold backup rm VERSION")
    })
}

/// What the homeserver shows of it. A record that it fails to show can be deleted all the same.
fn shown(logged_in: &LoggedIn, version: &str) -> Result<Option<ShownVersion>> {
    let _busy = messages::busy("reading the version of the key backup");
    let account = &logged_in.account;
    Ok(match logged_in.wait(account.shown_key_backup(version))? {
        ShownBackup::None => None,
        ShownBackup::Shown(shown) => Some(*shown),
        ShownBackup::Unavailable(error) => {
            messages::warn(format_args!(
                "the homeserver does not show this version: {error}"
            ));
            Some(ShownVersion::from_json("null"))
        }
    })
}

/// Shows the plan, and has the version typed.
fn agree(
    global: &Global,
    plan: &fourfold::Plan,
    version: &str,
    options: ChangeOptions,
) -> Result<bool> {
    if options.dry_run {
        return change::agree(global, plan, options);
    }
    if !options.yes && !prompt::is_possible() {
        return Err(Error::usage("there is no terminal to confirm on")
            .hint("use --yes, or --dry-run to see what is lost"));
    }
    let shown = ChangeOptions {
        yes: true,
        ..options
    };
    change::agree(global, plan, shown)?;
    if options.yes || prompt::visible("To delete it, type the version:")?.trim() == version {
        return Ok(true);
    }
    Err(Error::refused("nothing was deleted"))
}

fn say_what_is_current(logged_in: &LoggedIn) -> Result<()> {
    let snapshot = logged_in.wait(logged_in.account.snapshot())?;
    match CurrentBackup::of(&snapshot) {
        CurrentBackup::Shown(shown) => {
            messages::say(format_args!("the current one is now {}", in_words(&shown)));
            messages::hint(
                "whether its private key is stored: fourfold backup check; fourfold backup restore-key \
                 looks for it",
            );
        }
        CurrentBackup::Missing => {
            messages::say("there is no key backup now");
            messages::hint("fourfold backup new creates one");
        }
        CurrentBackup::Unavailable(_) => {}
    }
    Ok(())
}

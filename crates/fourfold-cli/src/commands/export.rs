//! `fourfold export`: secrets in a file, sealed under a new key.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use fourfold::judged::Judged;
use fourfold::{Secret, SecretName, SecretState, Timestamp, export};
use serde_json::json;

use crate::account::LoggedIn;
use crate::error::{Error, Result};
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::{AcceptOptions, ChangeOptions, Global, NewKeyOptions, UnlockOptions};
use crate::storage::{opening, unlock};
use crate::terminal::{messages, output};

/// Options of `export`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Write the sealed secrets to this new file, readable to its owner only
    file: PathBuf,
    /// The names of further secrets
    names: Vec<String>,
    /// Export the named secrets alone, without those of the identity and the key backup
    #[arg(long, requires = "names")]
    only: bool,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens the secrets, makes a key, and writes the file. Nothing of the account changes.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    output::check_new_file(&options.file)?;
    new_key::check_delivery(&options.new, ChangeOptions::default())?;
    let mut logged_in = LoggedIn::open(global)?;
    // Several secrets are opened: refused while anything is suspicious, as a change is.
    let snapshot = logged_in.snapshot_for_going_on(options.accept)?;
    let names = names(&snapshot, options)?;
    let key = unlock::one(&snapshot, &options.unlock)?.key;
    let open = |name: &SecretName| -> Result<(SecretName, Secret)> {
        Ok((name.clone(), opening::open(&snapshot, name, &key)?.secret))
    };
    let secrets = names.iter().map(open).collect::<Result<Vec<_>>>()?;
    logged_in.opened(&snapshot, &names, key.id())?;

    let new = new_key::make(&options.new)?;
    let sealed = export::seal(&snapshot, &secrets, &new, now(), &mut rng())?;
    output::secret_file(&options.file, &format!("{}\n", sealed.to_json()))?;
    let session = logged_in.account.session();
    new_key::deliver(&new, &options.new, session).inspect_err(|_| {
        // Nobody has the key that opens it.
        let _ = std::fs::remove_file(&options.file);
    })?;
    if global.json {
        return output::json(&json!({
            "file": options.file,
            "key_id": new.key().id(),
            "names": names,
        }));
    }
    let number = match names.len() {
        1 => "1 secret".to_owned(),
        number => format!("{number} secrets"),
    };
    messages::say(format_args!(
        "{} has {number}; its new recovery key opens it",
        options.file.display()
    ));
    Ok(())
}

/// The secrets of the identity and the key backup that there are, and those that are named.
fn names(snapshot: &Judged, options: &Options) -> Result<Vec<SecretName>> {
    let (storage, mut names) = (snapshot.storage(), Vec::new());
    if !options.only {
        let mut absent = Vec::new();
        for name in SecretName::standard() {
            match storage.secret(&name) {
                SecretState::Encrypted(_) | SecretState::Malformed(_) => names.push(name),
                _ => absent.push(name.to_string()),
            }
        }
        if !absent.is_empty() {
            let absent = absent.join(", ");
            messages::note(format_args!(
                "not exported, because the account has none: {absent}"
            ));
        }
    }
    for name in &options.names {
        let name = SecretName::new(name).map_err(Error::usage)?;
        opening::check_there(&storage, &name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(Error::refused("there are no secrets to export")
            .hint("fourfold setup makes those of the identity and the key backup"));
    }
    Ok(names)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    Timestamp::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

//! `fourfold kit`: a page to print, with the recovery key and what to do with it.

use std::path::PathBuf;

use clap::Args;

use crate::account::{self, LoggedIn};
use crate::error::Result;
use crate::keys::emergency_kit::EmergencyKit;
use crate::options::{AcceptOptions, Global, ReadOptions, UnlockOptions};
use crate::storage::unlock;
use crate::terminal::{messages, output};

/// Options of `kit`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Write the page to this new file, readable to its owner only
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    read: ReadOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Makes the page after the key has been checked: a kit that opens nothing is worse than none.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    output::check_secret(options.out.as_deref(), false)
        .map_err(|error| error.hint("use --out FILE, or a pipe"))?;
    let (snapshot, homeserver) = match &options.read.snapshot {
        Some(_) => {
            let (snapshot, _) = account::read(
                global,
                &options.read,
                None,
                &options.unlock.input,
                options.accept,
            )?;
            (snapshot, None)
        }
        None => {
            let mut logged_in = LoggedIn::open(global)?;
            let homeserver = logged_in.account.session().homeserver.clone();
            let snapshot =
                logged_in.snapshot_to_unlock(None, &options.unlock.input, options.accept)?;
            (snapshot, Some(homeserver))
        }
    };
    let storage = snapshot.storage();
    let key = unlock::one_proven(&snapshot, &options.unlock)?;
    let name = storage
        .key(key.id())
        .ok()
        .and_then(|description| description.name());
    let html = EmergencyKit {
        user_id: &snapshot.user_id,
        homeserver: homeserver.as_deref(),
        key_id: key.id(),
        key_name: name.as_deref(),
        recovery_key: &key.key().expose_recovery_key(),
    }
    .to_html()?;
    match &options.out {
        Some(path) => {
            output::secret_file(path, &html)?;
            messages::say(format_args!("print {} and delete it", path.display()));
            Ok(())
        }
        None => output::secret(&html, false),
    }
}

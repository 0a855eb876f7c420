//! `fourfold backup check`: whether the private key opens what is in the backup.

use std::path::PathBuf;

use clap::Args;
use fourfold::SecretStorageKey;
use fourfold_client::escape_untrusted;
use serde_json::json;

use super::at_hand;
use super::seen::Versions;
use crate::account::LoggedIn;
use crate::error::{Error, Exit, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, Global, KeyInput};
use crate::terminal::{messages, output};

/// Options of `backup check`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Try this many room keys: the first ones that the homeserver gives out
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sample: u32,
    /// Take the private key from this file: it holds the private key, or the recovery key that
    /// another client shows of the backup ("-": standard input)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Opens some of the room keys, and says how many opened.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_opening(None, options.accept)?;
    let versions = Versions::of(&snapshot);
    let current = versions.usable()?;
    let keys = match &options.from {
        Some(_) => at_hand::given(&snapshot, &options.input)?,
        None => at_hand::asked(&snapshot, &options.input)?,
    };
    let keys: Vec<&SecretStorageKey> = keys.iter().collect();
    let storage = snapshot.storage();
    let from = options.from.as_deref();
    let copies = at_hand::copies(&mut logged_in, &storage, &keys, &options.sealing, from)?;
    let copy = at_hand::key_of(&copies, current)?;
    let sample = {
        let _busy = messages::busy("reading room keys from the backup");
        let account = &logged_in.account;
        let sample = account.sample_key_backup(current.version(), &copy.key, options.sample);
        logged_in.wait(sample)?
    };
    let (tried, opened) = (sample.sessions.tried, sample.sessions.opened);
    if global.json {
        let reasons: Vec<_> = sample
            .reasons
            .iter()
            .map(|(reason, times)| json!({"reason": reason, "times": times}))
            .collect();
        output::json(&json!({
            "version": current.version(),
            "tried": tried,
            "opened": opened,
            "reasons": reasons,
        }))?;
    } else {
        let version = escape_untrusted(current.version());
        let said = match (tried, opened) {
            (0, _) => format!("version {version} is empty: there is nothing to try"),
            (1, 1) => format!("the room key in version {version} opens"),
            (tried, opened) if tried == opened => {
                format!("all {tried} room keys that were tried open, of version {version}")
            }
            (tried, opened) => {
                format!("{opened} of {tried} room keys that were tried open, of version {version}")
            }
        };
        messages::say(said);
        for (reason, times) in &sample.reasons {
            messages::note(format_args!("{times}: {}", escape_untrusted(reason)));
        }
    }
    if opened < tried {
        return Err(Error::new(
            Exit::Corrupt,
            "room keys in the backup do not open with its private key",
        )
        .hint(
            "a new version gets the room keys of each device again, and this one stays: fourfold backup \
             new",
        ));
    }
    Ok(())
}

//! `fourfold backup restore-key`: the private key of the current version, found and put back.

use std::path::PathBuf;

use clap::Args;
use fourfold::backup::{CopyFrom, KeyCopy};
use fourfold::{SecretName, SecretStorageKey, plan};
use fourfold_client::escape_untrusted;

use super::at_hand::{self, place};
use super::seen::Versions;
use crate::account::{LoggedIn, change};
use crate::error::Result;
use crate::keys::random::rng;
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput};
use crate::terminal::messages;

/// Options of `backup restore-key`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Look in this file too: it holds the private key, or the recovery key that another client shows
    /// of the backup ("-": standard input)
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Looks everywhere, and stores the one that fits. What it replaces is kept under its own name.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let versions = Versions::fetch(&logged_in, &snapshot);
    let current = versions.usable()?;
    let keys = at_hand::writing(&snapshot, &options.input)?;
    let keys: Vec<_> = keys.iter().collect();
    let opening: Vec<&SecretStorageKey> = keys.iter().map(|key| key.key()).collect();
    let storage = snapshot.storage();
    let copies = at_hand::copies(
        &mut logged_in,
        &storage,
        &opening,
        &options.sealing,
        options.from.as_deref(),
    )?;
    let copy = at_hand::key_of(&copies, current)?;
    let plan = plan::restore_backup_key(
        &storage,
        current,
        &versions.usable_older(),
        &copy.key,
        &keys,
        &mut rng(),
    )?;
    if !plan.is_empty() && !is_in_place(copy) {
        messages::say(format_args!("the private key is {}", place(&copy.from)));
    }
    change::carry_out(
        global,
        &mut logged_in,
        snapshot.clear(&plan),
        options.change,
    )?;
    if !snapshot
        .published_keys()
        .has_signed_backup(&snapshot.user_id)
    {
        messages::note(format_args!(
            "version {} is not signed by your identity, so that other devices may not use it: fourfold \
             setup signs it",
            escape_untrusted(current.version())
        ));
    }
    Ok(())
}

fn is_in_place(copy: &KeyCopy) -> bool {
    matches!(&copy.from, CopyFrom::Stored { name, .. } if *name == SecretName::backup_key())
}

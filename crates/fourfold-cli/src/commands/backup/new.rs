//! `fourfold backup new`: a new version beside the others.

use clap::Args;
use fourfold::cross_signing::KnownKeys;
use fourfold::{BackupVersion, NewKeyBackup, SecretStorageKey, plan};
use fourfold_client::escape_untrusted;

use super::at_hand;
use super::seen::Versions;
use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::keys::random::rng;
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, Global, KeyInput};

/// Options of `backup new`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Makes a version, signs it with what is at hand, and stores its private key.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let versions = Versions::fetch(&logged_in, &snapshot);
    let keys = at_hand::writing(&snapshot, &options.input)?;
    let keys: Vec<_> = keys.iter().collect();
    let opening: Vec<&SecretStorageKey> = keys.iter().map(|key| key.key()).collect();
    let held = at_hand::on_this_machine(&mut logged_in.state, &options.sealing)?;
    let mut device = at_hand::device(&mut logged_in, &options.sealing)?;
    let user_id = logged_in.account.user_id().to_owned();
    let storage = snapshot.storage();
    let known = KnownKeys::stored(&storage, &opening, &snapshot.published_keys());

    let mut new = NewKeyBackup::random(&mut rng());
    if let Some(master) = known.master_key() {
        new.sign(|object| master.sign(object, &user_id))?;
    }
    if let Some(device) = &device {
        new.sign(|object| device.sign(object).map_err(Error::from))?;
    }
    let older = versions.usable_older();
    let mut plan = plan::renew_key_backup(
        &storage,
        &versions.current,
        &older,
        &new,
        &keys,
        &held,
        &mut rng(),
    )?;
    if known.master_key().is_none() {
        plan.warnings.push(NewKeyBackup::UNSIGNED.to_owned());
    }
    if !change::agree(global, &plan, options.change)? {
        return Ok(());
    }
    change::apply(&mut logged_in, snapshot.clear(&plan))?;
    let current = logged_in.wait(logged_in.account.key_backup())?;
    if let (Some(device), Some(current)) = (&mut device, &current)
        && current.public_key() == new.public_key()
    {
        device.remember_backup(current)?;
    }
    let version = current.as_ref().map_or("", BackupVersion::version);
    change::Report::of(&plan).print(
        global,
        format_args!(
            "version {} is the current key backup now, and its private key is stored",
            escape_untrusted(version)
        ),
    )
}

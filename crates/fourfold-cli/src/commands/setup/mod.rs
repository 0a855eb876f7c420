//! `fourfold setup`: secret storage, the cross-signing identity, this device and the key backup.
//!
//! Every part that is there already stays; doing it twice is doing it once, and going on after an
//! interruption is doing it again. The order keeps the account usable: first the key, then what is
//! published, then the secrets, and the default key last. What must not be lost once its public half
//! is published is sealed on disk before.

mod backup;
mod options;
mod storage;
mod storage_key;
mod work;

use fourfold::{BackupVersion, KeyId, Plan, SecretName};
use fourfold_client::Device;
use serde::Serialize;

use self::backup::BackupState;
pub(crate) use self::options::Options;
use self::storage_key::StorageKey;
use self::work::{Reset, Work};
use crate::account::own_device::{self, ThisDevice};
use crate::account::{LoggedIn, change};
use crate::error::{Error, Exit, Result};
use crate::keys::new_key;
use crate::options::{ChangeOptions, Global};
use crate::storage::judged::Judged;
use crate::terminal::{messages, output, prompt};

/// Completes whatever is missing.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    if options.storage_only {
        return storage::run(global, &mut logged_in, options);
    }
    if !options.change.dry_run {
        go_on(&mut logged_in, options)?;
    }
    let snapshot = logged_in.snapshot_for_change(options.accept)?;
    let published = own_device::published(&logged_in)?;
    let device = ThisDevice::find(&mut logged_in, &options.sealing, &published)?;
    let key = StorageKey::find(&snapshot, options)?;
    let work = Work::find(
        &snapshot,
        &published,
        &device,
        key.proven(),
        Reset {
            identity: options.reset_identity,
            backup: options.new_backup,
        },
    )?;
    let plan = work.plan(&snapshot, &published, &device, &key)?;
    let changes = !plan.is_empty();
    if !changes && !options.change.dry_run {
        change::note_warnings(global, &plan);
        messages::say(if work.is_complete() {
            "everything is set up"
        } else {
            "there is nothing to change"
        });
    } else if !change::agree(global, &plan, options.change)? {
        return Ok(());
    }
    if work.replaces_identity {
        confirm_reset(&logged_in, options.change)?;
    }
    options.password.read_if_given()?;
    if work.replaces_identity && options.new.chooses_passphrase() && prompt::is_possible() {
        // Homeservers ask for it then, and it must not be the passphrase: known before anything is
        // written.
        options.password.read()?;
    }
    let mut device = device.keep(&mut logged_in, &options.sealing)?;
    // Before the plan, which finds that step done then: a homeserver that gets the keys of a device
    // again after they were signed may keep them without the signature.
    own_device::publish(&logged_in, &mut device)?;
    if changes {
        // Once a public key is published, its private half must not be lost.
        device.keep_unstored(&work.secrets())?;
        if let StorageKey::New(new) = &key {
            new_key::deliver(new, &options.new, logged_in.account.session())?;
        }
        change::apply_asking(&mut logged_in, snapshot.clear(&plan), &options.password)?;
    }
    settle(&logged_in, &mut device, &work)?;
    let snapshot = logged_in.snapshot_for_opening(None, options.accept)?;
    let remembered = device.remembered()?.backup;
    let at_hand = work.at_hand(&snapshot, key.proven());
    let backup = BackupState::of(&snapshot, &at_hand, remembered.as_ref());
    if let Some(backup) = backup.known() {
        device.remember_backup(backup)?;
    }
    let done = Done::of(&plan, &work, &snapshot, &key, &backup);
    backup.warn();
    let reported = report(global, &done);
    match (reported, backup.check()) {
        (Err(error), Err(of_backup)) => {
            messages::warn(of_backup.message);
            if let Some(hint) = of_backup.hint {
                messages::hint(hint);
            }
            Err(error)
        }
        (reported, checked) => reported.and(checked),
    }
}

/// What is there in the end.
#[derive(Serialize)]
struct Done<'a> {
    changed: bool,
    key_id: KeyId,
    master_key: Option<String>,
    is_device_signed: bool,
    /// The version of the key backup that the homeserver shows, whoever made it.
    backup_version: Option<String>,
    /// `set_up`, or why it is not: `unsigned` (it is the user's, and the master key that would sign it
    /// is not at hand), `unwanted`, `no_key`, `other_key`, `unusable_key`, `replaced`, `unreadable` or
    /// `missing`.
    backup_state: &'static str,
    /// Standard secrets that are not in secret storage.
    missing: Vec<SecretName>,
    /// What else there is to know, such as a secret that does not belong to what is published.
    warnings: &'a [String],
}

impl<'a> Done<'a> {
    fn of(
        plan: &'a Plan,
        work: &Work,
        snapshot: &Judged,
        key: &StorageKey,
        backup: &BackupState,
    ) -> Self {
        let published_keys = snapshot.published_keys();
        let master_key = published_keys
            .identity
            .and_then(|identity| identity.master_key().ok());
        let storage = snapshot.storage();
        let is_missing = |name: &SecretName| storage.open(name, key.proven().key()).is_err();
        Self {
            changed: !plan.is_empty(),
            key_id: key.proven().id().clone(),
            master_key: master_key.map(|key| key.to_base64()),
            is_device_signed: work.keys.self_signing_key().is_some(),
            backup_version: published_keys
                .backup
                .as_ref()
                .map(BackupVersion::version)
                .map(str::to_owned),
            backup_state: backup.name(),
            missing: SecretName::standard()
                .into_iter()
                .filter(is_missing)
                .collect(),
            warnings: &plan.warnings,
        }
    }
}

/// Goes on with a plan that an earlier attempt has left: it was agreed to then.
fn go_on(logged_in: &mut LoggedIn, options: &Options) -> Result<()> {
    if let Some(plan) = change::resume(logged_in, &options.password, options.accept)? {
        messages::say(format_args!("done: {}", plan.title));
    }
    Ok(())
}

/// What this machine does for itself once everything is on the homeserver.
fn settle(logged_in: &LoggedIn, device: &mut Device, work: &Work) -> Result<()> {
    if let Some(master) = work.keys.master_key() {
        own_device::pin(logged_in, device, master, work.replaces_pin)?;
    }
    // The secrets are where they belong.
    Ok(device.forget_unstored()?)
}

fn confirm_reset(logged_in: &LoggedIn, change: ChangeOptions) -> Result<()> {
    if change.yes {
        return Ok(());
    }
    let user_id = logged_in.account.user_id();
    messages::say("");
    messages::say(
        "The identity is replaced. Everybody who verified you sees a warning, and all your other \
         devices have to be verified again.",
    );
    if prompt::visible("To replace it, type your user ID:")? == user_id {
        Ok(())
    } else {
        Err(Error::refused("nothing was changed"))
    }
}

fn report(global: &Global, done: &Done<'_>) -> Result<()> {
    for name in &done.missing {
        messages::warn(format_args!(
            "{name} is not in secret storage: another device of yours may have it"
        ));
    }
    if global.json {
        output::json(done)?;
    } else if done.is_device_signed {
        messages::say("secret storage, the identity and this device are set up");
    }
    if done.is_device_signed {
        return Ok(());
    }
    Err(Error::new(
        Exit::NotVerified,
        "this device could not be signed: the self-signing key is not known",
    )
    .hint("store it from another client, or start anew: fourfold setup --reset-identity"))
}

//! `fourfold setup`: secret storage, the cross-signing identity, this device and the key backup.
//!
//! What is made, kept and refused, and in which order, the library decides
//! ([`Bootstrap`]); this asks, and carries it out.

mod backup;
mod describing;
mod options;
mod storage;
mod storage_key;

use fourfold::backup::CurrentBackup;
use fourfold::identity::{LoggedInDevices, UserKeys};
use fourfold::judged::Judged;
use fourfold::plan::{BackupState, Bootstrap, BootstrapKey, KnownAccount};
use fourfold::signable::Signable;
use fourfold::{BackupVersion, KeyId, SecretName};
use fourfold_client::Device;
use serde::Serialize;

pub(crate) use self::options::Options;
use crate::account::own_device::{self, ThisDevice};
use crate::account::{LoggedIn, change};
use crate::error::{Error, Exit, Result};
use crate::hints;
use crate::keys::new_key;
use crate::keys::random::rng;
use crate::options::Global;
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
    let snapshot = logged_in.snapshot_to_change(&options.input, options.accept)?;
    let Some(snapshot) = describing::describe(global, &mut logged_in, snapshot, options)? else {
        return Ok(());
    };
    let (published, log_ins) = published(&logged_in, options)?;
    let device = ThisDevice::find(&mut logged_in, &options.sealing, &published)?;
    let key = storage_key::find(&snapshot, options)?;
    let current_backup = CurrentBackup::of(&snapshot);
    let older_backups = backup::older(&logged_in, &snapshot, options);
    let account = KnownAccount {
        account_data: &snapshot.account_data,
        published: &published,
        current_backup: &current_backup,
        older_backups: &older_backups,
        trust: device.remembered.trust.as_ref(),
        remembered_backup: device.remembered.backup.as_ref(),
        made_here: &device.remembered.unstored,
        log_ins: log_ins.as_ref(),
        wishes: options.wishes(),
    };
    let bootstrap = bootstrap(&account, &key, &device)?;
    let plan = bootstrap.plan();
    let changes = !plan.is_empty();
    if !changes && !options.change.dry_run {
        change::note_warnings(global, plan);
        messages::say(if bootstrap.is_complete() {
            "everything is set up"
        } else {
            "there is nothing to change"
        });
    } else if !change::agree(global, plan, options.change)? {
        return Ok(());
    }
    if bootstrap.replaces_identity() {
        confirm_reset(&logged_in, options)?;
    }
    options.password.read_if_given()?;
    if bootstrap.replaces_identity() && options.new.chooses_passphrase() && prompt::is_possible() {
        // Homeservers ask for it then, and it must not be the passphrase: known before anything is
        // written.
        options.password.read()?;
    }
    let mut device = device.keep(&mut logged_in, &options.sealing)?;
    prepare(&logged_in, &mut device, &bootstrap)?;
    if changes {
        if let BootstrapKey::New(new) = &key {
            new_key::deliver(new, &options.new, logged_in.account.session())?;
        }
        change::apply_asking(&mut logged_in, snapshot.clear(plan), &options.password)?;
    }
    settle(&logged_in, &mut device, &bootstrap)?;
    let snapshot = logged_in.snapshot_for_opening(None, options.accept)?;
    let backup = backup_state(&snapshot, &mut device, &bootstrap, &key)?;
    let done = Done::of(&bootstrap, &snapshot, &key, &backup);
    backup::warn(&backup);
    match (report(global, &done), backup::check(backup)) {
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

/// What is published; and who is logged in, where other devices may be signed again.
fn published(
    logged_in: &LoggedIn,
    options: &Options,
) -> Result<(UserKeys, Option<LoggedInDevices>)> {
    if !options.new_signing_keys {
        return Ok((own_device::published(logged_in)?, None));
    }
    let lists = own_device::lists(logged_in)?;
    let log_ins = lists.logged_in();
    Ok((lists.keys, log_ins))
}

fn bootstrap(
    account: &KnownAccount<'_>,
    key: &BootstrapKey,
    device: &ThisDevice,
) -> Result<Bootstrap> {
    let this = device.confirmed()?;
    let sign = |object: &mut Signable| Ok::<(), Error>(device.sign(object)?);
    Bootstrap::new(account, key, &this, sign, &mut rng())
}

/// What is kept and published before the plan is carried out.
fn prepare(logged_in: &LoggedIn, device: &mut Device, bootstrap: &Bootstrap) -> Result<()> {
    let _busy = messages::busy("publishing the keys of this device");
    let prepared = device.prepare_bootstrap(&logged_in.account, bootstrap);
    Ok(logged_in.wait(prepared)?)
}

/// The local work once everything is on the homeserver.
fn settle(logged_in: &LoggedIn, device: &mut Device, bootstrap: &Bootstrap) -> Result<()> {
    let _busy = messages::busy("reading the published keys");
    let settled = logged_in.wait(device.settle_bootstrap(&logged_in.account, bootstrap));
    own_device::warn_of_alarm(device);
    Ok(settled?)
}

/// What there is of a key backup now. One that is the user's is remembered.
fn backup_state(
    snapshot: &Judged,
    device: &mut Device,
    bootstrap: &Bootstrap,
    key: &BootstrapKey,
) -> Result<BackupState> {
    let remembered = device.remembered()?.backup;
    let state = bootstrap.backup_state(snapshot, remembered.as_ref(), key.proven());
    if state.is_ours()
        && let Some(backup) = &snapshot.published_keys().backup
    {
        device.remember_backup(backup)?;
    }
    Ok(state)
}

/// The resulting state.
#[derive(Serialize)]
struct Done<'a> {
    changed: bool,
    key_id: KeyId,
    master_key: Option<String>,
    is_device_signed: bool,
    /// Whether another self-signing key can be made.
    #[serde(skip)]
    has_master_key: bool,
    /// The version of the key backup that the homeserver shows, whoever made it.
    backup_version: Option<String>,
    /// `set_up`, or why it is not: `unsigned` (it is the user's, and the master key that would sign it
    /// is not at hand), `unwanted`, `no_key`, `other_key`, `unusable_key`, `replaced`, `unreadable`,
    /// `unavailable` or `missing`.
    backup_state: &'static str,
    /// Standard secrets that are not in secret storage.
    missing: Vec<SecretName>,
    /// What else there is to know, such as a secret that does not belong to what is published.
    warnings: &'a [String],
}

impl<'a> Done<'a> {
    fn of(
        bootstrap: &'a Bootstrap,
        snapshot: &Judged,
        key: &BootstrapKey,
        backup: &BackupState,
    ) -> Self {
        let plan = bootstrap.plan();
        let published_keys = snapshot.published_keys();
        let master_key = published_keys
            .identity
            .and_then(|identity| identity.master_key().ok());
        let storage = snapshot.storage();
        let standard = SecretName::standard();
        let is_missing = |name: &SecretName| storage.open(name, key.proven().key()).is_err();
        Self {
            changed: !plan.is_empty(),
            key_id: key.proven().id().clone(),
            master_key: master_key.map(|key| key.to_base64()),
            is_device_signed: bootstrap.keys().self_signing_key().is_some(),
            has_master_key: bootstrap.keys().master_key().is_some(),
            backup_version: published_keys
                .backup
                .as_ref()
                .map(BackupVersion::version)
                .map(str::to_owned),
            backup_state: backup::name(backup),
            missing: standard.into_iter().filter(is_missing).collect(),
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

fn confirm_reset(logged_in: &LoggedIn, options: &Options) -> Result<()> {
    if options.change.yes {
        return Ok(());
    }
    let user_id = logged_in.account.user_id();
    messages::say("");
    messages::say(if options.restore_identity {
        "The published identity is replaced with the one that secret storage holds. Who verified \
         the published one sees a warning, and devices that only that one signed have to be \
         verified again."
    } else {
        "The identity is replaced. Everybody who verified you sees a warning, and all your other \
         devices have to be verified again."
    });
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
    let user_signing = SecretName::user_signing_key();
    if done.is_device_signed && done.missing.contains(&user_signing) {
        messages::hint(hints::without_signing_key(
            &user_signing,
            done.has_master_key,
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
    let message = "this device could not be signed: the self-signing key is not known";
    let error = Error::new(Exit::NotVerified, message);
    let self_signing = SecretName::self_signing_key();
    Err(error.hint(hints::without_signing_key(
        &self_signing,
        done.has_master_key,
    )))
}

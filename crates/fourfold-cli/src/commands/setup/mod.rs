//! `fourfold setup`: secret storage, the cross-signing identity, this device and the key backup.
//!
//! Every part that is there already stays; doing it twice is doing it once, and going on after an
//! interruption is doing it again. The order keeps the account usable: first the key, then what is
//! published, then the secrets, and the default key last. What must not be lost once its public half
//! is published is sealed on disk before.

mod storage;
mod work;

use clap::Args;
use fourfold::plan::{CompleteError, SignKeyBackupError};
use fourfold::{BackupVersion, KeyId, NewKey, ProvenKey, SecretName};
use fourfold_client::Device;
use serde::Serialize;

use self::work::{Reset, Work};
use crate::account::own_device::{self, ThisDevice};
use crate::account::password::PasswordOptions;
use crate::account::{LoggedIn, change};
use crate::arguments::{AcceptOptions, ChangeOptions, Global, NewKeyOptions};
use crate::error::{Error, Exit, Result};
use crate::keys::new_key;
use crate::keys::sealing_key::SealingOptions;
use crate::storage::judged::Judged;
use crate::storage::unlock;
use crate::terminal::input::KeyInput;
use crate::terminal::{messages, output, prompt};

/// Options of `setup`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Make the first key of secret storage, and nothing else
    #[arg(long, conflicts_with = "reset_identity")]
    storage_only: bool,
    /// Replace the identity of the account by a new one: everybody who verified it has to do so
    /// again. Asks for your user ID first, unless --yes is given
    #[arg(long)]
    reset_identity: bool,
    /// Make a new key backup when the homeserver does not show the one that this machine knows. What
    /// only the old one holds is lost
    #[arg(long, conflicts_with = "storage_only")]
    new_backup: bool,
    #[command(flatten)]
    new: NewKeyOptions,
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    password: PasswordOptions,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

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
        messages::say("everything is set up");
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
    if let Some(backup) = work.known_backup(&snapshot) {
        device.remember_backup(&backup)?;
    }
    report(global, &Done::of(changes, &work, &snapshot, &key))
}

/// The key that everything goes under.
enum StorageKey {
    Existing(ProvenKey),
    New(NewKey),
}

impl StorageKey {
    /// The key that is there, which must be given; or a new one when nothing is or was there.
    fn find(snapshot: &Judged, options: &Options) -> Result<Self> {
        let storage = snapshot.storage();
        if storage.is_untouched() {
            new_key::check_delivery(&options.new, options.change)?;
            return Ok(Self::New(new_key::make(&options.new)?));
        }
        let mut candidates: Vec<_> = storage.keys().collect();
        // Without a default, one of the others is what an interrupted set-up has left.
        if storage.default_key().key_id().is_some() {
            candidates.truncate(1);
        }
        let offers = options.input.offers(unlock::question(&candidates))?;
        let [offer] = offers.as_slice() else {
            return Err(Error::usage("exactly one key is needed here"));
        };
        let mut budget = unlock::budget(&options.input);
        let found = unlock::find(snapshot, offer, &candidates, &mut budget)?;
        Ok(Self::Existing(unlock::prove(snapshot, found)?))
    }

    fn proven(&self) -> &ProvenKey {
        match self {
            Self::Existing(key) => key,
            Self::New(new) => new.key(),
        }
    }
}

/// What is there in the end.
#[derive(Serialize)]
struct Done {
    changed: bool,
    key_id: KeyId,
    master_key: Option<String>,
    is_device_signed: bool,
    backup_version: Option<String>,
    /// Standard secrets that are not in secret storage.
    missing: Vec<SecretName>,
}

impl Done {
    fn of(changed: bool, work: &Work, snapshot: &Judged, key: &StorageKey) -> Self {
        let evidence = snapshot.evidence();
        let master_key = evidence
            .identity
            .and_then(|identity| identity.master_key().ok());
        let storage = snapshot.storage();
        let standard = [
            SecretName::master_key(),
            SecretName::self_signing_key(),
            SecretName::user_signing_key(),
            SecretName::backup_key(),
        ];
        let is_missing = |name: &SecretName| storage.open(name, key.proven().key()).is_err();
        Self {
            changed,
            key_id: key.proven().id().clone(),
            master_key: master_key.map(|key| key.to_base64()),
            is_device_signed: work.keys.self_signing_key().is_some(),
            backup_version: evidence
                .backup
                .as_ref()
                .map(BackupVersion::version)
                .map(str::to_owned),
            missing: standard.into_iter().filter(is_missing).collect(),
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

fn report(global: &Global, done: &Done) -> Result<()> {
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

impl From<CompleteError> for Error {
    fn from(error: CompleteError) -> Self {
        Self::new(Exit::Conflict, error).hint("fourfold status shows what is there")
    }
}

impl From<SignKeyBackupError> for Error {
    fn from(error: SignKeyBackupError) -> Self {
        Self::new(Exit::Corrupt, error)
    }
}

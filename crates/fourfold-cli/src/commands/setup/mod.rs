//! `fourfold setup`: secret storage, the cross-signing identity, this device and the key backup.
//!
//! Every part that is there already stays; doing it twice is doing it once, and going on after an
//! interruption is doing it again. The order keeps the account usable: first the key, then what is
//! published, then the secrets, and the default key last. What must not be lost once its public half
//! is published is sealed on disk before.

mod storage;
mod work;

use clap::Args;
use fourfold::{
    BackupVersion, Evidence, KeyId, NewKey, ProvenKey, SecretName, SecretStorage, Snapshot,
    Verdict,
    plan::{self, CompleteError},
};
use fourfold_client::{Device, PublishedKeys, SigningError};
use serde::Serialize;

use self::work::{Backup, Work};
use crate::{
    account::LoggedIn,
    arguments::{ChangeOptions, Global, NewKeyOptions},
    change,
    error::{Error, Exit, Result},
    new_key::{self, rng},
    output, own_device,
    password::PasswordOptions,
    prompt,
    sealing_key::SealingOptions,
    secret_input::KeyInput,
    ui, unlock,
};

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
}

/// Completes whatever is missing.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    if options.storage_only {
        return storage::run(global, &mut logged_in, &options.new, options.change);
    }
    if !options.change.dry_run {
        go_on(&mut logged_in)?;
    }
    let snapshot = logged_in.snapshot_for_change()?;
    let published = own_device::published(&logged_in)?;
    let device = own_device::existing(&mut logged_in, &options.sealing)?;
    own_device::check_is_ours(&logged_in, device.as_ref(), &published)?;
    let key = StorageKey::find(&snapshot, options)?;
    let work = Work::find(
        &snapshot,
        &published,
        device.as_ref(),
        key.proven(),
        options.reset_identity,
    )?;
    let outline = work.outline(&snapshot, &key, device.is_none())?;
    if outline.is_empty() && !options.change.dry_run {
        ui::say("everything is set up");
        return report(global, &Done::of(&work, &snapshot, &key, &published));
    }
    if !change::agree_to(global, &outline, &outline, options.change)? {
        return Ok(());
    }
    if work.replaces_identity {
        confirm_reset(&logged_in, options.change)?;
    }
    options.password.read_if_given()?;
    let mut done = carry_out(&mut logged_in, &snapshot, work, &key, device, options)?;
    done.changed = true;
    report(global, &done)
}

/// The key that everything goes under.
enum StorageKey {
    Existing(ProvenKey),
    New(NewKey),
}

impl StorageKey {
    /// The key that is there, which must be given; or a new one when nothing is or was there.
    fn find(snapshot: &Snapshot, options: &Options) -> Result<Self> {
        let storage = SecretStorage::new(&snapshot.account_data);
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
        let bounds = unlock::bounds(&options.input);
        let found = unlock::find(&storage, offer, &candidates, bounds)?;
        Ok(Self::Existing(unlock::prove(&storage, found)?))
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
    fn of(work: &Work, snapshot: &Snapshot, key: &StorageKey, published: &PublishedKeys) -> Self {
        let master_key = published.identity().master_key().ok();
        let storage = SecretStorage::new(&snapshot.account_data);
        let standard = [
            SecretName::master_key(),
            SecretName::self_signing_key(),
            SecretName::user_signing_key(),
            SecretName::backup_key(),
        ];
        let is_missing = |name: &SecretName| storage.open(name, key.proven().key()).is_err();
        Self {
            changed: false,
            key_id: key.proven().id().clone(),
            master_key: master_key.map(|key| key.to_base64()),
            is_device_signed: work.keys.self_signing_key().is_some(),
            backup_version: backup(snapshot).map(|backup| backup.version().to_owned()),
            missing: standard.into_iter().filter(is_missing).collect(),
        }
    }
}

/// Goes on with a plan that an earlier attempt has left: it was agreed to then.
fn go_on(logged_in: &mut LoggedIn) -> Result<()> {
    let done = logged_in
        .with_state(async |account, state| fourfold_client::resume(account, state, |_| {}).await)?;
    if let Some(plan) = done {
        ui::say(format_args!("done: {}", plan.title));
    }
    Ok(())
}

fn confirm_reset(logged_in: &LoggedIn, change: ChangeOptions) -> Result<()> {
    if change.yes {
        return Ok(());
    }
    let user_id = logged_in.account.user_id();
    ui::say(
        "\nThe identity is replaced. Everybody who verified you sees a warning, and all your other \
         devices have to be verified again.",
    );
    if prompt::visible("To replace it, type your user ID:")? == user_id {
        Ok(())
    } else {
        Err(Error::refused("nothing was changed"))
    }
}

fn carry_out(
    logged_in: &mut LoggedIn,
    snapshot: &Snapshot,
    work: Work,
    key: &StorageKey,
    device: Option<Device>,
    options: &Options,
) -> Result<Done> {
    let mut device = match device {
        Some(device) => device,
        None => own_device::make(logged_in, &options.sealing)?,
    };
    let secrets = work.secrets();
    device.keep_unstored(&secrets)?;
    if let StorageKey::New(new) = key {
        let plan = plan::create_key(&SecretStorage::new(&snapshot.account_data), new);
        new_key::deliver(new, &options.new, logged_in.account.session())?;
        change::apply(logged_in, &plan)?;
    }
    own_device::publish(logged_in, &mut device)?;
    if work.publishes {
        publish_identity(logged_in, &work, &device, options)?;
    }
    let published = own_device::published(logged_in)?;
    check_published(&work, &published)?;
    sign_device(logged_in, &work, &device, &published)?;
    if let Some(master) = work.keys.master_key() {
        own_device::pin(logged_in, &mut device, master)?;
    }
    let work = make_backup(logged_in, work, &device)?;

    let snapshot = logged_in.snapshot_for_change()?;
    let evidence = Evidence {
        identity: Some(published.identity().clone()),
        backup: backup(&snapshot),
    };
    let storage = SecretStorage::new(&snapshot.account_data);
    let plan = plan::complete(&storage, key.proven(), &secrets, &evidence, &mut rng())?;
    if !plan.is_empty() {
        change::apply(logged_in, &plan)?;
    }
    // From here on they are where they belong.
    device.forget_unstored()?;
    let snapshot = logged_in.snapshot()?;
    Ok(Done::of(&work, &snapshot, key, &published))
}

fn publish_identity(
    logged_in: &LoggedIn,
    work: &Work,
    device: &Device,
    options: &Options,
) -> Result<()> {
    let Some(keys) = &work.new_identity else {
        return Ok(());
    };
    let mut public = keys.clone();
    public.sign_master_key(|object| device.sign(object))?;
    options.password.try_with(|password| {
        let _busy = ui::busy("publishing the identity");
        logged_in.wait(
            logged_in
                .account
                .upload_cross_signing_keys(&public, password),
        )
    })
}

/// Nothing is signed or stored for an identity that the homeserver does not show.
fn check_published(work: &Work, published: &PublishedKeys) -> Result<()> {
    let evidence = Evidence {
        identity: Some(published.identity().clone()),
        backup: None,
    };
    for (name, secret) in work.keys.secrets() {
        match evidence.judge(&name, &secret) {
            Ok(Verdict::Matches { .. }) => {}
            other => {
                let why = match other {
                    Err(error) => error.to_string(),
                    Ok(_) => "it shows none".to_owned(),
                };
                return Err(Error::new(
                    Exit::NotVerified,
                    format!(
                        "the homeserver does not show the identity of this account: {name}: {why}"
                    ),
                )
                .hint("run fourfold setup again; nothing is lost"));
            }
        }
    }
    Ok(())
}

fn sign_device(
    logged_in: &LoggedIn,
    work: &Work,
    device: &Device,
    published: &PublishedKeys,
) -> Result<()> {
    let Some(key) = work.keys.self_signing_key() else {
        return Ok(());
    };
    let confirmed = own_device::confirm(device, published)?;
    own_device::sign(logged_in, &confirmed, key, published)?;
    Ok(())
}

fn make_backup(logged_in: &LoggedIn, mut work: Work, device: &Device) -> Result<Work> {
    let Backup::Make(new) = &mut work.backup else {
        return Ok(work);
    };
    let user_id = logged_in.account.user_id();
    if let Some(master) = work.keys.master_key() {
        new.sign(|object| master.sign(object, user_id))
            .map_err(Error::usage)?;
    }
    new.sign(|object| device.sign(object))?;
    let _busy = ui::busy("making the key backup");
    logged_in.wait(logged_in.account.create_key_backup(&new.to_content()))?;
    Ok(work)
}

fn backup(snapshot: &Snapshot) -> Option<BackupVersion> {
    snapshot.evidence().backup
}

fn report(global: &Global, done: &Done) -> Result<()> {
    for name in &done.missing {
        ui::warn(format_args!(
            "{name} is not in secret storage: another device of yours may have it"
        ));
    }
    if global.json {
        output::json(done)?;
    } else if done.is_device_signed {
        ui::say("secret storage, the identity and this device are set up");
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

impl From<SigningError> for Error {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Server(error) => error.into(),
            error => Self::new(Exit::NotVerified, error),
        }
    }
}

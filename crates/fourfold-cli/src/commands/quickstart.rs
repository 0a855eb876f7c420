//! `fourfold quickstart`: the whole story on one machine, every step checked for real.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use fourfold::{
    Evidence, NewKey, OpenError, Secret, SecretName, SecretStorage, SecretStorageKey, base64,
    plan::{self, Destination, WritingKey},
    rand_core::Rng as _,
};
use fourfold_client::{Account, Homeserver, LocalState, Password};
use fourfold_server::{Config, Server};
use zeroize::Zeroizing;

use crate::{
    commands::serve,
    error::{Error, Exit, Result},
    new_key::rng,
    output,
};

/// Options of `quickstart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Keep the server running and its data in this new folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Starts a server and plays the story against it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = match &options.keep {
        Some(folder) => {
            fs::create_dir_all(folder)?;
            folder.as_path()
        }
        None => temporary.path(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let signalled = serve::Stop::listen()?.wait();
        tokio::pin!(signalled);
        let mut config = Config::new("localhost", folder.join("server"));
        config.bind = ([127, 0, 0, 1], 0).into();
        let server = Server::bind(config).await?;
        let address = format!("http://{}", server.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let told = tokio::select! {
            told = tell(&address, folder) => told,
            () = &mut signalled => Err(Error::refused("stopped before the end of the story")),
        };
        if told.is_ok() && options.keep.is_some() {
            output::line(format_args!(
                "\nThe server goes on at {address}, with everything in {}. Try:\n\
                 \n    fourfold --state {} status\n\nCtrl-C stops it.",
                folder.display(),
                folder.join("laptop").display(),
            ))?;
            signalled.await;
        }
        drop(stop);
        running
            .await
            .map_err(|_| Error::new(Exit::Network, "the server broke down"))?;
        told
    })
}

/// A device of the story: its session and its own local state, which it shares with nobody.
struct Device {
    account: Account,
    state: LocalState,
}

impl Device {
    async fn log_in(address: &str, folder: &Path, name: &str) -> Result<Self> {
        let options = fourfold_client::Options::default();
        let homeserver = Homeserver::new(address, &options)?;
        let password = Password::new(PASSWORD);
        let session = homeserver.log_in(USER, &password, None, Some(name)).await?;
        let state = LocalState::create(&folder.join(name), &session)?;
        Ok(Self {
            account: Account::new(session, &options)?,
            state,
        })
    }

    async fn carry_out(&mut self, plan: &plan::Plan) -> Result<()> {
        for step in &plan.steps {
            output::line(format_args!(
                "      PUT {}: {}",
                step.event_type, step.reason
            ))?;
        }
        Ok(fourfold_client::apply(&self.account, &mut self.state, plan, |_| {}).await?)
    }

    /// Opens a secret with nothing but a recovery key and what the server holds now.
    async fn open(&self, name: &SecretName, recovery_key: &str) -> Result<Opening> {
        let snapshot = self.account.snapshot().await?;
        let storage = SecretStorage::new(&snapshot.account_data);
        let default = storage.default_key();
        let id = default
            .key_id()
            .ok_or_else(|| broken("there is no default key"))?;
        let description = storage.key(id).map_err(broken)?;
        let key =
            SecretStorageKey::from_recovery_key(&description, recovery_key).map_err(broken)?;
        Ok(storage.open(name, &key).map(|opened| opened.secret))
    }
}

type Opening = std::result::Result<Secret, OpenError>;

async fn tell(address: &str, folder: &Path) -> Result<()> {
    let title = |text: &str| output::line(format_args!("\n{text}"));
    let detail = |text: &str| output::line(format_args!("      {text}"));

    output::line("Fourfold keeps secrets on a server that cannot read them.")?;
    title("1. A server starts, and a user registers.")?;
    let options = fourfold_client::Options::default();
    let homeserver = Homeserver::new(address, &options)?;
    let session = homeserver
        .register(USER, &Password::new(PASSWORD), None)
        .await?;
    detail(&format!("{} at {address}", session.user_id))?;
    Account::new(session, &options)?.log_out().await?;

    title("2. The user's laptop logs in and makes a key.")?;
    let mut laptop = Device::log_in(address, folder, "laptop").await?;
    let old_key = NewKey::random(None, &mut rng());
    let snapshot = laptop.account.snapshot().await?;
    let plan = plan::set_up(&SecretStorage::new(&snapshot.account_data), &old_key)?;
    laptop.carry_out(&plan).await?;
    let old_recovery_key = old_key.key().key().expose_recovery_key();
    detail(&format!(
        "The recovery key, for paper: {}",
        *old_recovery_key
    ))?;

    title("3. It stores two secrets.")?;
    let mut backup_key = Zeroizing::new([0; 32]);
    rng().fill_bytes(backup_key.as_mut_slice());
    let secrets = [
        (
            SecretName::new("org.example.wallet").map_err(broken)?,
            Secret::new(WALLET),
        ),
        (
            SecretName::backup_key(),
            Secret::new(base64::encode(*backup_key)),
        ),
    ];
    for (name, secret) in &secrets {
        let snapshot = laptop.account.snapshot().await?;
        let storage = SecretStorage::new(&snapshot.account_data);
        let keys = [WritingKey::Proven(old_key.key())];
        let plan = plan::store(
            &storage,
            name,
            secret,
            &keys,
            &Evidence::default(),
            &mut rng(),
        )?;
        laptop.carry_out(&plan).await?;
    }

    title("4. This is what the server sees of the first one:")?;
    let seen = laptop
        .account
        .account_data(secrets[0].0.as_str())
        .await?
        .unwrap_or_default();
    detail(&seen)?;
    for (_, secret) in &secrets {
        check(
            !holds(&folder.join("server"), secret)?,
            "the server's files hold a secret in clear",
        )?;
    }
    detail("Neither secret, nor the key, is anywhere in its files: searched.")?;

    title("5. A phone logs in. All that it shares with the laptop is the recovery key.")?;
    let phone = Device::log_in(address, folder, "phone").await?;
    for (name, secret) in &secrets {
        let opened = phone.open(name, &old_recovery_key).await?.map_err(broken)?;
        check(opened.is_same(secret), "the phone opened something else")?;
        detail(&format!(
            "opened {name}: {} bytes, the same as stored",
            secret.expose_secret().len()
        ))?;
    }

    title("6. The paper got lost. The laptop rotates the key, for all secrets.")?;
    let new_key = NewKey::random(None, &mut rng());
    let snapshot = laptop.account.snapshot().await?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let destination = Destination::New(&new_key);
    let evidence = snapshot.evidence();
    let plan = plan::rotate(
        &storage,
        old_key.key().key(),
        destination,
        &evidence,
        &mut rng(),
    )?;
    laptop.carry_out(&plan).await?;
    let new_recovery_key = new_key.key().key().expose_recovery_key();
    detail(&format!("The new recovery key: {}", *new_recovery_key))?;

    title("7. The phone opens them with the new key, and the old one no longer fits.")?;
    for (name, secret) in &secrets {
        let opened = phone.open(name, &new_recovery_key).await?.map_err(broken)?;
        check(
            opened.is_same(secret),
            "the phone opened something else after the rotation",
        )?;
        let refused = phone.open(name, &old_recovery_key).await?;
        check(
            matches!(refused, Err(OpenError::WrongKey)),
            "the old recovery key was not refused",
        )?;
        detail(&format!(
            "{name}: the new key opens it, the old key does not"
        ))?;
    }
    let snapshot = phone.account.snapshot().await?;
    let status = SecretStorage::new(&snapshot.account_data);
    check(
        status.key(old_key.key().id()).is_err(),
        "the old key is still described",
    )?;
    output::line("\nEverything above was done for real, and checked.")
}

const USER: &str = "alice";
const PASSWORD: &str = "a login password, which opens no secret";
const WALLET: &str = "four folds of paper keep the words that open my wallet";

fn check(holds: bool, otherwise: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(broken(otherwise))
    }
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(
        Exit::NotVerified,
        format!("the story does not hold: {what}"),
    )
}

/// Whether any file of a folder holds a secret.
fn holds(folder: &Path, secret: &Secret) -> Result<bool> {
    let needle = secret.expose_secret().as_bytes();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if holds(&path, secret)? {
                return Ok(true);
            }
        } else if fs::read(&path)?
            .windows(needle.len())
            .any(|window| window == needle)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

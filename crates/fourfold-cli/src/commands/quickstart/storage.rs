//! The first half of the story: a key, two secrets, and what a rotation does to them.

use std::path::Path;

use fourfold::plan::{self, Destination, WritingKey};
use fourfold::rand_core::Rng as _;
use fourfold::{
    NewKey, OpenError, PublishedKeys, Secret, SecretName, SecretStorage, SecretStorageKey, base64,
};
use fourfold_client::{Account, Homeserver, LoginName, Password};
use zeroize::Zeroizing;

use super::story::{Device, PASSWORD, USER, broken, check, detail, holds, title};
use crate::error::Result;
use crate::keys::random::rng;

/// Steps 1 to 7. Returns the laptop.
pub(super) async fn tell(address: &str, folder: &Path) -> Result<Device> {
    title("1. A server starts, and a user registers.")?;
    let options = fourfold_client::Options::default();
    let homeserver = Homeserver::new(address, &options)?;
    let session = homeserver
        .register(&LoginName::new(USER)?, &Password::new(PASSWORD), None)
        .await?;
    detail(format_args!("{} at {address}", session.user_id))?;
    Account::new(session, &options)?.log_out().await?;

    title("2. The user's laptop logs in and makes a key.")?;
    let mut laptop = Device::log_in(address, folder, "laptop").await?;
    let old_key = NewKey::random(None, &mut rng());
    let snapshot = laptop.account.snapshot().await?;
    let plan = plan::set_up(&SecretStorage::new(&snapshot.account_data), &old_key)?;
    laptop.carry_out(&plan).await?;
    let old_recovery_key = old_key.key().key().expose_recovery_key();
    detail(format_args!(
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
            &PublishedKeys::default(),
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
        let opened = open(&phone, name, &old_recovery_key)
            .await?
            .map_err(broken)?;
        check(opened.is_same(secret), "the phone opened something else")?;
        detail(format_args!(
            "opened {name}: {} bytes, the same as stored",
            secret.expose_secret().len()
        ))?;
    }

    title("6. The paper got lost. The laptop rotates the key, for all secrets.")?;
    let new_key = NewKey::random(None, &mut rng());
    let snapshot = laptop.account.snapshot().await?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let destination = Destination::New(&new_key);
    let published_keys = snapshot.published_keys();
    let plan = plan::rotate(
        &storage,
        old_key.key().key(),
        destination,
        &published_keys,
        &mut rng(),
    )?;
    laptop.carry_out(&plan).await?;
    let new_recovery_key = new_key.key().key().expose_recovery_key();
    detail(format_args!("The new recovery key: {}", *new_recovery_key))?;

    title("7. The phone opens them with the new key, and the old one no longer works.")?;
    for (name, secret) in &secrets {
        let opened = open(&phone, name, &new_recovery_key)
            .await?
            .map_err(broken)?;
        check(
            opened.is_same(secret),
            "the phone opened something else after the rotation",
        )?;
        let refused = open(&phone, name, &old_recovery_key).await?;
        check(
            matches!(refused, Err(OpenError::WrongKey)),
            "the old recovery key was not refused",
        )?;
        detail(format_args!(
            "{name}: the new key opens it, the old key does not"
        ))?;
    }
    let snapshot = phone.account.snapshot().await?;
    let status = SecretStorage::new(&snapshot.account_data);
    check(
        status.key(old_key.key().id()).is_err(),
        "the old key is still described",
    )?;
    Ok(laptop)
}

/// Opens a secret with nothing but a recovery key and what the server holds now.
async fn open(device: &Device, name: &SecretName, recovery_key: &str) -> Result<Opening> {
    let snapshot = device.account.snapshot().await?;
    let storage = SecretStorage::new(&snapshot.account_data);
    let default = storage.default_key();
    let id = default
        .key_id()
        .ok_or_else(|| broken("there is no default key"))?;
    let description = storage.key(id).map_err(broken)?;
    let key = SecretStorageKey::from_recovery_key(&description, recovery_key).map_err(broken)?;
    Ok(storage.open(name, &key).map(|opened| opened.secret))
}

type Opening = std::result::Result<Secret, OpenError>;

const WALLET: &str = "four folds of paper keep the words that open my wallet";

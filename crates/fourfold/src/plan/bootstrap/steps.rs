//! The order in which an account is set up.

use rand_core::CryptoRng;

use super::error::BootstrapError;
use super::key::BootstrapKey;
use super::known::KnownAccount;
use crate::backup::{CopyFrom, KeyCopy};
use crate::cross_signing::{ConfirmedDevice, KnownKeys};
use crate::identity::PublicKeys;
use crate::plan::device::{publish_device, sign_device};
use crate::plan::identity::publish_identity;
use crate::plan::key::create_key;
use crate::plan::key_backup::{create_beside, renew_key_backup, sign_key_backup};
use crate::plan::standard::complete;
use crate::{
    BackupVersion, NewKeyBackup, Plan, ProvenKey, PublishedIdentity, PublishedKeys, Secret,
    SecretName, SecretState, SecretStorage,
};

/// The work to do, with everything that it needs.
pub(super) struct Work {
    /// The private keys of the identity, as far as they are known.
    pub(super) keys: KnownKeys,
    /// The keys of them to publish.
    pub(super) new_identity: Option<PublicKeys>,
    pub(super) backup: Backup,
}

/// The key backup.
pub(super) enum Backup {
    /// There is one, and its private key is known here and perhaps not stored yet.
    Known(Secret),
    /// There is none, or one that is replaced: this one is made.
    Make(NewKeyBackup),
    /// The user wants none.
    Unwanted,
    /// There is one that nothing shows to be the user's.
    Unknown,
}

impl Backup {
    pub(super) fn private_key(&self) -> Option<Secret> {
        match self {
            Self::Known(secret) => Some(Secret::new(secret.expose_secret())),
            Self::Make(new) => Some(new.secret()),
            Self::Unwanted | Self::Unknown => None,
        }
    }
}

/// All of it. Each step is planned on what the steps before it make of the account.
pub(super) fn plan(
    account: &KnownAccount<'_>,
    key: &BootstrapKey,
    device: &ConfirmedDevice,
    work: &Work,
    rng: &mut impl CryptoRng,
) -> Result<Plan, BootstrapError> {
    let user_id = account.published.user_id();
    let mut account_data = account.account_data.clone();
    let mut plans = Vec::new();
    if let BootstrapKey::New(new) = key {
        let plan = create_key(&SecretStorage::new(&account_data), new);
        plan.apply_to(&mut account_data);
        plans.push(plan);
    }
    let mut published = account.published.clone();
    // Before it is signed: a server that gets the keys of a device again after they were signed may
    // keep them without the signature.
    plans.push(publish_device(&published, device)?);
    if let Some(public) = &work.new_identity {
        plans.push(publish_identity(user_id, published.identity(), public));
        published = published.with_identity(PublishedIdentity::of(user_id, public));
    }
    if let Some(key) = work.keys.self_signing_key() {
        plans.push(sign_device(&published, device, key)?);
    }
    let mut published_keys = PublishedKeys {
        identity: Some(published.identity().clone()),
        backup: account.current_backup.usable().cloned(),
    };
    let backup = for_backup(
        account,
        &SecretStorage::new(&account_data),
        key.proven(),
        work,
        &mut published_keys,
        rng,
    )?;
    backup.apply_to(&mut account_data);
    plans.push(backup);
    let mut secrets = work.keys.secrets();
    let backup_key = work.backup.private_key();
    secrets.extend(backup_key.map(|key| (SecretName::backup_key(), key)));
    plans.push(complete(
        &SecretStorage::new(&account_data),
        key.proven(),
        &secrets,
        &published_keys,
        rng,
    )?);
    Ok(Plan::of(
        "set up secret storage, the identity and this device",
        plans,
    ))
}

/// The key backup; `published_keys` becomes what is published when it is done.
fn for_backup(
    account: &KnownAccount<'_>,
    storage: &SecretStorage<'_>,
    key: &ProvenKey,
    work: &Work,
    published_keys: &mut PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, BootstrapError> {
    match (&work.backup, work.keys.master_key(), &published_keys.backup) {
        (Backup::Make(new), ..) => {
            let mut answer = new.to_content();
            answer.insert("version", "new");
            published_keys.backup = BackupVersion::from_json(&answer.to_json()).ok();
            let name = SecretName::backup_key();
            let made_here = account.made_here.iter().filter(|(of, _)| *of == name);
            // What an interrupted attempt made for a version that was never created is no use.
            let (current, older) = (account.current_backup, account.older_backups);
            let versions: Vec<_> = current.usable().into_iter().chain(older).collect();
            let held: Vec<_> = made_here
                .filter_map(|(_, value)| KeyCopy::of(value, CopyFrom::ThisMachine))
                .filter(|copy| versions.iter().any(|version| copy.key.is_key_of(version)))
                .collect();
            if held.is_empty() && matches!(storage.secret(&name), SecretState::Absent) {
                // There is none to lose: its private key is stored with the other secrets.
                return Ok(create_beside(current, new));
            }
            Ok(renew_key_backup(
                storage,
                current,
                older,
                new,
                &[key],
                &held,
                rng,
            )?)
        }
        (Backup::Known(secret), Some(master), Some(current)) => {
            let user_id = account.published.user_id();
            Ok(sign_key_backup(current, secret, user_id, master)?)
        }
        _ => Ok(Plan::of("leave the key backup as it is", [])),
    }
}

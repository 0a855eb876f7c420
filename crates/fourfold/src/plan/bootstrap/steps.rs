//! The order in which an account is set up.

use rand_core::CryptoRng;

use super::error::BootstrapError;
use super::key::BootstrapKey;
use super::known::KnownAccount;
use super::signatures::{SELF_SIGNING, SignedBefore, USER_SIGNING, replaced_keys};
use crate::backup::{CopyFrom, KeyCopy};
use crate::cross_signing::{ConfirmedDevice, KnownKeys};
use crate::identity::PublicKeys;
use crate::plan::device::{publish_device, sign_device};
use crate::plan::identity::publish_identity;
use crate::plan::key::{change_default, create_key};
use crate::plan::key_backup::{create_beside, renew_key_backup, sign_key_backup};
use crate::plan::standard::{Others, complete_beside};
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
    let mut renewed = Vec::new();
    if let Some(public) = &work.new_identity {
        let identity = PublishedIdentity::of(user_id, public);
        let replaced = replaced_keys(account, &identity);
        let mut publish = publish_identity(user_id, published.identity(), public);
        if replaced.contains(&SELF_SIGNING) {
            let signed = SignedBefore::of(account, device.device_id());
            publish.warnings.extend(words_of(&signed));
            renewed = signed.renewed;
        }
        say_what_is_replaced(&mut publish, &replaced);
        plans.push(publish);
        published = published.with_identity(identity);
    }
    if let Some(key) = work.keys.self_signing_key() {
        plans.push(sign_device(&published, device, key)?);
        for other in &renewed {
            plans.push(sign_device(&published, other, key)?);
        }
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
    let gives_up_key = account.gives_up_key(key);
    let others = if gives_up_key {
        Others::Kept
    } else {
        Others::Removed
    };
    let stored = complete_beside(
        &SecretStorage::new(&account_data),
        key.proven(),
        &secrets,
        &published_keys,
        others,
        rng,
    )?;
    stored.apply_to(&mut account_data);
    plans.push(stored);
    if gives_up_key {
        plans.push(give_up_key(
            &SecretStorage::new(&account_data),
            key.proven(),
        )?);
    }
    Ok(Plan::of(
        "set up secret storage, the identity and this device",
        plans,
    ))
}

/// What takes the place of a published key under the same master key.
fn say_what_is_replaced(publish: &mut Plan, replaced: &[&'static str]) {
    let (Some(step), [_, ..]) = (publish.steps.first_mut(), replaced) else {
        return;
    };
    let plural = if replaced.len() == 1 { "" } else { "s" };
    step.reason = format!(
        "publish a new {} key{plural}, signed by the same master key",
        replaced.join(" and a new ")
    );
    if replaced.contains(&USER_SIGNING) {
        publish.warn(
            "with a new user-signing key, verify the other users again that you verified before; \
             nobody has to verify you again",
        );
    }
}

fn words_of(signed: &SignedBefore) -> Vec<String> {
    let mut words = vec![
        "with a new self-signing key your devices are signed again; nobody has to verify you \
         again; another device that still has the former private key could send it instead"
            .to_owned(),
    ];
    if !signed.left_out.is_empty() {
        words.push(format!(
            "these devices are not signed again, because they are not known well enough here; \
             verify each of them: {}",
            signed.left_out.join(", ")
        ));
    }
    words
}

/// The default key becomes another one, because the former one is lost. What only that one opens stays.
fn give_up_key(storage: &SecretStorage<'_>, key: &ProvenKey) -> Result<Plan, BootstrapError> {
    let mut plan = change_default(storage, key)?;
    plan.warn(
        "secret storage gets a new key; what only the former keys open stays as it is, and opens \
         again if one of them is found",
    );
    Ok(plan)
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

//! The plan of one repair.

use rand_core::CryptoRng;

use super::account::Account;
use super::checks::remembered_description;
use super::repair::Remedy;
use crate::backup::CurrentBackup;
use crate::cross_signing::{KnownKeys, LearnError};
use crate::plan::{
    AddCopyError, AddKeyError, BackupKeyError, ChangeDefaultError, DescribeError, RemoveKeyError,
    SignKeyBackupError, TakeKeyAwayError,
};
use crate::storage::NotProvenReason;
use crate::{
    AccountData, KeyId, NewKeyBackup, Plan, ProvenKey, Secret, SecretName, SecretStorage,
    SecretStorageKey, plan,
};

/// Plans one repair on the account data that the repairs before it leave.
pub(in crate::health) fn draft(
    account: &Account<'_>,
    account_data: &AccountData,
    remedy: &Remedy,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let storage = SecretStorage::new(account_data);
    let published = &account.published;
    match remedy {
        Remedy::RestoreDescription(id) => {
            let remembered =
                remembered_description(account, id).ok_or(DraftError::NothingRemembered)?;
            Ok(plan::restore_description(&storage, id, &remembered)?)
        }
        Remedy::DescribeAgain(id) | Remedy::AddKeyCheck(id) => {
            let key = at_hand(account, id)?;
            Ok(plan::describe_again(&storage, key, rng)?)
        }
        Remedy::Rewrap { name, from, to } => {
            let (from, to) = (at_hand(account, from)?, proven(account, &storage, to)?);
            Ok(plan::add_key(&storage, name, from, &to, published, rng)?)
        }
        Remedy::StoreHeld(name) => store_held(account, &storage, name, rng),
        Remedy::Rewrite(name) => rewrite(account, account_data, name, rng),
        Remedy::ReplaceCopies(name) => replace_copies(account, account_data, name, rng),
        Remedy::MakeDefault(id) => {
            let key = proven(account, &storage, id)?;
            Ok(plan::change_default(&storage, &key)?)
        }
        Remedy::AlignBackupFlags => Ok(plan::align_backup_flags(&storage)),
        Remedy::SignBackup => sign_backup(account),
        Remedy::RestoreBackupKey => restore_backup_key(account, &storage, rng),
        Remedy::NewBackup => new_backup(account, &storage, rng),
        Remedy::WithdrawEntry { name, key_id } => {
            let other = account.good_copy(name).filter(|id| *id != key_id);
            let remaining = at_hand(account, other.ok_or(DraftError::NoOtherCopy)?)?;
            Ok(plan::take_key_away(
                &storage, name, key_id, remaining, published,
            )?)
        }
        Remedy::RetireKey(id) => {
            let remaining: Vec<_> = account.keys_at_hand().collect();
            Ok(plan::remove_key(&storage, id, &remaining, published)?)
        }
        _ => Err(DraftError::NotAPlan),
    }
}

/// Stores what this machine holds under the default key.
fn store_held(
    account: &Account<'_>,
    storage: &SecretStorage<'_>,
    name: &SecretName,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let published = &account.published;
    let held = account.held(name);
    let secret = held.ok_or_else(|| DraftError::NoSecret(name.clone()))?;
    let default = storage.default_key();
    let id = default.key_id().ok_or(DraftError::NoDefaultKey)?;
    let key = proven(account, storage, id)?;
    Ok(plan::add_copy(storage, name, secret, &key, published, rng)?)
}

/// Writes each copy at hand that is right again, with the value that it has.
fn rewrite(
    account: &Account<'_>,
    account_data: &AccountData,
    name: &SecretName,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let right = account.open_copies(name);
    let right = right.filter(|(_, copy)| copy.judge(name, &account.published).is_ok());
    let values = right.map(|(id, copy)| (id, &copy.secret));
    write_copies(account, account_data, name, values, rng)
}

/// Writes the value that matches what is published under every key at hand that has a copy.
fn replace_copies(
    account: &Account<'_>,
    account_data: &AccountData,
    name: &SecretName,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let right = account.matching_copy(name).ok_or(DraftError::NoOtherCopy)?;
    let values = account.open_copies(name).map(|(id, _)| (id, right));
    write_copies(account, account_data, name, values, rng)
}

fn write_copies<'a>(
    account: &Account<'_>,
    account_data: &AccountData,
    name: &SecretName,
    values: impl Iterator<Item = (&'a KeyId, &'a Secret)>,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let mut account_data = account_data.clone();
    let mut plans = Vec::new();
    for (id, value) in values {
        let storage = SecretStorage::new(&account_data);
        let key = proven(account, &storage, id)?;
        let plan = plan::add_copy(&storage, name, value, &key, &account.published, rng)?;
        plan.apply_to(&mut account_data);
        plans.push(plan);
    }
    Ok(Plan::of(format!("write {name} again"), plans))
}

fn sign_backup(account: &Account<'_>) -> Result<Plan, DraftError> {
    let published = &account.published;
    let version = account.backup.version().ok_or(DraftError::NoKeyBackup)?;
    let secret = |name: &SecretName| {
        let mut copies = account.open_copies(name);
        let good = account.good_copy(name);
        let copy = copies.find(|(key, _)| Some(*key) == good);
        let missing = || DraftError::NoSecret(name.clone());
        copy.map(|(_, copy)| &copy.secret).ok_or_else(missing)
    };
    let (backup_key, master_key) = (SecretName::backup_key(), SecretName::master_key());
    let private_key = secret(&backup_key)?;
    let master = secret(&master_key)?;
    let mut known = KnownKeys::default();
    known.learn(&master_key, master, published)?;
    let master = known.master_key().ok_or(DraftError::NoSecret(master_key))?;
    let user_id = &account.evidence.snapshot.user_id;
    Ok(plan::sign_key_backup(
        version,
        private_key,
        user_id,
        master,
    )?)
}

/// Puts the private key of the current version back, from where a copy of it lies.
fn restore_backup_key(
    account: &Account<'_>,
    storage: &SecretStorage<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let version = account.backup.version().ok_or(DraftError::NoKeyBackup)?;
    let name = SecretName::backup_key();
    let key = account.fitting_backup_key();
    let key = key.ok_or(DraftError::NoSecret(name))?;
    let keys = writing_keys(account, storage)?;
    let keys: Vec<_> = keys.iter().collect();
    let older = account.older_versions();
    Ok(plan::restore_backup_key(
        storage, version, &older, &key, &keys, rng,
    )?)
}

/// A new version beside the others, signed by the master key where that is at hand.
fn new_backup(
    account: &Account<'_>,
    storage: &SecretStorage<'_>,
    rng: &mut impl CryptoRng,
) -> Result<Plan, DraftError> {
    let keys = writing_keys(account, storage)?;
    let keys: Vec<_> = keys.iter().collect();
    let mut new = NewKeyBackup::random(rng);
    let mut known = KnownKeys::default();
    if let Some(master) = account.matching_copy(&SecretName::master_key()) {
        known.learn(&SecretName::master_key(), master, &account.published)?;
    }
    if let Some(master) = known.master_key() {
        let user_id = &account.evidence.snapshot.user_id;
        new.sign(|object| master.sign(object, user_id))
            .map_err(SignKeyBackupError::from)?;
    }
    let current = CurrentBackup::of(account.evidence.snapshot);
    let older = account.older_versions();
    let mut plan = plan::renew_key_backup(
        storage,
        &current,
        &older,
        &new,
        &keys,
        &account.held_backup_keys(),
        rng,
    )?;
    if known.master_key().is_none() {
        plan.warnings.push(NewKeyBackup::UNSIGNED.to_owned());
    }
    Ok(plan)
}

/// The default key first, and every other one at hand that may write.
fn writing_keys(
    account: &Account<'_>,
    storage: &SecretStorage<'_>,
) -> Result<Vec<ProvenKey>, DraftError> {
    let default = storage.default_key();
    let id = default.key_id().ok_or(DraftError::NoDefaultKey)?;
    let mut keys = vec![proven(account, storage, id)?];
    for key in account.keys_at_hand().filter(|key| key.id() != id) {
        let is_there = keys.iter().any(|one| one.id() == key.id());
        let is_used = storage.is_encrypted_under(&SecretName::backup_key(), key.id());
        if !is_there
            && is_used
            && let Ok(key) = storage.prove(key.duplicate())
        {
            keys.push(key);
        }
    }
    Ok(keys)
}

fn at_hand<'a>(account: &Account<'a>, id: &KeyId) -> Result<&'a SecretStorageKey, DraftError> {
    let mut keys = account.keys_at_hand();
    keys.find(|key| key.id() == id)
        .ok_or_else(|| DraftError::NoKey(id.clone()))
}

/// The key, proven on what the account is by then.
fn proven(
    account: &Account<'_>,
    storage: &SecretStorage<'_>,
    id: &KeyId,
) -> Result<ProvenKey, DraftError> {
    let key = at_hand(account, id)?.duplicate();
    let proven = storage.prove(key);
    Ok(proven.map_err(|error| error.reason)?)
}

/// Why a repair is not drafted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DraftError {
    /// No default key is named under which a secret could be stored.
    #[error("there is no default key; choose one first")]
    NoDefaultKey,
    /// This key of secret storage is needed and was not offered.
    #[error("the key {0} is needed")]
    NoKey(KeyId),
    /// There is no version of the key backup that can be read.
    #[error("there is no key backup that can be read")]
    NoKeyBackup,
    /// No other copy of the secret opens and matches what is published.
    #[error("no other copy opens that matches what is published")]
    NoOtherCopy,
    /// This secret is needed: neither secret storage nor this machine has a value that is right.
    #[error("the secret {0} is needed")]
    NoSecret(SecretName),
    /// It is more than a change of account data.
    #[error("more than account data must be changed; use the command for it")]
    NotAPlan,
    /// Neither an earlier snapshot nor this machine has the description of the key.
    #[error("no earlier description of the key is known")]
    NothingRemembered,
    /// A copy is not written.
    #[error(transparent)]
    AddCopy(#[from] AddCopyError),
    /// A secret is not encrypted under a further key.
    #[error(transparent)]
    AddKey(#[from] AddKeyError),
    /// A private key of the key backup is not stored.
    #[error(transparent)]
    BackupKey(#[from] BackupKeyError),
    /// A key is not made the default.
    #[error(transparent)]
    ChangeDefault(#[from] ChangeDefaultError),
    /// A key is not described.
    #[error(transparent)]
    Describe(#[from] DescribeError),
    /// A private key is not the one that is published.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// Nothing shows that a key is the right one.
    #[error(transparent)]
    NotProven(#[from] NotProvenReason),
    /// A key is not removed.
    #[error(transparent)]
    RemoveKey(#[from] RemoveKeyError),
    /// The key backup is not signed.
    #[error(transparent)]
    SignKeyBackup(#[from] SignKeyBackupError),
    /// A copy is not taken away.
    #[error(transparent)]
    TakeKeyAway(#[from] TakeKeyAwayError),
}

crate::error_code::error_codes! {
    DraftError:
    Self::NoDefaultKey { .. } => "draft_no_default_key",
    Self::NoKey { .. } => "draft_no_key",
    Self::NoKeyBackup { .. } => "draft_no_key_backup",
    Self::NoOtherCopy { .. } => "draft_no_other_copy",
    Self::NoSecret { .. } => "draft_no_secret",
    Self::NotAPlan { .. } => "draft_not_a_plan",
    Self::NothingRemembered { .. } => "draft_nothing_remembered",
    ;
    Self::AddCopy(error) => error,
    Self::AddKey(error) => error,
    Self::BackupKey(error) => error,
    Self::ChangeDefault(error) => error,
    Self::Describe(error) => error,
    Self::Learn(error) => error,
    Self::NotProven(error) => error,
    Self::RemoveKey(error) => error,
    Self::SignKeyBackup(error) => error,
    Self::TakeKeyAway(error) => error,
}

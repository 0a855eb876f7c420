//! Ways to get a secret to where it belongs, the safest first.

use crate::health::account::Account;
use crate::health::repair::{Remedy, Repair, Requirement, Risk};
use crate::secret_kind::is_same_value;
use crate::{Algorithm, KeyDescription, KeyId, Secret, SecretKind, SecretName};

/// Ways to have a secret encrypted under the default key: from a copy that opens, from a copy under a
/// key that is not at hand, from this machine, from another device, from an older snapshot.
pub(super) fn ways_to_store(account: &Account<'_>, name: &SecretName) -> Vec<Repair> {
    let mut ways = Vec::new();
    let to = account.named_default();
    let to = to.filter(|id| account.description(id).is_some_and(is_writable));
    if let Some(to) = to {
        ways.extend(ways_to_rewrap(account, name, to));
    }
    if *name == SecretName::backup_key() && account.fitting_backup_key().is_some() {
        ways.push(with_default(account, Repair::new(Remedy::RestoreBackupKey)));
    }
    let held = account.held(name);
    if let Some(held) = held {
        let mut store = Repair::new(Remedy::StoreHeld(name.clone()));
        if would_replace(account, name, held) {
            store.risk = Risk::Consent;
        }
        ways.push(with_default(account, store));
    }
    let request = Repair::new(Remedy::Request(name.clone())).needs(Requirement::Device);
    ways.push(with_default(account, request));
    let other = Repair::new(Remedy::StoreHeld(name.clone())).needs(Requirement::OtherCopy);
    if held.is_none() {
        ways.push(with_default(account, other));
    }
    ways
}

/// The same for a secret of the identity; a key that the master key signs can be made anew with it.
pub(super) fn ways_to_store_or_renew(account: &Account<'_>, name: &SecretName) -> Vec<Repair> {
    let mut ways = ways_to_store(account, name);
    let master = SecretName::master_key();
    if *name != master && account.matching_copy(&master).is_some() {
        let renew = Repair::new(Remedy::NewSigningKey(name.clone()));
        ways.push(renew.needs(Requirement::Password));
    }
    ways
}

/// Whether a value is gone that may be needed when this one is stored. Of a key of the identity only
/// the published one is; but a former key of the backup still opens its older version, and of the
/// secrets of other programs nobody knows which value is right.
fn would_replace(account: &Account<'_>, name: &SecretName, held: &Secret) -> bool {
    let kind = SecretKind::of(name);
    let is_compared = !matches!(kind, SecretKind::BackupKey | SecretKind::Other);
    let mut copies = account.open_copies(name);
    !is_compared && copies.any(|(_, copy)| !is_same_value(name, held, &copy.secret))
}

/// Ways to have a secret encrypted under a key too, from its other copies. A copy that opens and fits
/// is the only one that is taken while there is one.
fn ways_to_rewrap(account: &Account<'_>, name: &SecretName, to: &KeyId) -> Vec<Repair> {
    let rewrap = |from: &KeyId| {
        let repair = Repair::new(Remedy::Rewrap {
            name: name.clone(),
            from: from.clone(),
            to: to.clone(),
        });
        if account.has_proven(to) {
            repair
        } else {
            repair.needs(Requirement::Key(to.clone()))
        }
    };
    if let Some(from) = account.good_copy(name).filter(|from| *from != to) {
        return vec![rewrap(from)];
    }
    let at_hand: Vec<_> = account.copies(name).map(|(id, _)| id).collect();
    let others = account.secrets.get(name).into_iter();
    others
        .flat_map(|secret| secret.key_ids())
        .filter(|id| *id != to && !at_hand.contains(id))
        .take(MAX_WAYS)
        .map(|from| rewrap(from).needs(Requirement::Key(from.clone())))
        .collect()
}

/// What is stored anew is stored under the default key.
pub(super) fn with_default(account: &Account<'_>, repair: Repair) -> Repair {
    match account.named_default() {
        Some(id) if !account.has_proven(id) => repair.needs(Requirement::Key(id.clone())),
        _ => repair,
    }
}

fn is_writable(description: &KeyDescription) -> bool {
    description.algorithm() == Some(Algorithm::AesHmacSha2)
}

/// As many keys as anybody has.
const MAX_WAYS: usize = 4;

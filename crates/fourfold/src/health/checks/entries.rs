//! The encrypted copies of secrets.

use super::ways::ways_to_store;
use crate::algorithm::aes_hmac_sha2;
use crate::algorithm::{OpenEntryError, curve25519_aes_sha2};
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::key::is_passthrough;
use crate::{Algorithm, EncryptedSecret, KeyId, OpenError};

pub(super) const ENTRY_KEY_UNDESCRIBED: Condition = Condition {
    code: "entry-key-undescribed",
    severities: &[Severity::Warning, Severity::Error],
    needs: &[],
    what: "A copy of a secret is encrypted under a key that is not described.",
    cause: "The key was removed, and the copy stayed.",
    repair: "If there is another copy, remove this one. Otherwise the right key still opens it, \
             and is described again.",
    cost: "Those who have only the old key can no longer open the secret.",
    check: entry_key_undescribed,
};

fn entry_key_undescribed(account: &Account<'_>, found: &mut Findings<'_>) {
    for (name, secret) in &account.secrets {
        let is_described = |id: &&KeyId| account.description(id).is_some();
        let has_other = secret.key_ids().any(|id| is_described(&id));
        for id in secret.key_ids().filter(|id| !is_described(id)) {
            // The default key has a condition of its own, and one that is damaged too.
            if account.named_default() == Some(id) || is_damaged(account, id) {
                continue;
            }
            let message = format!(
                "{} has a copy under {}, which is not described",
                shown(name),
                shown(id)
            );
            let finding = found.finding(Subject::entry(name, id), message);
            found.add(if has_other {
                let name = name.clone();
                let key_id = id.clone();
                let repair = Repair::new(Remedy::WithdrawEntry { name, key_id });
                finding.repair(repair)
            } else {
                let again = Repair::new(Remedy::DescribeAgain(id.clone()));
                let again = if account.is_certain(id) {
                    again
                } else {
                    again.needs(Requirement::Key(id.clone()))
                };
                let ways = ways_to_store(account, name);
                finding
                    .severity(Severity::Error)
                    .repairs(ways)
                    .repair(again)
            });
        }
    }
}

pub(super) const ENTRY_DOES_NOT_OPEN: Condition = Condition {
    code: "entry-does-not-open",
    severities: &[Severity::Error],
    needs: &[Need::Key],
    what: "The key is certainly the right one, and a copy of a secret does not open with it.",
    cause: "A client with a stale key wrote the copy, or it was changed.",
    repair: "Take the secret from another copy: under another key, on this machine, on another \
             device.",
    cost: "Nothing.",
    check: entry_does_not_open,
};

fn entry_does_not_open(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in account.secrets.keys() {
        for (id, copy) in account.copies(name) {
            let Err(OpenError::Entry(error)) = copy else {
                continue;
            };
            // What is malformed is found without a key.
            if matches!(error, OpenEntryError::Malformed { .. }) || !account.is_certain(id) {
                continue;
            }
            let message = format!("{} does not open under {}: {error}", shown(name), shown(id));
            let finding = found.finding(Subject::entry(name, id), message);
            let finding = finding.detail("error", error.code());
            found.add(finding.repairs(ways_to_store(account, name)));
        }
    }
}

pub(super) const SECRET_PASSTHROUGH: Condition = Condition {
    code: "secret-passthrough",
    severities: &[Severity::Warning],
    needs: &[],
    what: "An entry says that the secret is the key of secret storage itself, as clients wrote in \
           2019.",
    cause: "The account was set up in 2019. Anybody who can write account data can write this, \
            too.",
    repair: "Migrate to a key of the current algorithm.",
    cost: "A new recovery key.",
    check: secret_passthrough,
};

fn secret_passthrough(account: &Account<'_>, found: &mut Findings<'_>) {
    for (name, secret) in &account.secrets {
        for id in secret.key_ids() {
            if matches!(secret.entry(id), Some(Ok(entry)) if is_passthrough(entry)) {
                let message = format!(
                    "{} says that it is the key {} itself",
                    shown(name),
                    shown(id)
                );
                let repair = Repair::new(Remedy::Migrate(id.clone()));
                let repair = repair.needs(Requirement::Key(id.clone()));
                found.add(
                    found
                        .finding(Subject::entry(name, id), message)
                        .repair(repair),
                );
            }
        }
    }
}

pub(super) const ENTRY_UNDER_RETIRED_KEY: Condition = Condition {
    code: "entry-under-retired-key",
    severities: &[Severity::Warning],
    needs: &[Need::Baseline],
    what: "A copy is encrypted under a key that was the default and was replaced: whoever has it \
           still opens it.",
    cause: "The key was replaced by a client that keeps the copies under the old one.",
    repair: "Remove the copy once another key opens the secret.",
    cost: "The old key no longer opens the secret. Copies that the server keeps cannot be \
           recalled.",
    check: entry_under_retired_key,
};

fn entry_under_retired_key(account: &Account<'_>, found: &mut Findings<'_>) {
    let baseline = account
        .evidence
        .baseline
        .map(|old| old.storage().default_key());
    let retired: Vec<&KeyId> = baseline
        .iter()
        .filter_map(crate::DefaultKey::key_id)
        .filter(|id| account.named_default().is_some_and(|now| now != *id))
        .collect();
    for (name, id) in account.entries().filter(|(_, id)| retired.contains(id)) {
        let message = format!(
            "{} is still encrypted under {}, which was replaced",
            shown(name),
            shown(id)
        );
        let repair = Repair::new(Remedy::WithdrawEntry {
            name: name.clone(),
            key_id: id.clone(),
        });
        found.add(
            found
                .finding(Subject::entry(name, id), message)
                .repair(repair),
        );
    }
}

/// What is wrong with an entry that can be seen without the key.
pub(super) fn problem(
    secret: &EncryptedSecret,
    id: &KeyId,
    algorithm: Algorithm,
) -> Option<String> {
    let entry = match secret.entry(id)? {
        Ok(entry) => entry,
        Err(error) => return Some(format!("the entry {error}")),
    };
    // That has a condition of its own.
    if is_passthrough(entry) {
        return None;
    }
    let error = match algorithm {
        Algorithm::AesHmacSha2 => aes_hmac_sha2::Entry::from_content(entry).err(),
        Algorithm::Curve25519AesSha2 => curve25519_aes_sha2::Entry::from_content(entry).err(),
    };
    error.map(|error| error.to_string())
}

/// Whether there is a description that cannot be read.
fn is_damaged(account: &Account<'_>, id: &KeyId) -> bool {
    use crate::KeyDescriptionError::{Content, MissingAlgorithm};
    matches!(
        account.keys.get(id),
        Some(Err(Content(_) | MissingAlgorithm))
    )
}

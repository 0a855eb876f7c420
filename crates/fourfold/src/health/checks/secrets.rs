//! Which secrets there are, and whether they are where clients look for them.

use super::ways::{ways_to_store, ways_to_store_or_renew};
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::{Algorithm, SecretKind, SecretName, SecretState};

pub(super) const SECRET_MISSING: Condition = Condition {
    code: "secret-missing",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "The public half of a standard secret is published, and the secret is not stored.",
    cause: "A client created the key and did not store it, as old clients did with the master key.",
    repair: "Store it from this machine, or ask another device for it.",
    cost: "Nothing.",
    check: secret_missing,
};

fn secret_missing(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in cross_signing_published(account) {
        if matches!(account.storage.secret(&name), SecretState::Absent) {
            let message = format!("{name} is published and not stored");
            let finding = found.finding(Subject::secret(&name), message);
            found.add(finding.repairs(ways_to_store_or_renew(account, &name)));
        }
    }
}

pub(super) const SECRET_EMPTIED: Condition = Condition {
    code: "secret-emptied",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "The public half of a standard secret is published, and what was stored was emptied.",
    cause: "Another client switched key storage off, or a reset was interrupted.",
    repair: "Store it from this machine, or ask another device for it.",
    cost: "Nothing.",
    check: secret_emptied,
};

fn secret_emptied(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in cross_signing_published(account) {
        if is_emptied(&account.storage.secret(&name)) {
            let message = format!("{name} is published and was emptied");
            let finding = found.finding(Subject::secret(&name), message);
            found.add(finding.repairs(ways_to_store_or_renew(account, &name)));
        }
    }
}

pub(super) const SECRET_NOT_UNDER_DEFAULT: Condition = Condition {
    code: "secret-not-under-default",
    severities: &[Severity::Error],
    needs: &[],
    what: "A standard secret is encrypted, but not under the default key: clients do not find it.",
    cause: "Another client created a new default key and did not move the secrets to it.",
    repair: "Encrypt it under the default key too, with the key that opens it and the default key.",
    cost: "Nothing.",
    check: secret_not_under_default,
};

fn secret_not_under_default(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(default) = account.named_default() else {
        return;
    };
    for name in SecretName::standard() {
        let Some(secret) = account.secrets.get(&name) else {
            continue;
        };
        if secret.entry(default).is_some() {
            continue;
        }
        let under: Vec<_> = secret.key_ids().map(|id| id.as_str()).collect();
        let message = format!("{name} is not encrypted under the default key");
        let finding = found.finding(Subject::secret(&name), message);
        let finding = finding
            .detail("key_ids", under)
            .detail("default", default.as_str());
        found.add(finding.repairs(ways_to_store(account, &name)));
    }
}

pub(super) const CUSTOM_SECRET_LEFT_BEHIND: Condition = Condition {
    code: "custom-secret-left-behind",
    severities: &[Severity::Warning],
    needs: &[],
    what: "A secret of another program is encrypted under a key other than the default.",
    cause: "Another client created a new default key and moved the standard secrets only.",
    repair: "Encrypt it under the default key too.",
    cost: "Nothing.",
    check: custom_secret_left_behind,
};

fn custom_secret_left_behind(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(default) = account.named_default() else {
        return;
    };
    for (name, secret) in &account.secrets {
        let is_custom = SecretKind::of(name) == SecretKind::Other;
        if is_custom && secret.entry(default).is_none() {
            let message = format!("{} is not encrypted under the default key", shown(name));
            let finding = found.finding(Subject::secret(name), message);
            found.add(finding.repairs(ways_to_store(account, name)));
        }
    }
}

pub(super) const ENTRY_MALFORMED: Condition = Condition {
    code: "entry-malformed",
    severities: &[Severity::Error],
    needs: &[],
    what: "What is stored under the name of a secret cannot be read: members are missing, or of \
           wrong types or lengths, or not base64.",
    cause: "A client overwrote it with something else.",
    repair: "Take it from another copy: under another key, on this machine, on another device.",
    cost: "Nothing.",
    check: entry_malformed,
};

fn entry_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    for (name, error) in &account.damaged {
        let message = format!("{}: {error}", shown(name));
        let finding = found
            .finding(Subject::secret(name), message)
            .detail("error", error.code());
        found.add(finding.repairs(ways_to_store(account, name)));
    }
    for (name, secret) in &account.secrets {
        for id in secret.key_ids() {
            let Some(algorithm) = account.description(id).map_or(
                Some(Algorithm::AesHmacSha2),
                crate::KeyDescription::algorithm,
            ) else {
                continue;
            };
            let Some(problem) = super::entries::problem(secret, id, algorithm) else {
                continue;
            };
            let message = format!("{} under {}: {problem}", shown(name), shown(id));
            let finding = found.finding(Subject::entry(name, id), message);
            let finding = finding.repairs(ways_to_store(account, name));
            let remedy = Remedy::WithdrawEntry {
                name: name.clone(),
                key_id: id.clone(),
            };
            let is_default = account.named_default() == Some(id);
            found.add(finding.repairs((!is_default).then(|| Repair::new(remedy))));
        }
    }
}

pub(super) const ENCRYPTED_ACCOUNT_DATA: Condition = Condition {
    code: "encrypted-account-data",
    severities: &[Severity::Info],
    needs: &[],
    what: "Account data is encrypted and is not a secret (MSC4483). It is not changed.",
    cause: "A client encrypts its own account data.",
    repair: "None is needed.",
    cost: "Nothing.",
    check: encrypted_account_data,
};

fn encrypted_account_data(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in &account.encrypted_data {
        let message = format!("{} is encrypted account data, not a secret", shown(name));
        found.add(found.finding(Subject::secret(name), message));
    }
}

pub(super) fn is_emptied(state: &SecretState) -> bool {
    matches!(
        state,
        SecretState::Deleted | SecretState::Emptied | SecretState::Null | SecretState::NotASecret
    )
}

/// The cross-signing secrets whose public half is published. The key of the backup has conditions of
/// its own.
fn cross_signing_published(account: &Account<'_>) -> impl Iterator<Item = SecretName> {
    let names = SecretName::cross_signing().into_iter();
    names.filter(|name| account.is_published(SecretKind::of(name)) == Some(true))
}

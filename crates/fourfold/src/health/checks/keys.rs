//! Which keys there are, and which one is the default.

use std::collections::{BTreeMap, BTreeSet};

use super::remembered::put_description_back;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject, SubjectKind};
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::{DefaultKey, KeyDescriptionError, KeyId, SecretName};

pub(super) const STORAGE_NOT_SET_UP: Condition = Condition {
    code: "storage-not-set-up",
    severities: &[Severity::Info],
    needs: &[],
    what: "The account has never had secret storage.",
    cause: "The account is new, or none of its clients uses encryption.",
    repair: "Set it up if it is wanted.",
    cost: "Nothing.",
    check: storage_not_set_up,
};

fn storage_not_set_up(account: &Account<'_>, found: &mut Findings<'_>) {
    if account.storage.is_untouched() {
        let message = "the account has no secret storage";
        found.add(
            found
                .finding(whole(account), message)
                .repair(Repair::new(Remedy::SetUp)),
        );
    }
}

pub(super) const STORAGE_SWITCHED_OFF: Condition = Condition {
    code: "storage-switched-off",
    severities: &[Severity::Warning],
    needs: &[],
    what: "The account had secret storage; only emptied events are left of it.",
    cause: "Another client of the user switched key storage off, or a reset was interrupted.",
    repair: "Set up secret storage again; what the devices still hold is stored again.",
    cost: "A new recovery key. The old one remains useless.",
    check: storage_switched_off,
};

fn storage_switched_off(account: &Account<'_>, found: &mut Findings<'_>) {
    if is_switched_off(account) {
        let message = "secret storage was switched off: only emptied events are left";
        let repair = Repair::new(Remedy::SetUp);
        found.add(found.finding(whole(account), message).repair(repair));
    }
}

pub(super) const DEFAULT_KEY_MISSING: Condition = Condition {
    code: "default-key-missing",
    severities: &[Severity::Error],
    needs: &[],
    what: "There are keys or secrets, and no key is named as the default.",
    cause: "A client was interrupted while it set secret storage up.",
    repair: "Make the key that opens the secrets the default.",
    cost: "Nothing.",
    check: default_key_missing,
};

fn default_key_missing(account: &Account<'_>, found: &mut Findings<'_>) {
    let is_empty = account.storage.is_untouched() || is_switched_off(account);
    if account.default == DefaultKey::Absent && !is_empty {
        let message = "no key is named as the default";
        let finding = found.finding(whole(account), message);
        found.add(finding.repairs(another_default(account)));
    }
}

pub(super) const DEFAULT_KEY_MALFORMED: Condition = Condition {
    code: "default-key-malformed",
    severities: &[Severity::Error],
    needs: &[],
    what: "The event that names the default key names none: it is empty, or its \"key\" is not a \
           string.",
    cause: "A client removed the default, or overwrote it with something else.",
    repair: "Make the key that opens the secrets the default.",
    cost: "Nothing.",
    check: default_key_malformed,
};

fn default_key_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    let message = match account.default {
        DefaultKey::Deleted if !is_switched_off(account) => "the default key was removed",
        DefaultKey::Malformed => "the event that names the default key is malformed",
        _ => return,
    };
    let finding = found.finding(whole(account), message);
    found.add(finding.repairs(another_default(account)));
}

pub(super) const DEFAULT_KEY_UNDESCRIBED: Condition = Condition {
    code: "default-key-undescribed",
    severities: &[Severity::Error, Severity::Fatal],
    needs: &[],
    what: "The default key has no description, so no client can tell which key it is.",
    cause: "A client emptied the description, or a reset was interrupted.",
    repair: "With the right key, or an earlier snapshot, the description is written again. \
             Otherwise another key that opens the secrets becomes the default.",
    cost: "Nothing.",
    check: default_key_undescribed,
};

fn default_key_undescribed(account: &Account<'_>, found: &mut Findings<'_>) {
    let DefaultKey::Dangling(id) = &account.default else {
        return;
    };
    let message = format!("the default key {} has no description", shown(id.as_str()));
    let mut finding = found.finding(Subject::key(id), message);
    let opens_nothing = account
        .secrets
        .keys()
        .all(|name| account.good_copy(name).is_none());
    if !account.evidence.keys.is_empty() && opens_nothing {
        finding = finding.severity(Severity::Fatal);
    }
    finding = finding.repairs(put_description_back(account, id));
    if account.is_used(id) {
        let repair = Repair::new(Remedy::DescribeAgain(id.clone()));
        finding = finding.repair(if account.is_certain(id) {
            repair
        } else {
            repair.needs(Requirement::Key(id.clone()))
        });
    }
    found.add(finding.repairs(another_default(account)));
}

pub(super) const SEVERAL_KEYS: Condition = Condition {
    code: "several-keys",
    severities: &[Severity::Info, Severity::Warning],
    needs: &[],
    what: "More than one key opens something.",
    cause: "The key was replaced by a client that keeps the copies under the old one, or a second \
            key was created on purpose.",
    repair: "Where no one key opens everything, encrypt under the default key what it does not \
             open.",
    cost: "Nothing. Removing old keys is a separate step.",
    check: several_keys,
};

fn several_keys(account: &Account<'_>, found: &mut Findings<'_>) {
    let mut opens: BTreeMap<&KeyId, usize> = BTreeMap::new();
    for (_, id) in account.entries() {
        *opens.entry(id).or_default() += 1;
    }
    if opens.len() < 2 {
        return;
    }
    let is_complete = opens.values().any(|count| *count == account.secrets.len());
    let detail: serde_json::Map<_, _> = opens
        .iter()
        .map(|(id, count)| (id.as_str().to_owned(), (*count).into()))
        .collect();
    let (message, severity) = if is_complete {
        (
            "several keys open secrets, and one of them opens all",
            Severity::Info,
        )
    } else {
        (
            "several keys open secrets, and none of them opens all",
            Severity::Warning,
        )
    };
    let finding = found.finding(whole(account), message).severity(severity);
    found.add(finding.detail("opens", detail));
}

pub(super) const KEY_OPENS_NOTHING: Condition = Condition {
    code: "key-opens-nothing",
    severities: &[Severity::Info],
    needs: &[],
    what: "A key is described, and no secret is encrypted under it.",
    cause: "It is left over from a key that was replaced or a set-up that was interrupted.",
    repair: "Remove it if nobody uses it.",
    cost: "Those who have this key can no longer open anything with it.",
    check: key_opens_nothing,
};

fn key_opens_nothing(account: &Account<'_>, found: &mut Findings<'_>) {
    let used: BTreeSet<_> = account.entries().map(|(_, id)| id).collect();
    for (id, description) in &account.keys {
        let is_default = account.named_default() == Some(id);
        if description.is_ok() && !is_default && !used.contains(id) {
            let message = format!("the key {} opens no secret", shown(id.as_str()));
            let finding = found.finding(Subject::key(id), message);
            found.add(finding.repair(Repair::new(Remedy::RetireKey(id.clone()))));
        }
    }
}

pub(super) const KEY_ID_NEEDS_ESCAPING: Condition = Condition {
    code: "key-id-needs-escaping",
    severities: &[Severity::Info],
    needs: &[],
    what: "The ID of a key has characters that some clients escape wrongly in a path.",
    cause: "The client that created the key uses base64 or free text as IDs.",
    repair: "None is needed. Where a client cannot read the key, replace it with one of another \
             ID.",
    cost: "A new recovery key.",
    check: key_id_needs_escaping,
};

fn key_id_needs_escaping(account: &Account<'_>, found: &mut Findings<'_>) {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-._~".contains(one);
    for (id, description) in &account.keys {
        if description.is_ok() && !id.as_str().chars().all(is_plain) {
            let message = format!("the ID of the key {} must be escaped", shown(id.as_str()));
            found.add(found.finding(Subject::key(id), message));
        }
    }
}

/// Ways to make a key the default that opens what the account has: the one that opens most.
fn another_default(account: &Account<'_>) -> Option<Repair> {
    let described = account
        .keys
        .iter()
        .filter(|(_, description)| description.is_ok());
    let standard = SecretName::standard();
    let opens = |id: &KeyId| {
        let is_under = |name: &&SecretName| {
            let secret = account.secrets.get(*name);
            secret.is_some_and(|secret| secret.entry(id).is_some())
        };
        standard.iter().filter(is_under).count()
    };
    let is_used = |id: &&KeyId| account.is_used(id);
    let best = described
        .map(|(id, _)| id)
        .filter(is_used)
        .max_by_key(|id| (opens(id), account.has_proven(id)))?;
    let repair = Repair::new(Remedy::MakeDefault(best.clone()));
    Some(if account.has_proven(best) {
        repair
    } else {
        repair.needs(Requirement::Key(best.clone()))
    })
}

/// Whether only emptied events remain.
fn is_switched_off(account: &Account<'_>) -> bool {
    let is_gone = |description: &Result<_, KeyDescriptionError>| {
        matches!(description, Err(KeyDescriptionError::Deleted))
    };
    !account.storage.is_untouched()
        && account.secrets.is_empty()
        && account.damaged.is_empty()
        && account.keys.values().all(is_gone)
        && account.default != DefaultKey::Malformed
}

pub(super) fn whole(account: &Account<'_>) -> Subject {
    Subject::new(SubjectKind::Account, &account.evidence.snapshot.user_id)
}

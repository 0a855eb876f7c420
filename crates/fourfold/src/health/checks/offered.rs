//! What the user offered as keys.

use super::keys::whole;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::offered::Offer;
use crate::health::severity::Severity;
use crate::health::shown::shown;

pub(super) const OFFERED_KEY_UNKNOWN: Condition = Condition {
    code: "offered-key-unknown",
    severities: &[Severity::Error],
    needs: &[],
    what: "What was offered is not one of the keys of the account.",
    cause: "It belongs to another account, or it has been replaced since.",
    repair: "Offer another key.",
    cost: "Nothing.",
    check: offered_key_unknown,
};

fn offered_key_unknown(account: &Account<'_>, found: &mut Findings<'_>) {
    for (number, offered) in account.evidence.keys.iter().enumerate() {
        if let Offer::Unknown(error) = &offered.offer {
            let finding = found.finding(whole(account), error.to_string());
            found.add(
                finding
                    .detail("number", number + 1)
                    .detail("error", error.code()),
            );
        }
    }
}

pub(super) const OFFERED_KEY_NOT_DEFAULT: Condition = Condition {
    code: "offered-key-not-default",
    severities: &[Severity::Warning],
    needs: &[],
    what: "An offered key belongs to the account and is not the default.",
    cause: "The default was replaced by another client, and the old recovery key was kept.",
    repair: "Keep the recovery key of the default. What only this key opens is encrypted under the \
             default when both are offered.",
    cost: "Nothing.",
    check: offered_key_not_default,
};

fn offered_key_not_default(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(default) = account.named_default() else {
        return;
    };
    for key in account.keys_at_hand().filter(|key| key.id() != default) {
        let id = key.id().as_str();
        let message = format!("the offered key is {}, which is not the default", shown(id));
        let finding = found.finding(Subject::key(key.id()), message);
        found.add(finding.detail("default", default.as_str()));
    }
}

pub(super) const OFFERED_KEY_IS_BACKUP_KEY: Condition = Condition {
    code: "offered-key-is-backup-key",
    severities: &[Severity::Warning],
    needs: &[],
    what: "What was offered is the private key of the key backup, not a key of secret storage.",
    cause: "Both are written in the same form.",
    repair: "Offer the recovery key of secret storage. This one reads the key backup only.",
    cost: "Nothing.",
    check: offered_key_is_backup_key,
};

fn offered_key_is_backup_key(account: &Account<'_>, found: &mut Findings<'_>) {
    for offered in &account.evidence.keys {
        if matches!(offered.offer, Offer::BackupKey) {
            let message = "the offered key is that of the key backup, and opens no secret";
            found.add(found.finding(whole(account), message));
        }
    }
}

pub(super) const OFFERED_KEY_MISTYPED: Condition = Condition {
    code: "offered-key-mistyped",
    severities: &[Severity::Error],
    needs: &[],
    what: "What was offered looks like a recovery key and has a typing error.",
    cause: "A character is wrong, missing or doubled.",
    repair: "Type it again.",
    cost: "Nothing.",
    check: offered_key_mistyped,
};

fn offered_key_mistyped(account: &Account<'_>, found: &mut Findings<'_>) {
    for (number, offered) in account.evidence.keys.iter().enumerate() {
        if let Offer::Mistyped(error) = &offered.offer {
            let finding = found.finding(whole(account), error.to_string());
            found.add(
                finding
                    .detail("number", number + 1)
                    .detail("error", error.code()),
            );
        }
    }
}

pub(super) const PASSPHRASE_VARIANT: Condition = Condition {
    code: "passphrase-variant",
    severities: &[Severity::Warning],
    needs: &[],
    what: "The passphrase matches only without the white space around it.",
    cause: "It was copied with a space or a line break.",
    repair: "Type it without.",
    cost: "Nothing.",
    check: passphrase_variant,
};

fn passphrase_variant(account: &Account<'_>, found: &mut Findings<'_>) {
    for offered in &account.evidence.keys {
        if let Offer::Key {
            key,
            is_trimmed: true,
            ..
        } = &offered.offer
        {
            let message = "the passphrase matches only without the white space around it";
            found.add(found.finding(Subject::key(key.id()), message));
        }
    }
}

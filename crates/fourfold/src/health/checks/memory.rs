//! What changed since the earlier snapshot, or since this machine looked last.

use super::remembered::put_description_back;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject, SubjectKind};
use crate::health::need::Need;
use crate::health::severity::Severity;
use crate::history::Change;

pub(super) const KEY_DESCRIPTION_CHANGED: Condition = Condition {
    code: "key-description-changed",
    severities: &[Severity::Error],
    needs: &[Need::Baseline],
    what: "The description of a key was weakened or replaced: fewer iterations, another salt, \
           other check data, another algorithm.",
    cause: "No client has a reason to do this. The server may have changed it to learn a \
            passphrase.",
    repair: "Put the description back as it was.",
    cost: "Nothing.",
    check: key_description_changed,
};

fn key_description_changed(account: &Account<'_>, found: &mut Findings<'_>) {
    for change in account.changes.iter().flatten() {
        if let Change::KeyDescriptionChanged { key_id, .. } = change
            && change.is_suspicious()
        {
            let finding = found.finding(Subject::key(key_id), change.to_string());
            found.add(finding.repairs(put_description_back(account, key_id)));
        }
    }
}

pub(super) const DEFAULT_KEY_CHANGED: Condition = Condition {
    code: "default-key-changed",
    severities: &[Severity::Warning],
    needs: &[Need::Baseline],
    what: "The default key is different from before.",
    cause: "The user replaced the recovery key on another device, or the server moved the default.",
    repair: "None if the user did it. The old recovery key may no longer open anything.",
    cost: "Nothing.",
    check: default_key_changed,
};

fn default_key_changed(account: &Account<'_>, found: &mut Findings<'_>) {
    for change in account.changes.iter().flatten() {
        if let Change::DefaultKeyChanged {
            from: Some(from),
            to,
        } = change
        {
            let id = &account.evidence.snapshot.user_id;
            let subject = Subject::new(SubjectKind::Account, id);
            let finding = found.finding(subject, change.to_string());
            let to = to.as_ref().map(|id| id.as_str());
            found.add(finding.detail("from", from.as_str()).detail("to", to));
        }
    }
}

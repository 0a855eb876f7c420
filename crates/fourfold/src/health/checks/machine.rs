//! This machine.

use crate::Timestamp;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::evidence::{Machine, Records};
use crate::health::finding::{Finding, Findings, Subject, SubjectKind};
use crate::health::severity::Severity;
use crate::health::shown::shown;

pub(super) const FILE_READABLE_BY_OTHERS: Condition = Condition {
    code: "file-readable-by-others",
    severities: &[Severity::Warning],
    needs: &[],
    what: "Other users of this machine can read a key file that was given.",
    cause: "The file was created with the default permissions.",
    repair: "Remove the permissions of group and others.",
    cost: "Nothing.",
    check: file_readable_by_others,
};

fn file_readable_by_others(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in account
        .evidence
        .machine
        .iter()
        .flat_map(|one| &one.readable_files)
    {
        let message = format!("other users can read {}", shown(name));
        found.add(found.finding(Subject::new(SubjectKind::Local, name), message));
    }
}

pub(super) const DRILL_OVERDUE: Condition = Condition {
    code: "drill-overdue",
    severities: &[Severity::Info],
    needs: &[],
    what: "The recovery key has not been tried on this machine for 180 days.",
    cause: "Nobody needed it.",
    repair: "Offer the recovery key once.",
    cost: "Nothing.",
    check: drill_overdue,
};

fn drill_overdue(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some((records, now)) = records(account).zip(account.evidence.now) else {
        return;
    };
    let age = records.last_drill.map(|last: Timestamp| now.since(last));
    if age.is_none_or(|age| age.as_secs() > DRILL) && !account.storage.is_untouched() {
        let message = "the recovery key has not been tried here for 180 days";
        found.add(local(found, message));
    }
}

pub(super) const NO_SNAPSHOT_KEPT: Condition = Condition {
    code: "no-snapshot-kept",
    severities: &[Severity::Info],
    needs: &[],
    what: "No earlier snapshot of the account is kept on this machine.",
    cause: "It was never asked for.",
    repair: "Take one: it holds ciphertext and public keys only.",
    cost: "Nothing.",
    check: no_snapshot_kept,
};

fn no_snapshot_kept(account: &Account<'_>, found: &mut Findings<'_>) {
    if records(account).is_some_and(|records| !records.keeps_snapshots) {
        found.add(local(found, "no earlier snapshot is kept here"));
    }
}

pub(super) const CHANGED_WHILE_EXAMINED: Condition = Condition {
    code: "changed-while-examined",
    severities: &[Severity::Error],
    needs: &[],
    what: "The account changed while it was examined. Nothing was written.",
    cause: "Another client of the user is changing it.",
    repair: "Examine it again.",
    cost: "Nothing.",
    check: changed_while_examined,
};

fn changed_while_examined(account: &Account<'_>, found: &mut Findings<'_>) {
    if machine(account).is_some_and(|machine| machine.changed_meanwhile) {
        found.add(local(found, "the account changed while it was examined"));
    }
}

fn machine<'a>(account: &Account<'a>) -> Option<&'a Machine> {
    account.evidence.machine.as_ref()
}

fn records<'a>(account: &Account<'a>) -> Option<&'a Records> {
    machine(account)?.records.as_ref()
}

fn local(found: &Findings<'_>, message: &str) -> Finding {
    found.finding(Subject::new(SubjectKind::Local, ""), message)
}

/// In seconds.
const DRILL: u64 = 180 * 24 * 60 * 60;

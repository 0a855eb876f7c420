//! What is wrong with an account, and what mends it.
//!
//! [`examine`] takes everything that is known ([`Evidence`]) and says what it finds ([`Report`]). It
//! is pure: it fetches nothing, derives nothing and changes nothing, and it gives a report for every
//! input, however malformed. The table of all conditions is [`CONDITIONS`].
//!
//! Nothing is decided here that the rest of the crate decides already. What opens, what fits the
//! published keys, what changed in a suspicious way and who is trusted is asked for where it is
//! decided; a check turns the answer into words, a severity and a way to mend it.
//!
//! A [`Repair`] says what would be done. [`Report::draft_repairs`] makes the plans of those that can
//! be made with what is at hand, one of them all, in an order in which no copy is lost.

mod account;
mod checks;
mod condition;
mod draft;
mod evidence;
mod finding;
mod need;
mod offered;
mod repair;
mod report;
mod severity;
mod shown;
mod treatment;

pub use self::checks::CONDITIONS;
pub use self::condition::Condition;
pub use self::draft::DraftError;
pub use self::evidence::{Evidence, Machine, Observed, Records, SampledSessions, Source};
pub use self::finding::{Finding, NotChecked, Subject, SubjectKind};
pub use self::need::Need;
pub use self::offered::{KeyInput, Offer, OfferedKey};
pub use self::repair::{Remedy, Repair, Requirement, Risk};
pub use self::report::{KeyOutcome, KeyTried, Report, Verdict};
pub use self::severity::Severity;
pub use self::treatment::NotDrafted;

use self::account::Account;
use self::finding::Findings;

/// Examines an account.
#[must_use]
pub fn examine(evidence: &Evidence<'_>) -> Report {
    let account = Account::of(evidence);
    let (mut findings, mut not_checked) = (Vec::new(), Vec::new());
    for condition in &CONDITIONS {
        let mut found = Findings::of(
            condition.code,
            condition.usual_severity(),
            condition.cause,
            &mut findings,
        );
        let missing = condition.needs.iter().copied();
        let missing: Vec<_> = missing.filter(|need| !account.has(*need)).collect();
        if missing.is_empty() {
            (condition.check)(&account, &mut found);
        }
        missing.into_iter().for_each(|need| found.lacks(need));
        not_checked.extend(found.not_checked());
    }
    for finding in &mut findings {
        if let Some(ready) = finding.repairs.iter_mut().find(|repair| repair.is_ready()) {
            ready.is_chosen = true;
        }
    }
    // Stable: within a severity the order of the table stays.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Report {
        user_id: evidence.snapshot.user_id.clone(),
        source: evidence.source,
        examined_at: evidence.now,
        keys_tried: evidence.keys.iter().map(KeyTried::of).collect(),
        findings,
        not_checked,
    }
}

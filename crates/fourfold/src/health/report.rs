//! The report of an examination.

use serde::Serialize;

use super::evidence::Source;
use super::finding::{Finding, NotChecked};
use super::offered::{KeyInput, Offer, OfferedKey};
use super::severity::Severity;
use crate::storage::UnlockError;
use crate::{KeyCheckOutcome, Timestamp};

/// What an examination found: public interface, with its codes and its JSON.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The user.
    pub user_id: String,
    /// Where the account comes from.
    pub source: Source,
    /// When it was examined.
    pub examined_at: Option<Timestamp>,
    /// What became of each key that was offered, in their order.
    pub keys_tried: Vec<KeyTried>,
    /// Everything that was found, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be checked, and what that would need.
    pub not_checked: Vec<NotChecked>,
}

impl Report {
    /// What `schema` says.
    pub const SCHEMA: &'static str = "fourfold.health/1";

    /// The whole in one word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let of = |severity| {
            self.findings
                .iter()
                .filter(move |one| one.severity == severity)
        };
        let is_ready = |one: &Finding| one.repairs.iter().any(super::Repair::is_ready);
        if of(Severity::Fatal).any(|one| one.repairs.is_empty()) {
            Verdict::Unrecoverable
        } else if of(Severity::Fatal)
            .chain(of(Severity::Error))
            .any(|one| !is_ready(one))
        {
            Verdict::NeedsInput
        } else if self.worst() >= Some(Severity::Error) {
            Verdict::Repairable
        } else if self.worst() == Some(Severity::Warning) {
            Verdict::Attention
        } else {
            Verdict::Healthy
        }
    }

    /// The worst severity of all findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|one| one.severity).max()
    }

    /// Whether keys were offered and none of them is one: there is nothing more to say before the
    /// right one is.
    #[must_use]
    pub fn only_wrong_keys(&self) -> bool {
        !self.keys_tried.is_empty()
            && self
                .keys_tried
                .iter()
                .all(|one| matches!(one.outcome, KeyOutcome::Mismatch | KeyOutcome::NotAKey))
    }

    /// The findings of a code.
    pub fn of_code<'a>(&'a self, code: &'a str) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().filter(move |one| one.code == code)
    }

    /// The report as JSON, as the schema says.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = Json {
            schema: Self::SCHEMA,
            user_id: &self.user_id,
            source: self.source,
            examined_at: self.examined_at.map(rfc3339),
            verdict: self.verdict(),
            keys_tried: &self.keys_tried,
            findings: &self.findings,
            not_checked: &self.not_checked,
        };
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }
}

/// The whole in one word.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the five are the contract")]
pub enum Verdict {
    /// Nothing but information.
    Healthy,
    /// Warnings only.
    Attention,
    /// Everything that is wrong can be repaired with what is at hand.
    Repairable,
    /// A repair needs a key, a device, the password or an approval.
    NeedsInput,
    /// Something is lost, and nothing that is known mends it.
    Unrecoverable,
}

/// What became of a key that was offered.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeyTried {
    /// What it was offered as.
    pub input: KeyInput,
    /// The key that it is. Untrusted text.
    pub key_id: Option<String>,
    /// Whether it is one.
    pub outcome: KeyOutcome,
}

/// Whether an offered key is one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the four are the contract")]
pub enum KeyOutcome {
    /// It is.
    Verified,
    /// Nothing speaks against it, and nothing shows it.
    Unverifiable,
    /// It is a key, and none of this account.
    Mismatch,
    /// It is no key at all.
    NotAKey,
}

impl KeyTried {
    pub(in crate::health) fn of(offered: &OfferedKey) -> Self {
        let outcome = match &offered.offer {
            Offer::Key { outcome, .. } => match outcome {
                KeyCheckOutcome::Verified => KeyOutcome::Verified,
                KeyCheckOutcome::Unverifiable => KeyOutcome::Unverifiable,
                KeyCheckOutcome::Mismatch => KeyOutcome::Mismatch,
            },
            Offer::BackupKey => KeyOutcome::Verified,
            Offer::Mistyped(_) | Offer::Unknown(UnlockError::NoPassphrase) => KeyOutcome::NotAKey,
            Offer::Unknown(_) => KeyOutcome::Mismatch,
        };
        Self {
            input: offered.input,
            key_id: offered.as_key().map(|key| key.id().as_str().to_owned()),
            outcome,
        }
    }
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    user_id: &'a str,
    source: Source,
    examined_at: Option<String>,
    verdict: Verdict,
    keys_tried: &'a [KeyTried],
    findings: &'a [Finding],
    not_checked: &'a [NotChecked],
}

/// Milliseconds since 1970 as a date and a time in UTC.
fn rfc3339(moment: Timestamp) -> String {
    let seconds = moment.as_millis() / 1000;
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March have the leap day at their end, and eras of 400 years repeat.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let (month, later) = if shifted_month < 10 {
        (shifted_month + 3, 0)
    } else {
        (shifted_month - 9, 1)
    };
    let year = year_of_era + era * 400 + later;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_764_000_000_999, "2025-11-24T16:00:00Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_millis(millis)), text);
        }
        // Any number is some date.
        assert!(!rfc3339(Timestamp::from_millis(u64::MAX)).is_empty());
    }
}

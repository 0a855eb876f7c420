//! A finding: one condition, met by one subject.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::need::Need;
use super::repair::{Remedy, Repair};
use super::severity::Severity;
use crate::{KeyId, SecretName};

/// One condition, met by one subject.
///
/// It holds no plaintext, no secret byte and nothing that is derived from them. Its texts name keys,
/// secrets and devices, which others choose: they are escaped in the message and raw in the subject
/// and in the details.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The code of the condition.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What has it.
    pub subject: Subject,
    /// One sentence.
    pub message: String,
    /// What was found, for programs.
    pub detail: BTreeMap<&'static str, Value>,
    /// How it probably came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likely_cause: Option<&'static str>,
    /// What would mend it, the safest first.
    pub repairs: Vec<Repair>,
}

impl Finding {
    pub(in crate::health) fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub(in crate::health) fn detail(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.detail.insert(name, value.into());
        self
    }

    pub(in crate::health) fn cause(mut self, cause: &'static str) -> Self {
        self.likely_cause = Some(cause);
        self
    }

    pub(in crate::health) fn repair(mut self, repair: Repair) -> Self {
        self.repairs.push(repair);
        self
    }

    pub(in crate::health) fn repairs(mut self, repairs: impl IntoIterator<Item = Repair>) -> Self {
        self.repairs.extend(repairs);
        self
    }
}

/// What a finding is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub struct Subject {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Its ID or name; the user ID for what is there once. Untrusted text.
    pub id: String,
    /// The key of an entry. Untrusted text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

impl Subject {
    pub(in crate::health) fn new(kind: SubjectKind, id: impl Into<String>) -> Self {
        let id = id.into();
        let key_id = None;
        Self { kind, id, key_id }
    }

    pub(in crate::health) fn key(id: &KeyId) -> Self {
        Self::new(SubjectKind::Key, id.as_str())
    }

    pub(in crate::health) fn secret(name: &SecretName) -> Self {
        Self::new(SubjectKind::Secret, name.as_str())
    }

    pub(in crate::health) fn entry(name: &SecretName, key_id: &KeyId) -> Self {
        Self {
            kind: SubjectKind::Entry,
            id: name.as_str().to_owned(),
            key_id: Some(key_id.as_str().to_owned()),
        }
    }
}

/// What kind of thing a finding is about.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectKind {
    /// The account as a whole.
    Account,
    /// A key of secret storage.
    Key,
    /// A secret.
    Secret,
    /// One encrypted copy of a secret.
    Entry,
    /// A device of the user.
    Device,
    /// The cross-signing identity.
    Identity,
    /// The key backup.
    KeyBackup,
    /// The homeserver.
    Server,
    /// This machine.
    Local,
}

/// A condition that could not be checked, and what that would need.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NotChecked {
    /// The code of the condition.
    pub code: &'static str,
    /// What is missing.
    pub needs: BTreeSet<Need>,
}

/// Where the check of one condition puts what it finds.
pub(in crate::health) struct Findings<'a> {
    code: &'static str,
    severity: Severity,
    cause: &'static str,
    found: &'a mut Vec<Finding>,
    count: usize,
    lacks: BTreeSet<Need>,
}

impl<'a> Findings<'a> {
    /// Of the condition of this code, with its usual severity and cause.
    pub(in crate::health) fn of(
        code: &'static str,
        severity: Severity,
        cause: &'static str,
        found: &'a mut Vec<Finding>,
    ) -> Self {
        Self {
            code,
            severity,
            cause,
            found,
            count: 0,
            lacks: BTreeSet::new(),
        }
    }

    /// A finding of the condition that is checked, to be [added](Self::add).
    pub(in crate::health) fn finding(
        &self,
        subject: Subject,
        message: impl Into<String>,
    ) -> Finding {
        Finding {
            code: self.code,
            severity: self.severity,
            subject,
            message: message.into(),
            detail: BTreeMap::new(),
            likely_cause: Some(self.cause),
            repairs: Vec::new(),
        }
    }

    /// Adds a finding, up to as many as anybody would read.
    pub(in crate::health) fn add(&mut self, finding: Finding) {
        if self.count < MAX_FINDINGS {
            self.found.push(finding);
        }
        self.count += 1;
    }

    /// Whether the conditions before this one found an error of the account. A key that was offered
    /// and is wrong is none.
    pub(in crate::health) fn has_errors(&self) -> bool {
        let mut of_account = self
            .found
            .iter()
            .filter(|one| !one.code.starts_with("offered-key"));
        of_account.any(|one| one.severity >= Severity::Error)
    }

    /// Whether the conditions before this one found something that another device would have to send.
    pub(in crate::health) fn has_request(&self) -> bool {
        self.found.iter().any(|one| {
            let is_request = |repair: &Repair| matches!(repair.remedy, Remedy::Request(_));
            one.repairs.iter().any(is_request) && !one.repairs.iter().any(Repair::is_ready)
        })
    }

    /// Says that something could not be looked at. What was found all the same counts more.
    pub(in crate::health) fn lacks(&mut self, need: Need) {
        self.lacks.insert(need);
    }

    pub(in crate::health) fn not_checked(self) -> Option<NotChecked> {
        let is_open = self.count == 0 && !self.lacks.is_empty();
        is_open.then_some(NotChecked {
            code: self.code,
            needs: self.lacks,
        })
    }
}

/// How many subjects one condition is reported of.
const MAX_FINDINGS: usize = 1000;

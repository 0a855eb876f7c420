//! What waits to be polled: bounded, however much comes in.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sharing::{Alert, Audit, AuditDecision, DeviceSummary, Output};
use crate::{SecretName, Timestamp};

/// The outputs that were not polled yet, and what was said lately.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Announcements {
    #[serde(skip)]
    waiting: VecDeque<Output>,
    /// When something was said that an attacker could have said any number of times.
    said: BTreeMap<String, Timestamp>,
}

impl Announcements {
    /// The most outputs that wait before alerts and lines for the log are omitted. All other
    /// outputs are bounded by what they are about.
    const MAX_WAITING: usize = 1024;
    /// The maximum number of remembered alerts; while there are so many, new ones are not reported.
    const MAX_SAID: usize = 512;
    /// The time for which the same alert is not repeated.
    const SILENCE: Duration = Duration::from_hours(1);

    pub(super) fn push(&mut self, output: Output) {
        self.waiting.push_back(output);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.waiting.pop_front()
    }

    /// Alerts the user, unless of the same lately.
    pub(super) fn alert(&mut self, alert: Alert, now: Timestamp) {
        let what = match &alert {
            Alert::ConflictingAnswers { name, device_id } => format!("conflict {device_id} {name}"),
            Alert::GoneDevice { device_id, .. } => format!("gone {device_id}"),
            Alert::InvalidValue { name, device_id } => format!("invalid {device_id} {name}"),
            Alert::RateLimited { device_id, .. } => format!("rate {device_id}"),
        };
        if self.may_say(what, now) {
            self.waiting.push_back(Output::Alert(alert));
        }
    }

    /// Writes a line into the log. That a secret was shared is never left out: there are only so many
    /// answers in an hour.
    pub(super) fn audit(
        &mut self,
        decision: AuditDecision,
        name: &SecretName,
        device: Option<DeviceSummary>,
        now: Timestamp,
    ) {
        if decision == AuditDecision::Shared || self.waiting.len() < Self::MAX_WAITING {
            self.waiting.push_back(Output::Audit(Audit {
                at: now,
                name: name.clone(),
                device,
                decision,
            }));
        }
    }

    /// As [`audit`](Self::audit), once an hour: for what happens as often as a forger likes.
    pub(super) fn audit_once(
        &mut self,
        decision: AuditDecision,
        name: &SecretName,
        device: DeviceSummary,
        now: Timestamp,
    ) {
        if self.may_say(format!("{decision:?} {} {name}", device.device_id), now) {
            self.audit(decision, name, Some(device), now);
        }
    }

    fn may_say(&mut self, what: String, now: Timestamp) -> bool {
        self.said.retain(|_, at| now.since(*at) < Self::SILENCE);
        if self.said.contains_key(&what)
            || self.said.len() >= Self::MAX_SAID
            || self.waiting.len() >= Self::MAX_WAITING
        {
            return false;
        }
        self.said.insert(what, now);
        true
    }
}

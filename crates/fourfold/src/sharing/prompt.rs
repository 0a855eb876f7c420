//! The questions to the user that are open, and when the next may be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announce::Announcements;
use crate::sharing::{DeviceSummary, Output, Prompt, PromptId};
use crate::{SecretName, Timestamp};

/// The prompts of this run. After a restart none is open, which counts as "No".
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Prompts {
    #[serde(skip)]
    open: BTreeMap<PromptId, Timestamp>,
    /// When each device was last asked about.
    last: BTreeMap<String, Timestamp>,
    next_id: u64,
}

impl Prompts {
    /// The time for which a device waits for its next prompt.
    pub(super) const INTERVAL: Duration = Duration::from_mins(10);

    pub(super) fn open(
        &mut self,
        device: DeviceSummary,
        names: Vec<SecretName>,
        expires: Timestamp,
        now: Timestamp,
    ) -> Prompt {
        self.last.retain(|_, at| now.since(*at) < Self::INTERVAL);
        self.last.insert(device.device_id.clone(), now);
        let id = PromptId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.open.insert(id, expires);
        Prompt {
            id,
            device,
            names,
            expires,
        }
    }

    pub(super) fn is_open(&self, prompt: PromptId) -> bool {
        self.open.contains_key(&prompt)
    }

    /// Closes a prompt that was answered, and says whether it was open.
    pub(super) fn close(&mut self, prompt: PromptId) -> bool {
        self.open.remove(&prompt).is_some()
    }

    /// Withdraws the prompts that are too old or that nothing waits for any more.
    pub(super) fn withdraw_unless(
        &mut self,
        is_needed: impl Fn(PromptId) -> bool,
        io: &mut Announcements,
        now: Timestamp,
    ) {
        self.open.retain(|prompt, expires| {
            let keep = now < *expires && is_needed(*prompt);
            if !keep {
                io.push(Output::PromptWithdrawn { prompt: *prompt });
            }
            keep
        });
    }

    pub(super) fn may_ask_about(&self, device_id: &str, now: Timestamp) -> bool {
        self.next_about(device_id) <= now
    }

    /// When the next prompt about a device may be shown.
    pub(super) fn next_about(&self, device_id: &str) -> Timestamp {
        self.last
            .get(device_id)
            .map_or_else(Timestamp::default, |last| *last + Self::INTERVAL)
    }
}

//! Events on their way to the server, until it took them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::back_off;
use crate::sharing::{RequestId, Send, SendId, wire};
use crate::{Content, Timestamp};

/// The unencrypted events that the server has not taken yet. They outlive a restart, and come again
/// with the same transaction ID.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Outbox {
    events: BTreeMap<SendId, Outgoing>,
    next_id: u64,
}

impl Outbox {
    /// The most events that wait. The oldest goes when there are more: what it was for expires by
    /// itself.
    const MAX_EVENTS: usize = 256;

    pub(super) fn queue(
        &mut self,
        request_id: &RequestId,
        content: Content,
        devices: Vec<String>,
        until: Timestamp,
    ) {
        if devices.is_empty() {
            return;
        }
        if self.events.len() >= Self::MAX_EVENTS {
            self.events.pop_first();
        }
        let id = SendId(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        let send = Send {
            id,
            transaction_id: format!("{request_id}.{}", id.0),
            event_type: wire::REQUEST.to_owned(),
            content,
            devices,
        };
        self.events.insert(
            id,
            Outgoing {
                request_id: request_id.clone(),
                send,
                until,
                due: Timestamp::default(),
                attempts: 0,
                in_flight: false,
            },
        );
    }

    /// Forgets what was to be sent for a request: it is over.
    pub(super) fn forget(&mut self, request_id: &RequestId) {
        self.events.retain(|_, one| one.request_id != *request_id);
    }

    pub(super) fn sent(&mut self, id: SendId) {
        self.events.remove(&id);
    }

    pub(super) fn failed(&mut self, id: SendId, now: Timestamp) {
        if let Some(outgoing) = self.events.get_mut(&id) {
            outgoing.in_flight = false;
            outgoing.attempts = outgoing.attempts.saturating_add(1);
            outgoing.due = now + back_off::after(outgoing.attempts);
        }
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        self.events.retain(|_, one| now < one.until);
    }

    /// The next event that is due; it is in flight from then on.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Send> {
        let outgoing = self
            .events
            .values_mut()
            .find(|one| !one.in_flight && one.due <= now)?;
        outgoing.in_flight = true;
        Some(outgoing.send.clone())
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.events
            .values()
            .map(|one| if one.in_flight { one.until } else { one.due })
            .min()
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Outgoing {
    request_id: RequestId,
    send: Send,
    until: Timestamp,
    due: Timestamp,
    attempts: u32,
    /// Not kept: after a restart nobody knows, so it is sent again.
    #[serde(skip)]
    in_flight: bool,
}

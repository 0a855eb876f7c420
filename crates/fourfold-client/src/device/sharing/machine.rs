//! The machine of secret sharing, what arrived for it, and what it wants.

use std::borrow::Cow;
use std::collections::VecDeque;

use fourfold::identity::Curve25519PublicKey;
use fourfold::sharing::{
    Authorised, Channel, Context, Input, Output, Policy, Received, RequestId, SecretSharing, Share,
    ShareId, ShareRefusal, ToDeviceEvent,
};
use fourfold::{Secret, SecretName, Timestamp};
use serde::Deserialize;
use tracing::debug;

use super::audit::AuditLog;
use super::received::ReceivedSecret;
use super::source::SecretSource;
use super::{held, received};
use crate::device::error::DeviceError;
use crate::device::event::DeviceEvent;
use crate::device::event_queue::EventQueue;
use crate::device::olm::Decrypted;
use crate::device::outbox::Outbox;
use crate::local_state::{SealedRows, Table};

/// Secret sharing of this device. What is changed is pending in the rows until the caller commits.
#[derive(Debug)]
pub(crate) struct Sharing {
    machine: SecretSharing,
    is_changed: bool,
    /// Events about secrets that the machine has not seen yet.
    arrived: Vec<ToDeviceEvent>,
    /// The secrets that the machine accepted and that are not stored yet.
    received: Vec<Received>,
    /// The secrets that the machine wants to share.
    shares: VecDeque<Share>,
    audit: AuditLog,
}

impl Sharing {
    /// The machine as it was kept, or one that has seen nothing.
    pub(crate) fn load(rows: &SealedRows) -> Result<Self, DeviceError> {
        Ok(Self {
            machine: machine(rows)?,
            is_changed: false,
            arrived: Vec::new(),
            received: Vec::new(),
            shares: VecDeque::new(),
            audit: AuditLog::load(rows)?,
        })
    }

    /// Goes back to what was kept.
    pub(crate) fn reload(&mut self, rows: &SealedRows) -> Result<(), DeviceError> {
        self.arrived.clear();
        self.received.clear();
        // The machine wants them again.
        self.shares.clear();
        self.machine = machine(rows)?;
        self.is_changed = false;
        Ok(())
    }

    /// Puts the state of the machine among what is pending.
    pub(crate) fn keep(&mut self, rows: &mut SealedRows) -> Result<(), DeviceError> {
        if std::mem::take(&mut self.is_changed) {
            rows.put(Table::Machine, "", &self.machine)?;
        }
        Ok(())
    }

    /// Tells the machine what happened.
    pub(crate) fn handle(&mut self, input: Input, context: &Context<'_>) {
        self.machine.handle(input, context);
        self.is_changed = true;
    }

    /// Carries out what the machine wants, as far as it needs neither the network nor a secret.
    /// Secrets to be shared wait for [`next_share`](Self::next_share).
    pub(crate) fn poll(
        &mut self,
        rows: &mut SealedRows,
        outbox: &Outbox,
        context: &Context<'_>,
        events: &mut EventQueue,
    ) -> Result<(), DeviceError> {
        while let Some(output) = self.machine.poll() {
            self.is_changed = true;
            match output {
                Output::Send(send) => {
                    let contents = send
                        .devices
                        .into_iter()
                        .map(|device| (device, send.content.clone()))
                        .collect();
                    outbox.put_as(rows, &send.event_type, send.transaction_id, &contents)?;
                    // Kept in the outbox from the same commit on, which does not forget it.
                    self.handle(Input::Sent { id: send.id }, context);
                }
                Output::Share(share) => self.shares.push_back(share),
                Output::Received(received) => self.received.push(received),
                Output::Prompt(prompt) => events.push(DeviceEvent::Prompt(prompt)),
                Output::PromptWithdrawn { prompt } => {
                    events.push(DeviceEvent::PromptWithdrawn { prompt });
                }
                Output::Ended {
                    request_id,
                    name,
                    outcome,
                } => events.push(DeviceEvent::Ended {
                    request_id,
                    name,
                    outcome,
                }),
                Output::Alert(alert) => events.push(DeviceEvent::Alert(alert)),
                Output::Audit(audit) => self.audit.keep(rows, &audit)?,
                output => debug!(?output, "not known"),
            }
        }
        Ok(())
    }

    /// An event about secrets arrived in the clear.
    pub(crate) fn arrived(&mut self, event_type: &str, content: &str, channel: Channel) {
        self.arrived.push(ToDeviceEvent {
            event_type: event_type.to_owned(),
            content: Secret::new(content),
            channel,
        });
    }

    /// An event about secrets arrived over Olm. While sharing is locked, an answer to a request that
    /// is open is kept for later as well.
    pub(crate) fn arrived_encrypted(
        &mut self,
        rows: &mut SealedRows,
        user_id: &str,
        decrypted: &Decrypted,
    ) -> Result<(), DeviceError> {
        if self.is_locked() && !(self.is_awaited(decrypted) && held::keep(rows, decrypted)?) {
            debug!("a secret is ignored: sharing is locked");
        }
        let curve25519 = Curve25519PublicKey::from_bytes(decrypted.from.curve25519.to_bytes());
        let Ok(curve25519) = curve25519 else {
            return Ok(());
        };
        let channel = Channel::Olm {
            sender: user_id.to_owned(),
            curve25519,
            ed25519: decrypted.from.ed25519,
        };
        self.arrived(&decrypted.event_type, &decrypted.content, channel);
        Ok(())
    }

    /// Puts what was kept while sharing was locked before what arrived, if it is not locked any
    /// more.
    pub(crate) fn release_held(
        &mut self,
        rows: &mut SealedRows,
        user_id: &str,
    ) -> Result<(), DeviceError> {
        if !self.is_locked() {
            let held = held::take(rows, user_id)?;
            self.arrived.splice(0..0, held);
        }
        Ok(())
    }

    /// Whether something was kept while sharing was locked, and it is not locked any more.
    pub(crate) fn has_held(&self, rows: &SealedRows) -> Result<bool, DeviceError> {
        Ok(!self.is_locked() && held::is_any(rows)?)
    }

    /// The events that arrived since the machine last handled them.
    pub(crate) fn take_arrived(&mut self) -> Vec<ToDeviceEvent> {
        std::mem::take(&mut self.arrived)
    }

    /// Keeps the secrets that the machine let through.
    pub(crate) async fn keep_received(
        &mut self,
        rows: &mut SealedRows,
        secrets: &mut impl SecretSource,
        events: &mut EventQueue,
    ) -> Result<(), DeviceError> {
        for received in std::mem::take(&mut self.received) {
            received::keep(rows, received, secrets, events).await?;
        }
        Ok(())
    }

    /// The secrets that came and were not discarded.
    pub(crate) fn received(&self, rows: &SealedRows) -> Result<Vec<ReceivedSecret>, DeviceError> {
        received::all(rows)
    }

    /// What is to be shared next: the same until it is [done](Self::share_is_done).
    pub(crate) fn next_share(&self) -> Option<Share> {
        self.shares.front().cloned()
    }

    /// Whatever came of it, the machine knows.
    pub(crate) fn share_is_done(&mut self, id: ShareId) {
        self.shares.retain(|share| share.id != id);
    }

    /// The final word on a share, at the moment of its encryption.
    pub(crate) fn authorise(
        &mut self,
        id: ShareId,
        context: &Context<'_>,
    ) -> Result<Authorised, ShareRefusal> {
        self.is_changed = true;
        self.machine.authorise(id, context)
    }

    /// The request for a secret that is still open.
    pub(crate) fn open_request(&self, name: &SecretName) -> Option<RequestId> {
        let mut open = self.machine.open_requests();
        open.find_map(|(id, of, _)| (of == name).then(|| id.clone()))
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.machine.policy()
    }

    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.machine.set_policy(policy);
        self.is_changed = true;
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.machine.next_deadline()
    }

    /// Puts the lines of the audit log that are kept among what is told.
    pub(crate) fn hand_over_audit(
        &mut self,
        rows: &SealedRows,
        events: &mut EventQueue,
    ) -> Result<(), DeviceError> {
        self.audit.hand_over(rows, events)
    }

    /// Forgets those that were.
    pub(crate) fn forget_audit(&self, rows: &mut SealedRows) {
        self.audit.forget(rows);
    }

    fn is_locked(&self) -> bool {
        self.machine.is_locked()
    }

    /// Returns `true` if it answers a request that is open. Anything else is of no use later.
    fn is_awaited(&self, decrypted: &Decrypted) -> bool {
        let answer: Option<Answer<'_>> = serde_json::from_str(&decrypted.content).ok();
        answer.is_some_and(|answer| {
            let mut open = self.machine.open_requests();
            open.any(|(id, ..)| id.as_str() == answer.request_id)
        })
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    request_id: Cow<'a, str>,
}

fn machine(rows: &SealedRows) -> Result<SecretSharing, DeviceError> {
    let machine: Option<SecretSharing> = rows.get(Table::Machine, "")?;
    Ok(machine.unwrap_or_else(|| SecretSharing::new(Policy::default())))
}

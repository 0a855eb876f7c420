//! Asking other devices for secrets, and what the machine of secret sharing decides.

use fourfold::rand_core::UnwrapErr;
use fourfold::sharing::{
    Channel, Input, Output, Policy, PromptId, Recipients, RequestId, SecretSharing, ToDeviceEvent,
    World,
};
use fourfold::{BackupVersion, Secret, SecretName, Timestamp};
use getrandom::SysRng;
use tracing::debug;

use super::secrets::SecretSource;
use crate::Account;
use crate::device::olm::decrypt::Decrypted;
use crate::device::{Device, DeviceError, DeviceEvent};
use crate::local_state::{SealedRows, Table};

impl Device {
    /// Asks other devices for a secret. What is sent leaves with the next [`flush`](Self::flush) or
    /// sync; how it ends comes as [`DeviceEvent::Ended`].
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn request_secret(
        &mut self,
        name: SecretName,
        recipients: Recipients,
    ) -> Result<RequestId, DeviceError> {
        let request_id = RequestId::random(&mut UnwrapErr(SysRng));
        self.tell_and_keep(Input::Ask {
            name,
            request_id: request_id.clone(),
            recipients,
        })?;
        Ok(request_id)
    }

    /// The request for a secret that is still open, of an earlier run of the program too.
    #[must_use]
    pub fn open_request(&self, name: &SecretName) -> Option<RequestId> {
        let mut open = self.machine.open_requests();
        open.find_map(|(id, of, _)| (of == name).then(|| id.clone()))
    }

    /// No longer wants a secret that was asked for.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn abort_request(&mut self, request_id: RequestId) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Abort { request_id })
    }

    /// Answers a [prompt](DeviceEvent::Prompt): the secrets that may be shared, none for "No".
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn answer_prompt(
        &mut self,
        prompt: PromptId,
        allowed: Vec<SecretName>,
    ) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::PromptAnswered { prompt, allowed })
    }

    /// Says which secrets could be shared. Without this, none are.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn set_shareable(&mut self, names: Vec<SecretName>) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Shareable { names })
    }

    /// Sends a secret to all verified devices that take such (MSC4385).
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn push_secret(&mut self, name: SecretName) -> Result<(), DeviceError> {
        let push_id = RequestId::random(&mut UnwrapErr(SysRng));
        self.tell_and_keep(Input::Push { name, push_id })
    }

    /// Shares nothing and takes nothing until [`unlock_sharing`](Self::unlock_sharing).
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn lock_sharing(&mut self) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Locked)
    }

    /// Shares and takes again.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn unlock_sharing(&mut self) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Unlocked)
    }

    /// Replaces the rules of what is shared with whom. Kept when this returns.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), DeviceError> {
        self.machine.set_policy(policy);
        self.is_machine_changed = true;
        self.commit()
    }

    /// The rules of what is shared with whom.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.machine.policy()
    }

    /// How long until something is due even if nothing happens; `None` for never. Then
    /// [`flush`](Self::flush).
    #[must_use]
    pub fn due_in(&self) -> Option<std::time::Duration> {
        let deadline = self.machine.next_deadline()?;
        Some(deadline.since(self.now()))
    }

    pub(in crate::device) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells the machine what happened. Pending until the caller commits.
    pub(in crate::device) fn tell(&mut self, input: Input) {
        let world = World {
            trust: &self.trust,
            evidence: &self.evidence,
            now: self.clock.now(),
        };
        self.machine.handle(input, &world);
        self.is_machine_changed = true;
    }

    /// An event about secrets arrived. Looked at when all of a sync were read.
    pub(in crate::device) fn arrived(&mut self, event_type: &str, content: &str, channel: Channel) {
        let event = ToDeviceEvent {
            event_type: event_type.to_owned(),
            content: Secret::new(content),
            channel,
        };
        self.arrived.push(event);
    }

    /// As [`arrived`](Self::arrived), for what came over Olm.
    pub(in crate::device) fn arrived_encrypted(&mut self, decrypted: &Decrypted) {
        let curve25519 = fourfold::identity::Curve25519PublicKey::from_bytes(
            decrypted.from.curve25519.to_bytes(),
        );
        let Ok(curve25519) = curve25519 else { return };
        let channel = Channel::Olm {
            sender: self.user_id.clone(),
            curve25519,
            ed25519: decrypted.from.ed25519,
        };
        self.arrived(&decrypted.event_type, &decrypted.content, channel);
    }

    /// Shows the machine what arrived, and carries out what it wants except for sharing, which
    /// waits for [`share_waiting`](Self::share_waiting). Pending until the caller commits.
    pub(in crate::device) async fn run_sharing(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        self.release_held()?;
        let arrived = std::mem::take(&mut self.arrived);
        // The key of a backup is compared with the version that is current now.
        let is_answer = |event: &ToDeviceEvent| event.event_type != "m.secret.request";
        if arrived.iter().any(is_answer) {
            let version = match account.backup_version().await {
                Err(error) if !error.is_final_answer() => return Err(error.into()),
                version => version.ok().flatten(),
            };
            self.evidence.backup =
                version.and_then(|version| BackupVersion::from_json(&version).ok());
        }
        for event in arrived {
            self.tell(Input::Event(event));
        }
        self.poll_sharing()?;
        for received in std::mem::take(&mut self.received) {
            self.keep_received(received, secrets).await?;
        }
        Ok(())
    }

    /// Carries out what the machine wants, as far as it needs neither the network nor a secret.
    fn poll_sharing(&mut self) -> Result<(), DeviceError> {
        while let Some(output) = self.machine.poll() {
            self.is_machine_changed = true;
            match output {
                Output::Send(send) => {
                    let contents = send
                        .devices
                        .into_iter()
                        .map(|device| (device, send.content.clone()))
                        .collect();
                    self.enqueue_as(&send.event_type, send.transaction_id, &contents)?;
                    // Kept in the outbox from the same commit on, which does not forget it.
                    self.tell(Input::Sent { id: send.id });
                }
                Output::Share(share) => self.shares.push_back(share),
                Output::Received(received) => self.received.push(received),
                Output::Prompt(prompt) => self.events.push_back(DeviceEvent::Prompt(prompt)),
                Output::PromptWithdrawn { prompt } => {
                    self.events
                        .push_back(DeviceEvent::PromptWithdrawn { prompt });
                }
                Output::Ended {
                    request_id,
                    name,
                    outcome,
                } => self.events.push_back(DeviceEvent::Ended {
                    request_id,
                    name,
                    outcome,
                }),
                Output::Alert(alert) => self.events.push_back(DeviceEvent::Alert(alert)),
                Output::Audit(audit) => self.keep_audit(audit)?,
                output => debug!(?output, "not known"),
            }
        }
        Ok(())
    }

    /// Lets time pass for the machine.
    pub(in crate::device) fn tick_sharing(&mut self) -> Result<(), DeviceError> {
        let is_due = self
            .machine
            .next_deadline()
            .is_some_and(|deadline| deadline <= self.now());
        if is_due {
            self.tell(Input::Tick);
        }
        self.poll_sharing()
    }

    /// Tells the machine something on behalf of the user. Kept when this returns.
    fn tell_and_keep(&mut self, input: Input) -> Result<(), DeviceError> {
        self.tell(input);
        let polled = self.poll_sharing();
        self.or_rolled_back(polled)?;
        self.commit()
    }

    /// Puts the state of the machine among what is pending.
    pub(in crate::device) fn keep_machine(&mut self) -> Result<(), DeviceError> {
        if std::mem::take(&mut self.is_machine_changed) {
            self.rows.put(Table::Machine, "", &self.machine)?;
        }
        Ok(())
    }
}

/// The machine as it was kept, or one that has seen nothing.
pub(in crate::device) fn load(rows: &SealedRows) -> Result<SecretSharing, DeviceError> {
    let machine: Option<SecretSharing> = rows.get(Table::Machine, "")?;
    Ok(machine.unwrap_or_else(|| SecretSharing::new(Policy::default())))
}

//! Verifying other devices by emoji, on the way of the device's other events.

use std::collections::BTreeMap;

use fourfold::Content;
use tracing::warn;

use super::clock::wall_clock;
use super::error::DeviceError;
use super::event::{DeviceEvent, VerificationEvent};
use super::outbox::random_id;
use super::this_device::Device;
use crate::verification::{CancelCode, Output};

impl Device {
    /// Asks devices of the user to verify each other with this one, those that are named or all.
    /// The first one that agrees takes part. Gives back the ID of the verification, which events
    /// carry. What is sent leaves with the next [`flush`](Self::flush) or sync.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotVerifiable`] when there is no such device, when its keys are not known or
    /// ambiguous, or when there are too many verifications already.
    pub fn verify(&mut self, device_ids: Option<&[&str]>) -> Result<String, DeviceError> {
        let wanted: Vec<String> = match device_ids {
            Some(ids) => ids.iter().map(|id| (*id).to_owned()).collect(),
            None => self.devices.verifiable(),
        };
        let mut own = None;
        let mut others = Vec::new();
        for device_id in wanted {
            let sides = self.devices.sides(&self.own, &device_id);
            let (this, other) = sides.ok_or_else(|| self.devices.not_verifiable(&device_id))?;
            own = Some(this);
            others.push(other);
        }
        let own = own.ok_or(DeviceError::NotVerifiable)?;
        let id = random_id()?;
        let now = self.clock.now().as_millis();
        self.verifications
            .request(id.clone(), own, others, now, wall_clock())
            .ok_or(DeviceError::NotVerifiable)?;
        self.run_verifications()?;
        Ok(id)
    }

    /// Agrees to the request of another device.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written. Unknown IDs do nothing: the verification is
    /// over.
    pub fn agree_to_verify(&mut self, id: &str) -> Result<(), DeviceError> {
        if let Some(verification) = self.verifications.get_mut(id) {
            verification.agree();
        }
        self.run_verifications()
    }

    /// Starts to compare when the other side does not.
    ///
    /// # Errors
    ///
    /// As [`agree_to_verify`](Self::agree_to_verify).
    pub fn start_comparing(&mut self, id: &str) -> Result<(), DeviceError> {
        if let Some(verification) = self.verifications.get_mut(id) {
            verification.start();
        }
        self.run_verifications()
    }

    /// The user compared what both devices show.
    ///
    /// # Errors
    ///
    /// As [`agree_to_verify`](Self::agree_to_verify).
    pub fn compared(&mut self, id: &str, is_same: bool) -> Result<(), DeviceError> {
        if let Some(verification) = self.verifications.get_mut(id) {
            verification.compared(is_same);
        }
        self.run_verifications()
    }

    /// Gives a verification up.
    ///
    /// # Errors
    ///
    /// As [`agree_to_verify`](Self::agree_to_verify).
    pub fn cancel_verification(&mut self, id: &str) -> Result<(), DeviceError> {
        if let Some(verification) = self.verifications.get_mut(id) {
            verification.cancel(CancelCode::User);
        }
        self.run_verifications()
    }

    /// An event of a verification. `from` is the device that an encrypted one came from.
    pub(super) fn receive_verification(
        &mut self,
        event_type: &str,
        content: &Content,
        from: Option<&str>,
    ) {
        let says_other = |claimed: String| from.is_some_and(|from| from != claimed);
        if content
            .get::<String>("from_device")
            .and_then(Result::ok)
            .is_some_and(says_other)
        {
            warn!("an encrypted event of a verification claims to be of another device");
            return;
        }
        let now = self.clock.now().as_millis();
        let asked = self.verifications.receive(
            event_type,
            content,
            |device_id| self.devices.sides(&self.own, device_id),
            now,
            wall_clock(),
        );
        if let Some((id, device_id)) = asked {
            self.events.push(DeviceEvent::Verification {
                id,
                event: VerificationEvent::Requested { device_id },
            });
        }
    }

    /// Carries out what the verifications want. Kept when this returns.
    pub(super) fn run_verifications(&mut self) -> Result<(), DeviceError> {
        self.keep(Self::poll_verifications)
    }

    /// Carries out what the verifications want. Pending until the caller commits.
    pub(super) fn poll_verifications(&mut self) -> Result<(), DeviceError> {
        self.verifications.tick(self.clock.now().as_millis());
        while let Some((id, output)) = self.verifications.poll() {
            let event = match output {
                Output::Send {
                    to,
                    event_type,
                    content,
                } => {
                    let contents: BTreeMap<_, _> =
                        to.into_iter().map(|id| (id, content.clone())).collect();
                    self.outbox.put(&mut self.rows, event_type, &contents)?;
                    continue;
                }
                Output::Ready { device_id } => {
                    // The side that asked starts: one of both has to.
                    if let Some(verification) = self.verifications.get_mut(&id) {
                        verification.start();
                    }
                    VerificationEvent::Ready { device_id }
                }
                Output::Compare(short_string) => VerificationEvent::Compare(short_string),
                Output::Verified {
                    device_id,
                    ed25519,
                    master_key,
                } => VerificationEvent::Verified {
                    device_id,
                    ed25519,
                    master_key,
                },
                Output::Cancelled { code, by_us } => VerificationEvent::Cancelled { code, by_us },
            };
            self.events.push(DeviceEvent::Verification { id, event });
        }
        Ok(())
    }
}

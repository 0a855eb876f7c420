//! To-device events, one by one: who may say what.

use std::borrow::Cow;

use fourfold::Content;
use fourfold::sharing::Channel;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::debug;

use super::error::DeviceError;
use super::this_device::Device;

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    #[serde(borrow)]
    content: &'a RawValue,
}

impl Device {
    /// Takes in an event. Whatever is wrong with it, it is omitted and the rest goes on; an error
    /// is one of this machine. Pending until the caller commits.
    pub(super) fn receive(&mut self, event: &str) -> Result<(), DeviceError> {
        let Ok(event) = serde_json::from_str::<Event<'_>>(event) else {
            debug!("an event is malformed");
            return Ok(());
        };
        // Nothing of other users concerns this device: no query, no look-up, nothing kept.
        if event.sender != self.user_id() {
            return Ok(());
        }
        match &*event.event_type {
            "m.room.encrypted" => self.receive_encrypted(&event.sender, event.content.get()),
            event_type if event_type.starts_with("m.key.verification.") => {
                if let Ok(content) = Content::from_json(event.content.get()) {
                    self.receive_verification(event_type, &content, None);
                    self.poll_verifications()?;
                }
                Ok(())
            }
            event_type if is_about_secrets(event_type) => {
                let sender = event.sender.clone().into_owned();
                let channel = Channel::Plain { sender };
                self.sharing
                    .arrived(event_type, event.content.get(), channel);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn receive_encrypted(&mut self, sender: &str, content: &str) -> Result<(), DeviceError> {
        let now = self.clock.now().as_millis();
        let known = |key: &_| self.devices.claimants(key);
        let decrypted = self
            .own
            .decrypt(&mut self.rows, sender, content, known, now)?;
        let decrypted = match decrypted {
            Ok(decrypted) => decrypted,
            Err(error) => {
                debug!(%error, "an encrypted event is ignored");
                return Ok(());
            }
        };
        let event_type = decrypted.event_type.as_str();
        if event_type.starts_with("m.key.verification.") {
            if let Ok(content) = Content::from_json(&decrypted.content) {
                self.receive_verification(event_type, &content, Some(&decrypted.from.device_id));
                self.poll_verifications()?;
            }
        } else if is_about_secrets(event_type) {
            self.sharing
                .arrived_encrypted(&mut self.rows, self.own.user_id(), &decrypted)?;
        }
        Ok(())
    }
}

fn is_about_secrets(event_type: &str) -> bool {
    event_type.starts_with("m.secret.") || event_type.starts_with("io.element.msc4385.secret.")
}

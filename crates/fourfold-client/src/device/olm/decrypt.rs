//! Decrypting what other devices of the user sent.

use std::borrow::Cow;

use fourfold::base64;
use serde::Deserialize;
use serde_json::value::RawValue;
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{OlmMessage, PreKeyMessage, SessionConfig, SessionCreationError};
use zeroize::Zeroizing;

use super::error::OlmError;
use super::own_device::OwnDevice;
use super::own_keys::OwnKeys;
use super::payload::Payload;
use super::peer::{Peer, PeerNotes};
use super::sessions::Sessions;
use crate::device::error::DeviceError;
use crate::local_state::SealedRows;

/// An event that came over Olm, from a device of the user that the checks tie it to. Whether the
/// device is trusted is another question.
pub(crate) struct Decrypted {
    pub(crate) from: Peer,
    pub(crate) event_type: String,
    /// JSON.
    pub(crate) content: Zeroizing<String>,
}

impl OwnDevice {
    /// Decrypts the content of an `m.room.encrypted` event and checks what is inside.
    ///
    /// `known` finds the devices that claim a Curve25519 key, the likeliest first; a key of no device
    /// is not tried. The side that encrypted holds the private half and says, inside, which Ed25519
    /// key goes with it: the event is from the claimant that has it, and others do not disturb.
    /// What changes is pending in the rows, also after an [`OlmError`]: the caller commits.
    pub(crate) fn decrypt(
        &self,
        rows: &mut SealedRows,
        sender: &str,
        content: &str,
        known: impl FnOnce(&Curve25519PublicKey) -> Vec<Peer>,
        now: u64,
    ) -> Result<Result<Decrypted, OlmError>, DeviceError> {
        let (claimants, message) = match self.read(sender, content, known) {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        // Sessions are bound to the Curve25519 key, which all of them have.
        let Some(holder) = claimants.first() else {
            return Ok(Err(OlmError::UnknownSender));
        };
        let mut notes = PeerNotes::load(rows, holder)?;
        if notes.is_exhausted(now) {
            return Ok(Err(OlmError::Exhausted));
        }
        let plaintext = match self.decrypt_message(rows, holder, &message, &notes)? {
            Ok(plaintext) => plaintext,
            Err(error) => {
                // Changed by the attempt above only when it succeeded.
                notes.failed(now);
                notes.is_wedged = true;
                notes.save(rows, holder)?;
                return Ok(Err(error));
            }
        };
        Ok(self.checked(claimants, sender, &plaintext))
    }

    fn read(
        &self,
        sender: &str,
        content: &str,
        known: impl FnOnce(&Curve25519PublicKey) -> Vec<Peer>,
    ) -> Result<(Vec<Peer>, OlmMessage), OlmError> {
        let event: Event<'_> = serde_json::from_str(content).map_err(|_| OlmError::Malformed)?;
        if event.algorithm != "m.olm.v1.curve25519-aes-sha2" {
            return Err(OlmError::NotOlm);
        }
        let sender_key = event
            .sender_key
            .and_then(|key| Curve25519PublicKey::from_base64(&key).ok())
            .ok_or(OlmError::Malformed)?;
        // Before anything is spent on it.
        if sender != self.user_id() {
            return Err(OlmError::UnknownSender);
        }
        let mut claimants = known(&sender_key);
        claimants.retain(|from| from.device_id != self.device_id());
        if claimants.is_empty() {
            return Err(OlmError::UnknownSender);
        }
        let for_all = event.ciphertext.ok_or(OlmError::Malformed)?;
        let for_all =
            fourfold::Content::from_json(for_all.get()).map_err(|_| OlmError::Malformed)?;
        let ours: Ciphertext<'_> = for_all
            .get(self.curve25519())
            .ok_or(OlmError::NotForUs)?
            .map_err(|_| OlmError::Malformed)?;
        let bytes = base64::decode(&ours.body)
            .map_err(|_| OlmError::Malformed)?
            .bytes;
        let message =
            OlmMessage::from_parts(ours.message_type, &bytes).map_err(|_| OlmError::Malformed)?;
        Ok((claimants, message))
    }

    fn decrypt_message(
        &self,
        rows: &mut SealedRows,
        from: &Peer,
        message: &OlmMessage,
        notes: &PeerNotes,
    ) -> Result<Result<Zeroizing<Vec<u8>>, OlmError>, DeviceError> {
        let mut sessions = Sessions::load(rows, from)?;
        let order = sessions.next_order();
        let begins = match message {
            OlmMessage::PreKey(message) => Some(message.session_id()),
            OlmMessage::Normal(_) => None,
        };
        let mut is_known = false;
        for held in sessions.all() {
            if begins
                .as_ref()
                .is_some_and(|id| *id != held.session.session_id())
            {
                continue;
            }
            is_known = true;
            if let Ok(plaintext) = held.session.decrypt(message) {
                held.received(message, order);
                held.save(rows, from)?;
                return Ok(Ok(Zeroizing::new(plaintext)));
            }
        }
        match (message, begins) {
            (OlmMessage::PreKey(first), Some(id)) if !is_known && !notes.was_session(&id) => {
                self.begin_inbound(rows, from, first, message, &mut sessions)
            }
            _ => Ok(Err(OlmError::Decryption)),
        }
    }

    fn begin_inbound(
        &self,
        rows: &mut SealedRows,
        from: &Peer,
        first: &PreKeyMessage,
        message: &OlmMessage,
        sessions: &mut Sessions,
    ) -> Result<Result<Zeroizing<Vec<u8>>, OlmError>, DeviceError> {
        let mut keys = OwnKeys::load(rows)?;
        let begun =
            keys.account
                .create_inbound_session(SessionConfig::version_1(), from.curve25519, first);
        let begun = match begun {
            Ok(begun) => begun,
            Err(SessionCreationError::MissingOneTimeKey(_)) => {
                return Ok(Err(OlmError::UnknownOneTimeKey));
            }
            Err(_) => return Ok(Err(OlmError::Decryption)),
        };
        // The one-time key is used up and the session is there, both or neither.
        keys.save(rows)?;
        sessions.add(rows, from, begun.session, Some(message))?;
        Ok(Ok(Zeroizing::new(begun.plaintext)))
    }

    fn checked(
        &self,
        claimants: Vec<Peer>,
        sender: &str,
        plaintext: &[u8],
    ) -> Result<Decrypted, OlmError> {
        let payload = Payload::read(plaintext)?;
        let mut refusal = None;
        for from in claimants {
            match payload.check(sender, &from, self.user_id(), self.ed25519()) {
                Ok(()) => {
                    return Ok(Decrypted {
                        event_type: payload.event_type.clone().into_owned(),
                        content: Zeroizing::new(payload.content.get().to_owned()),
                        from,
                    });
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or(OlmError::UnknownSender))
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    algorithm: Cow<'a, str>,
    #[serde(borrow, default)]
    sender_key: Option<Cow<'a, str>>,
    /// For Olm an object, for Megolm a string.
    #[serde(borrow, default)]
    ciphertext: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Ciphertext<'a> {
    #[serde(rename = "type")]
    message_type: usize,
    #[serde(borrow)]
    body: Cow<'a, str>,
}

//! Encrypting for other devices of the user.

use fourfold::Content;
use fourfold::signable::Kind;
use serde_json::json;
use serde_json::value::RawValue;
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::SessionConfig;

use super::own_device::OwnDevice;
use super::own_keys::OwnKeys;
use super::payload::Payload;
use super::peer::{Peer, PeerNotes};
use super::sessions::Sessions;
use crate::device::error::DeviceError;
use crate::local_state::SealedRows;

/// Why a one-time key that the server handed out is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OneTimeKeyError {
    #[error("the key agreement would use a key of low order")]
    Insecure,
    #[error("it is malformed")]
    Malformed,
    #[error("the server has none")]
    Missing,
    #[error("it was handed out before")]
    Reused,
    #[error("the device did not sign it")]
    Signature,
}

impl OwnDevice {
    /// Whether something can be encrypted for a device without claiming a one-time key.
    pub(crate) fn has_session(&self, rows: &SealedRows, to: &Peer) -> Result<bool, DeviceError> {
        let mut sessions = Sessions::load(rows, to)?;
        Ok(sessions.for_sending(self.run()).is_some())
    }

    /// Begins a session with a device, with a key that the server handed out for it: `claimed` is
    /// the ID of the key to the key. Pending until the caller commits.
    pub(crate) fn begin_outbound(
        &self,
        rows: &mut SealedRows,
        to: &Peer,
        claimed: &Content,
    ) -> Result<Result<(), OneTimeKeyError>, DeviceError> {
        let one_time_key = match self.check_one_time_key(to, claimed) {
            Ok(key) => key,
            Err(error) => return Ok(Err(error)),
        };
        let mut notes = PeerNotes::load(rows, to)?;
        if !one_time_key.is_fallback && !notes.use_one_time_key(&one_time_key.key.to_base64()) {
            return Ok(Err(OneTimeKeyError::Reused));
        }
        let session = OwnKeys::load(rows)?.account.create_outbound_session(
            SessionConfig::version_1(),
            to.curve25519,
            one_time_key.key,
        );
        let Ok(session) = session else {
            return Ok(Err(OneTimeKeyError::Insecure));
        };
        notes.save(rows, to)?;
        Sessions::load(rows, to)?.add(rows, to, session, None)?;
        Ok(Ok(()))
    }

    /// Encrypts an event for a device: the content of an `m.room.encrypted` event. `None` when there
    /// is no session to do it with. Pending until the caller commits, which must be before it
    /// leaves.
    pub(crate) fn encrypt(
        &self,
        rows: &mut SealedRows,
        to: &Peer,
        event_type: &str,
        content: &RawValue,
    ) -> Result<Option<Content>, DeviceError> {
        let mut sessions = Sessions::load(rows, to)?;
        let Some(held) = sessions.for_sending(self.run()) else {
            return Ok(None);
        };
        let plaintext =
            Payload::write(self, to, event_type, content).ok_or(DeviceError::Damaged)?;
        let Ok(message) = held.session.encrypt(plaintext.as_slice()) else {
            return Ok(None);
        };
        held.sent(self.run());
        held.save(rows, to)?;
        let mut encrypted = Content::default();
        encrypted.insert("algorithm", "m.olm.v1.curve25519-aes-sha2");
        encrypted.insert("sender_key", self.curve25519());
        encrypted.insert("ciphertext", &json!({to.name(): message}));
        Ok(Some(encrypted))
    }

    fn check_one_time_key(
        &self,
        to: &Peer,
        claimed: &Content,
    ) -> Result<OneTimeKey, OneTimeKeyError> {
        let id = claimed
            .members()
            .find(|id| id.starts_with("signed_curve25519:"))
            .ok_or(OneTimeKeyError::Missing)?;
        let signed = claimed
            .object(id)
            .and_then(Result::ok)
            .ok_or(OneTimeKeyError::Malformed)?;
        Kind::OneTimeKey
            .check(&signed)
            .map_err(|_| OneTimeKeyError::Malformed)?;
        to.ed25519
            .verify_as(
                &signed,
                self.user_id(),
                &format!("ed25519:{}", to.device_id),
            )
            .map_err(|_| OneTimeKeyError::Signature)?;
        let key = signed
            .get::<String>("key")
            .and_then(Result::ok)
            .and_then(|key| Curve25519PublicKey::from_base64(&key).ok())
            .ok_or(OneTimeKeyError::Malformed)?;
        Ok(OneTimeKey {
            key,
            is_fallback: signed.get("fallback") == Some(Ok(true)),
        })
    }
}

struct OneTimeKey {
    key: Curve25519PublicKey,
    is_fallback: bool,
}

//! What is inside an Olm message, and the checks that tie it to a device.

use std::borrow::Cow;

use fourfold::Content;
use fourfold::signable::Kind;
use fourfold::signed_json::PublicKey;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::error::OlmError;
use super::own_device::OwnDevice;
use super::peer::Peer;
use crate::wiped_json::to_wiped_json;

/// The plaintext of an Olm message
/// ([m.olm.v1](https://spec.matrix.org/v1.19/client-server-api/#molmv1curve25519-aes-sha2)).
#[derive(Deserialize, Serialize)]
pub(crate) struct Payload<'a> {
    #[serde(borrow, rename = "type")]
    pub(crate) event_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) content: &'a RawValue,
    #[serde(borrow)]
    sender: Cow<'a, str>,
    #[serde(borrow)]
    recipient: Cow<'a, str>,
    recipient_keys: Ed25519Key,
    keys: Ed25519Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sender_device_keys: Option<Content>,
    /// As `sender_device_keys` was called before it was specified, and still is by some clients.
    #[serde(
        default,
        rename = "org.matrix.msc4147.device_keys",
        skip_serializing_if = "Option::is_none"
    )]
    unstable_device_keys: Option<Content>,
}

#[derive(Deserialize, Serialize)]
struct Ed25519Key {
    ed25519: String,
}

impl<'a> Payload<'a> {
    pub(crate) fn read(plaintext: &'a [u8]) -> Result<Self, OlmError> {
        serde_json::from_slice(plaintext).map_err(|_| OlmError::Payload)
    }

    /// The plaintext of an event to another device.
    pub(crate) fn write(
        own: &OwnDevice,
        to: &Peer,
        event_type: &str,
        content: &RawValue,
    ) -> Option<Zeroizing<Vec<u8>>> {
        to_wiped_json(&Payload {
            event_type: event_type.into(),
            content,
            sender: own.user_id().into(),
            recipient: own.user_id().into(),
            recipient_keys: Ed25519Key {
                ed25519: to.ed25519.to_base64(),
            },
            keys: Ed25519Key {
                ed25519: own.ed25519().to_owned(),
            },
            sender_device_keys: Some(own.device_keys().clone()),
            unstable_device_keys: None,
        })
    }

    /// The checks that the specification demands of every decrypted event
    /// ([Validation](https://spec.matrix.org/v1.19/client-server-api/#validation-of-incoming-decrypted-events)).
    pub(crate) fn check(
        &self,
        sender: &str,
        from: &Peer,
        recipient: &str,
        recipient_ed25519: &str,
    ) -> Result<(), OlmError> {
        if self.sender != sender {
            return Err(OlmError::Sender);
        }
        if PublicKey::from_base64(&self.keys.ed25519) != Ok(from.ed25519) {
            return Err(OlmError::SenderKey);
        }
        if self.recipient != recipient {
            return Err(OlmError::Recipient);
        }
        if self.recipient_keys.ed25519.trim_end_matches('=') != recipient_ed25519 {
            return Err(OlmError::RecipientKey);
        }
        for device_keys in [&self.sender_device_keys, &self.unstable_device_keys]
            .into_iter()
            .flatten()
        {
            check_device_keys(device_keys, sender, from)?;
        }
        Ok(())
    }
}

/// The checks of `sender_device_keys`, which the sender may leave out.
fn check_device_keys(device_keys: &Content, sender: &str, from: &Peer) -> Result<(), OlmError> {
    let text = |member| device_keys.get::<String>(member).and_then(Result::ok);
    if text("user_id").as_deref() != Some(sender) {
        return Err(OlmError::DeviceKeysUser);
    }
    // Not the ID that it is listed under: what is signed must say itself what it is about.
    let device_id = text("device_id").ok_or(OlmError::DeviceKeysSignature)?;
    let keys = device_keys
        .object("keys")
        .and_then(Result::ok)
        .unwrap_or_default();
    let key = |algorithm| {
        keys.get::<String>(&format!("{algorithm}:{device_id}"))
            .and_then(Result::ok)
    };
    let curve25519 =
        key("curve25519").and_then(|key| vodozemac::Curve25519PublicKey::from_base64(&key).ok());
    if curve25519 != Some(from.curve25519) {
        return Err(OlmError::DeviceKeysCurve25519);
    }
    let ed25519 = key("ed25519").and_then(|key| PublicKey::from_base64(&key).ok());
    if ed25519 != Some(from.ed25519) {
        return Err(OlmError::DeviceKeysEd25519);
    }
    if device_id != from.device_id {
        return Err(OlmError::DeviceKeysDevice);
    }
    Kind::Device
        .check(device_keys)
        .map_err(|_| OlmError::DeviceKeysSignature)?;
    from.ed25519
        .verify_as(device_keys, sender, &format!("ed25519:{device_id}"))
        .map_err(|_| OlmError::DeviceKeysSignature)
}

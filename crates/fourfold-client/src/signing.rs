//! Signing the user's own devices: what is published, and what is read back after a signature.

use std::collections::BTreeMap;

use fourfold::{
    Content, ContentError, PublishedIdentity,
    cross_signing::{ConfirmedDevice, SignDeviceError},
    signed_json::SigningKey,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::instrument;

use crate::{Account, Error, ErrorKind, RefusedSignature};

/// Everything that the server publishes of the user's keys, from one answer.
#[derive(Clone, Debug)]
pub struct PublishedKeys {
    identity: PublishedIdentity,
    devices: BTreeMap<String, Content>,
}

impl PublishedKeys {
    /// Reads the body of an answer to `POST /keys/query`.
    ///
    /// # Errors
    ///
    /// [`ContentError`] when it is no JSON object, or lists devices that are none.
    pub fn from_keys_query(user_id: &str, body: &str) -> Result<Self, ContentError> {
        #[derive(Deserialize)]
        struct Body {
            #[serde(default)]
            device_keys: BTreeMap<String, BTreeMap<String, Box<RawValue>>>,
        }
        let identity = PublishedIdentity::from_keys_query(user_id, body)?;
        let mut body: Body = serde_json::from_str(body).map_err(|_| ContentError::NotAnObject)?;
        let devices = body.device_keys.remove(user_id).unwrap_or_default();
        // A damaged device never hides another one.
        let devices = devices
            .into_iter()
            .filter_map(|(id, keys)| Some((id, Content::from_json(keys.get()).ok()?)))
            .collect();
        Ok(Self { identity, devices })
    }

    /// The cross-signing keys.
    #[must_use]
    pub fn identity(&self) -> &PublishedIdentity {
        &self.identity
    }

    /// The keys of a device, as the server shows them. They prove nothing by themselves.
    #[must_use]
    pub fn device(&self, device_id: &str) -> Option<&Content> {
        self.devices.get(device_id)
    }

    /// The keys of all devices, by device ID.
    pub fn devices(&self) -> impl Iterator<Item = (&str, &Content)> {
        self.devices
            .iter()
            .map(|(device_id, keys)| (device_id.as_str(), keys))
    }
}

impl Account {
    /// Asks the server for everything that it publishes of the user's own keys.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed), and the errors of every call.
    pub async fn published_keys(&self) -> Result<PublishedKeys, Error> {
        let body = self.keys_query(self.user_id()).await?;
        PublishedKeys::from_keys_query(self.user_id(), &body).map_err(|error| {
            let to = "/keys/query";
            Error::from(ErrorKind::Malformed { to })
                .at(self.homeserver().base_url())
                .because(error)
        })
    }

    /// Signs a device with the self-signing key, uploads the signature, reads it back and verifies
    /// it here. `published` is what the device was confirmed against.
    ///
    /// # Errors
    ///
    /// [`SigningError`] tells apart what was refused, and what was accepted and is not shown.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn sign_device(
        &self,
        device: &ConfirmedDevice,
        self_signing_key: &SigningKey,
        published: &PublishedKeys,
    ) -> Result<(), SigningError> {
        let signed = device.sign(self_signing_key, published.identity())?;
        let refused = self
            .upload_signatures(&[(device.device_id(), &signed)])
            .await?;
        if let Some(refused) = refused.into_iter().next() {
            return Err(SigningError::Refused(refused));
        }
        let now = self.published_keys().await?;
        let served = now
            .device(device.device_id())
            .ok_or(SigningError::NotShown)?;
        // Judged by the keys that were verified before, whatever the server shows as such now.
        device
            .check_signed(served, published.identity())
            .map_err(SigningError::NotAsSigned)
    }
}

/// Why a device is not signed, or not visibly so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// It was not signed at all.
    #[error(transparent)]
    NotSigned(#[from] SignDeviceError),
    /// The server did not take the signature.
    #[error(transparent)]
    Refused(#[from] RefusedSignature),
    /// The server accepted the signature and shows no keys of the device.
    #[error("the server accepted the signature, but does not show the device")]
    NotShown,
    /// The server accepted the signature, and what it shows is not the signed device.
    #[error("the server accepted the signature, but does not show it: {0}")]
    NotAsSigned(SignDeviceError),
    /// A call did not succeed.
    #[error(transparent)]
    Server(#[from] Error),
}

#[cfg(test)]
mod tests;

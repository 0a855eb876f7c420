//! Everything that one answer to `/keys/query` says about one user.

use std::collections::BTreeMap;

use crate::identity::{DeviceKeys, DeviceKeysError, PublishedIdentity};
use crate::{Content, ContentError};

/// The published identity and the devices of a user, at one moment.
#[derive(Clone, Debug)]
pub struct UserKeys {
    user_id: String,
    identity: PublishedIdentity,
    devices: BTreeMap<String, Result<DeviceKeys, DeviceKeysError>>,
}

impl UserKeys {
    /// The most devices that are read. An answer that lists more is refused as a whole: nobody has
    /// so many, and to take some of them would be to let the server choose which.
    pub const MAX_DEVICES: usize = 1000;

    /// Reads the body of an answer to `POST /keys/query`.
    ///
    /// # Errors
    ///
    /// [`UserKeysError`] when the answer says nothing about this user, or more than can be read. A
    /// device whose keys are malformed does not hide the others.
    pub fn from_keys_query(user_id: &str, body: &str) -> Result<Self, UserKeysError> {
        let content = Content::from_json(body)?;
        let of_users = content
            .object("device_keys")
            .ok_or(UserKeysError::UserMissing)??;
        let listed = of_users
            .object(user_id)
            .ok_or(UserKeysError::UserMissing)??;
        if listed.members().count() > Self::MAX_DEVICES {
            return Err(UserKeysError::TooManyDevices);
        }
        let devices = listed
            .members()
            .map(|id| (id.to_owned(), device(user_id, id, &listed)))
            .collect();
        Ok(Self {
            user_id: user_id.to_owned(),
            identity: PublishedIdentity::from_keys_query(user_id, body)?,
            devices,
        })
    }

    /// The same devices with another identity: what is published when one is going to be.
    #[must_use]
    pub fn with_identity(mut self, identity: PublishedIdentity) -> Self {
        self.identity = identity;
        self
    }

    /// Whose keys they are.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The cross-signing keys.
    #[must_use]
    pub const fn identity(&self) -> &PublishedIdentity {
        &self.identity
    }

    /// The devices with their IDs, in order of the IDs; a device that cannot be used says why.
    pub fn devices(&self) -> impl Iterator<Item = (&str, &Result<DeviceKeys, DeviceKeysError>)> {
        self.devices.iter().map(|(id, keys)| (id.as_str(), keys))
    }

    /// One device.
    #[must_use]
    pub fn device(&self, device_id: &str) -> Option<&Result<DeviceKeys, DeviceKeysError>> {
        self.devices.get(device_id)
    }

    /// A device whose ID is a cross-signing key of the user, which no honest server allows: nothing
    /// must be signed while there is one.
    #[must_use]
    pub fn colliding_device(&self) -> Option<&str> {
        let mut ids = self.devices.keys().map(String::as_str);
        ids.find(|id| self.identity.listed().any(|key| key.is_device_id(id)))
    }
}

/// Why an answer to `/keys/query` is of no use. What was known before stays as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserKeysError {
    /// The answer, or a part of it, is not what it should be.
    #[error("the answer to the device query {0}")]
    Content(#[from] ContentError),
    /// More devices than [`UserKeys::MAX_DEVICES`].
    #[error(
        "the server lists more than {} devices; log out unused ones",
        UserKeys::MAX_DEVICES
    )]
    TooManyDevices,
    /// The server left the user out, as it does when it could not look.
    #[error("the server did not return the devices of this user")]
    UserMissing,
}

crate::error_code::error_codes! {
    UserKeysError:
    Self::Content { .. } => "user_keys_content",
    Self::TooManyDevices { .. } => "user_keys_too_many_devices",
    Self::UserMissing { .. } => "user_keys_user_missing",
}

fn device(user_id: &str, device_id: &str, listed: &Content) -> Result<DeviceKeys, DeviceKeysError> {
    match listed.object(device_id) {
        Some(Ok(content)) => DeviceKeys::from_content(user_id, device_id, &content),
        _ => Err(DeviceKeysError::Malformed),
    }
}

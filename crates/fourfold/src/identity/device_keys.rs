//! The keys of one device, as `/keys/query` shows them.

use crate::Content;
use crate::identity::Curve25519PublicKey;
use crate::signable::{ForeignMember, Kind, Signable};
use crate::signed_json::{PublicKey, PublicKeyError, SignatureError};

/// The identity keys of a device, whose self-signature is verified
/// ([Device keys](https://spec.matrix.org/v1.19/client-server-api/#device-keys)).
///
/// The self-signature shows that the holder of the device's Ed25519 key wrote the object; whether
/// the device belongs to the user is for [`Trust`](super::Trust) to say.
#[derive(Clone, Debug)]
pub struct DeviceKeys {
    user_id: String,
    device_id: String,
    ed25519: PublicKey,
    curve25519: Curve25519PublicKey,
    display_name: Option<String>,
    dehydrated: bool,
    algorithms: Vec<String>,
    content: Content,
}

impl DeviceKeys {
    /// The longest device ID that is read, in bytes.
    pub const MAX_ID_BYTES: usize = 255;
    /// The longest display name that is kept, in characters; longer ones are cut.
    pub const MAX_DISPLAY_NAME_CHARS: usize = 128;

    /// Reads the object that stands for `device_id` among the devices of `user_id`.
    ///
    /// # Errors
    ///
    /// [`DeviceKeysError`]: it speaks of another device, lacks a key, could be taken for something
    /// else that carries signatures, or its signature by its own Ed25519 key does not fit.
    pub fn from_content(
        user_id: &str,
        device_id: &str,
        content: &Content,
    ) -> Result<Self, DeviceKeysError> {
        if device_id.is_empty()
            || device_id.len() > Self::MAX_ID_BYTES
            || device_id.chars().any(char::is_control)
        {
            return Err(DeviceKeysError::DeviceId);
        }
        Kind::Device.check(content)?;
        let says =
            |member, expected: &str| content.get::<String>(member) == Some(Ok(expected.to_owned()));
        if !says("user_id", user_id) || !says("device_id", device_id) {
            return Err(DeviceKeysError::OtherDevice);
        }
        let Some(Ok(algorithms)) = content.get::<Vec<String>>("algorithms") else {
            return Err(DeviceKeysError::Malformed);
        };
        let Some(Ok(keys)) = content.object("keys") else {
            return Err(DeviceKeysError::Malformed);
        };
        let key = |algorithm| match keys.get::<String>(&format!("{algorithm}:{device_id}")) {
            None => Err(DeviceKeysError::MissingKey),
            Some(key) => key.map_err(|_| DeviceKeysError::Malformed),
        };
        let ed25519 = PublicKey::from_base64(&key("ed25519")?)?;
        let curve25519 = Curve25519PublicKey::from_base64(&key("curve25519")?)?;
        ed25519.verify_as(content, user_id, &format!("ed25519:{device_id}"))?;
        Ok(Self {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            ed25519,
            curve25519,
            display_name: display_name(content),
            // Whatever is not plainly "no" is a device that nobody sits at (MSC3814).
            dehydrated: !matches!(content.raw("dehydrated"), None | Some("false")),
            algorithms,
            content: content.clone(),
        })
    }

    /// The owner.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The device ID, at most [`MAX_ID_BYTES`](Self::MAX_ID_BYTES) bytes, without control
    /// characters.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The key that signs for the device: its fingerprint.
    #[must_use]
    pub const fn ed25519(&self) -> PublicKey {
        self.ed25519
    }

    /// The key that Olm sessions with the device are bound to.
    #[must_use]
    pub const fn curve25519(&self) -> Curve25519PublicKey {
        self.curve25519
    }

    /// The display name of the device from the server. Anybody may have written it: show it
    /// escaped, and decide nothing by it.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// Returns `true` if it is a dehydrated device (MSC3814): kept on the server, with nobody
    /// behind it who could use a secret.
    #[must_use]
    pub const fn is_dehydrated(&self) -> bool {
        self.dehydrated
    }

    /// The known members of the device keys, rebuilt: only these may be signed.
    pub(crate) fn to_sign(&self) -> Signable {
        let (curve25519, ed25519) = (self.curve25519, self.ed25519);
        let built = Signable::device_keys(
            &self.user_id,
            &self.device_id,
            &self.algorithms,
            curve25519,
            ed25519,
        );
        match self.content.raw("dehydrated") {
            Some("false") => built.not_dehydrated(),
            _ => built,
        }
    }

    /// The object itself, as it came.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.content
    }
}

/// Why the keys of a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceKeysError {
    /// The ID is empty, too long, or has control characters.
    #[error("the device ID is invalid")]
    DeviceId,
    /// It could be taken for something else that carries signatures, such as a cross-signing key.
    #[error("the object of the device {0}")]
    Foreign(#[from] ForeignMember),
    /// `keys` or `algorithms` is missing or of the wrong type.
    #[error("the device keys are malformed")]
    Malformed,
    /// There is no Ed25519 or no Curve25519 key under the device's ID.
    #[error("the device has no Ed25519 or no Curve25519 key")]
    MissingKey,
    /// `user_id` or `device_id` in the object is not where it was found.
    #[error("the device keys belong to another device")]
    OtherDevice,
    /// Not a public key.
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The device did not sign them.
    #[error("the device keys are not signed by the device: {0}")]
    Signature(#[from] SignatureError),
}

crate::error_code::error_codes! {
    DeviceKeysError:
    Self::DeviceId { .. } => "device_keys_device_id",
    Self::Foreign { .. } => "device_keys_foreign",
    Self::Malformed { .. } => "device_keys_malformed",
    Self::MissingKey { .. } => "device_keys_missing_key",
    Self::OtherDevice { .. } => "device_keys_other_device",
    Self::Signature { .. } => "device_keys_signature",
    ;
    Self::PublicKey(error) => error,
}

fn display_name(content: &Content) -> Option<String> {
    let unsigned = content.object("unsigned")?.ok()?;
    let name = unsigned.get::<String>("device_display_name")?.ok()?;
    Some(
        name.chars()
            .take(DeviceKeys::MAX_DISPLAY_NAME_CHARS)
            .collect(),
    )
}

//! Public keys, and verifying with them.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::canonical_json::{self, CanonicalJsonError};
use crate::signable::ForeignMember;
use crate::{Content, ContentError, base64};

/// The public half of an Ed25519 key, such as a master cross-signing key.
#[derive(Clone, Copy, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub(super) VerifyingKey);

impl PublicKey {
    /// Reads 32 bytes of base64.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`] when it is not 32 bytes, no point of the curve, or one of small order.
    pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
        let bytes = base64::decode_array::<32>(text).map_err(PublicKeyError::Base64)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| PublicKeyError::Point)?;
        if key.is_weak() {
            Err(PublicKeyError::Point)
        } else {
            Ok(Self(key))
        }
    }

    /// Unpadded base64, as in key IDs and in `/keys/query`.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(self.0.as_bytes())
    }

    /// The key ID under which this key signs: `ed25519:` and the key itself.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.to_base64())
    }

    /// Verifies the signature that `entity` made on an object with this key, under [`key_id`].
    ///
    /// # Errors
    ///
    /// [`SignatureError`]: none there, malformed, or not made by this key over this object.
    ///
    /// [`key_id`]: Self::key_id
    pub fn verify(&self, object: &Content, entity: &str) -> Result<(), SignatureError> {
        self.verify_as(object, entity, &self.key_id())
    }

    /// Returns `true` if a device ID is this key, as text or decoded: padded, with other unused
    /// bits, in the alphabet of URLs. Devices and cross-signing keys share one space of names, in
    /// which such a device would turn its own signature into one of the key.
    #[must_use]
    pub fn is_device_id(&self, device_id: &str) -> bool {
        let in_base64: String = device_id
            .chars()
            .filter(|one| !one.is_whitespace())
            .map(|one| match one {
                '-' => '+',
                '_' => '/',
                other => other,
            })
            .collect();
        base64::decode_array::<32>(&in_base64)
            .is_ok_and(|id| base64::encode(*id) == self.to_base64())
    }

    /// As [`verify`](Self::verify), under another key ID, such as `ed25519:DEVICEID`.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_as(
        &self,
        object: &Content,
        entity: &str,
        key_id: &str,
    ) -> Result<(), SignatureError> {
        let message = canonical_json::of_signed(&object.to_json())?;
        let signature = find(object, entity, key_id)?;
        let bytes =
            base64::decode_array::<64>(&signature).map_err(|_| SignatureError::Malformed)?;
        self.0
            .verify_strict(message.as_bytes(), &Signature::from_bytes(&bytes))
            .map_err(|_| SignatureError::Bad)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.to_base64()).finish()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_base64()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        Self::from_base64(&text)
    }
}

/// Why a text is not an Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicKeyError {
    /// Not base64 of 32 bytes.
    #[error("the public key {0}")]
    Base64(base64::DecodeError),
    /// 32 bytes that no honest key has.
    #[error("the public key is not a valid point of the curve")]
    Point,
}

crate::error_code::error_codes! {
    PublicKeyError:
    Self::Base64 { .. } => "public_key_base64",
    Self::Point { .. } => "public_key_point",
}

/// Why an object is not signed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The signature is not valid for the object.
    #[error("the signature is not valid")]
    Bad,
    /// The object cannot be signed.
    #[error("the object {0}")]
    Canonical(#[from] CanonicalJsonError),
    /// The object could be taken for one of another kind.
    #[error("the object {0}")]
    Foreign(#[from] ForeignMember),
    /// The signature is not base64 of 64 bytes, or `signatures` is not an object of objects.
    #[error("the signature is malformed")]
    Malformed,
    /// There is no signature by this key.
    #[error("there is no signature by this key")]
    Missing,
}

crate::error_code::error_codes! {
    SignatureError:
    Self::Bad { .. } => "signature_bad",
    Self::Canonical { .. } => "signature_canonical",
    Self::Foreign { .. } => "signature_foreign",
    Self::Malformed { .. } => "signature_malformed",
    Self::Missing { .. } => "signature_missing",
}

fn find(object: &Content, entity: &str, key_id: &str) -> Result<String, SignatureError> {
    member(&member(object, "signatures")?, entity)?
        .get::<String>(key_id)
        .ok_or(SignatureError::Missing)?
        .map_err(|_| SignatureError::Malformed)
}

fn member(object: &Content, name: &str) -> Result<Content, SignatureError> {
    match object.object(name) {
        None => Ok(Content::default()),
        Some(Ok(content)) => Ok(content),
        Some(Err(ContentError::DuplicateMember)) => Err(SignatureError::Canonical(
            CanonicalJsonError::DuplicateMember,
        )),
        Some(Err(_)) => Err(SignatureError::Malformed),
    }
}

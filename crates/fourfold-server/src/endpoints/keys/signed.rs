//! Signed JSON: an object, the signatures on it, and whether they are valid.

use std::collections::BTreeMap;

use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use base64::{Engine, alphabet};
use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use ruma::canonical_json::{CanonicalJsonObject, CanonicalJsonValue};

use crate::http::error::MatrixError;

/// An object with its signatures. What is `unsigned` is omitted: the server writes that itself.
#[derive(Clone, Debug)]
pub(super) struct SignedObject {
    members: CanonicalJsonObject,
    signatures: Signatures,
}

/// Signatures by user and key ID.
pub(super) type Signatures = BTreeMap<String, BTreeMap<String, String>>;

impl SignedObject {
    /// Takes the signatures off an object.
    pub(super) fn parse(value: CanonicalJsonValue) -> Result<Self, MatrixError> {
        let CanonicalJsonValue::Object(mut members) = value else {
            return Err(MatrixError::BadJson("a key must be an object".into()));
        };
        members.remove("unsigned");
        let signatures = match members.remove("signatures") {
            Some(signatures) => parse_signatures(signatures)?,
            None => Signatures::new(),
        };
        Ok(Self {
            members,
            signatures,
        })
    }

    /// Reads what [`SignedObject::to_bytes`] wrote.
    pub(super) fn from_stored(stored: &[u8]) -> Result<Self, MatrixError> {
        let value = serde_json::from_slice(stored).map_err(|error| {
            tracing::error!(%error, "a stored key is malformed");
            MatrixError::Internal
        })?;
        Self::parse(value)
    }

    /// The object with its signatures as canonical JSON.
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut members = self.members.clone();
        let text = |text: &String| CanonicalJsonValue::String(text.clone());
        let signatures = self.signatures.iter().map(|(user, keys)| {
            let keys = keys.iter().map(|(id, it)| (id.clone(), text(it)));
            (user.clone(), CanonicalJsonValue::Object(keys.collect()))
        });
        let signatures = CanonicalJsonValue::Object(signatures.collect());
        members.insert("signatures".to_owned(), signatures);
        CanonicalJsonValue::Object(members).to_string().into()
    }

    /// A member that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(CanonicalJsonValue::as_str)
    }

    /// A member that is a list of text.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<&str>> {
        let items = self.members.get(name)?.as_array()?;
        items.iter().map(CanonicalJsonValue::as_str).collect()
    }

    /// The keys in `keys`: IDs and text.
    pub(super) fn keys(&self) -> Option<Vec<(&str, &str)>> {
        let keys = self.members.get("keys")?.as_object()?;
        let pairs = keys
            .iter()
            .map(|(id, key)| Some((id.as_str(), key.as_str()?)));
        pairs.collect()
    }

    /// The signatures.
    pub(super) fn signatures(&self) -> &Signatures {
        &self.signatures
    }

    /// The signatures, to be changed.
    pub(super) fn signatures_mut(&mut self) -> &mut Signatures {
        &mut self.signatures
    }

    /// Returns `true` if two objects are equal, whoever signed them.
    pub(super) fn same_content(&self, other: &Self) -> bool {
        self.members == other.members
    }

    /// Returns `true` if `user` has signed this with the key of that ID.
    pub(super) fn is_signed_by(&self, user: &str, key_id: &str, public_key: &str) -> bool {
        let signature = self.signatures.get(user).and_then(|keys| keys.get(key_id));
        signature.is_some_and(|signature| self.is_valid(signature, public_key))
    }

    /// Returns `true` if a signature on this object is valid.
    pub(super) fn is_valid(&self, signature: &str, public_key: &str) -> bool {
        let verify = || {
            let key = VerifyingKey::from_bytes(&decode(public_key)?).ok()?;
            let signature = Signature::from_bytes(&decode(signature)?);
            let text = CanonicalJsonValue::Object(self.members.clone()).to_string();
            key.verify_strict(text.as_bytes(), &signature).ok()
        };
        verify().is_some()
    }
}

/// A 32-byte public key in unpadded base64, however it was padded.
pub(super) fn normalised_key(key: &str) -> Option<String> {
    Some(STANDARD_NO_PAD.encode(decode::<32>(key)?))
}

fn parse_signatures(value: CanonicalJsonValue) -> Result<Signatures, MatrixError> {
    let malformed = || MatrixError::BadJson("signatures must be objects of text".into());
    let CanonicalJsonValue::Object(users) = value else {
        return Err(malformed());
    };
    let mut signatures = Signatures::new();
    for (user, keys) in users {
        let CanonicalJsonValue::Object(keys) = keys else {
            return Err(malformed());
        };
        let mut of_user = BTreeMap::new();
        for (id, signature) in keys {
            let CanonicalJsonValue::String(signature) = signature else {
                return Err(malformed());
            };
            of_user.insert(id, signature);
        }
        signatures.insert(user, of_user);
    }
    Ok(signatures)
}

fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    // Longer text is refused before any of it is decoded.
    if text.len() > LENGTH.div_ceil(3) * 4 {
        return None;
    }
    let decoded = TOLERANT.decode(text).ok()?;
    if decoded.len() != LENGTH {
        return None;
    }
    bytes.copy_from_slice(&decoded);
    Some(bytes)
}

/// The one algorithm of one-time keys that clients use today. Always counted, also at zero, because
/// clients upload when they are told that there is none.
pub(crate) const SIGNED_CURVE25519: &str = "signed_curve25519";

/// Base64 as clients write it: padded or not, with stray trailing bits.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

//! The Curve25519 key of a device: its Olm identity.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::base64;
use crate::signed_json::PublicKeyError;

/// The public Curve25519 key of a device, which Olm sessions with it are bound to.
///
/// Points of small order are refused: a shared secret with one is not a secret.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Curve25519PublicKey([u8; 32]);

impl Curve25519PublicKey {
    /// Takes 32 bytes.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError::Point`] when the point is of small order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, PublicKeyError> {
        // Every clamped scalar takes the points of small order to zero, and no other.
        let any = x25519_dalek::StaticSecret::from([1; 32]);
        if any
            .diffie_hellman(&x25519_dalek::PublicKey::from(bytes))
            .was_contributory()
        {
            Ok(Self(bytes))
        } else {
            Err(PublicKeyError::Point)
        }
    }

    /// Reads 32 bytes of base64.
    ///
    /// # Errors
    ///
    /// [`PublicKeyError`] when it is not 32 bytes, or as [`from_bytes`](Self::from_bytes).
    pub fn from_base64(text: &str) -> Result<Self, PublicKeyError> {
        Self::from_bytes(*base64::decode_array::<32>(text).map_err(PublicKeyError::Base64)?)
    }

    /// Unpadded base64, as in `/keys/query` and as the `sender_key` of Olm events.
    #[must_use]
    pub fn to_base64(&self) -> String {
        base64::encode(self.0)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Curve25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Curve25519PublicKey")
            .field(&self.to_base64())
            .finish()
    }
}

impl fmt::Display for Curve25519PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl From<Curve25519PublicKey> for String {
    fn from(key: Curve25519PublicKey) -> Self {
        key.to_base64()
    }
}

impl TryFrom<String> for Curve25519PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        Self::from_base64(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: LIB-25, SHR-20
    #[test]
    fn points_of_small_order_are_refused() {
        // The canonical ones, and p, which some libraries take for another name of zero.
        let mut p = [0xff; 32];
        p[0] = 0xed;
        p[31] = 0x7f;
        let mut one = [0; 32];
        one[0] = 1;
        for bytes in [[0; 32], one, p] {
            assert_eq!(
                Curve25519PublicKey::from_bytes(bytes),
                Err(PublicKeyError::Point)
            );
        }
        let mut nine = [0; 32];
        nine[0] = 9;
        let key = Curve25519PublicKey::from_bytes(nine).unwrap();
        assert_eq!(Curve25519PublicKey::from_base64(&key.to_base64()), Ok(key));
    }
}

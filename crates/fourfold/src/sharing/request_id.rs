//! The ID that binds an answer to its request.

use std::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::base64;

/// The ID of a request: 1 to 255 bytes without control characters.
///
/// An answer names no secret, so the ID is all that says which one it is: every request of every
/// secret gets a fresh one from [`random`](Self::random), never one that was used before.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

impl RequestId {
    /// The longest ID that is read, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// A fresh ID of 128 random bits.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(base64::encode(bytes).replace('+', "-").replace('/', "_"))
    }

    /// Reads the ID of a request that came.
    ///
    /// # Errors
    ///
    /// [`RequestIdError`] when it is empty, too long, or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, RequestIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > Self::MAX_BYTES || id.chars().any(char::is_control) {
            Err(RequestIdError)
        } else {
            Ok(Self(id))
        }
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is not the ID of a request: empty, longer than 255 bytes, or with control characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a request ID has 1 to {} bytes without control characters",
    RequestId::MAX_BYTES
)]
pub struct RequestIdError;

crate::error_code::error_codes! {
    RequestIdError:
    Self { .. } => "request_id",
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = RequestIdError;

    fn try_from(id: String) -> Result<Self, RequestIdError> {
        Self::new(id)
    }
}

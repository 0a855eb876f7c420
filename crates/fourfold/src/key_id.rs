//! The ID of a secret storage key.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use crate::identifier::identifier_conversions;
use crate::secret_name::MAX_EVENT_TYPE_BYTES;

/// The ID of a secret storage key: whatever follows `m.secret_storage.key.` in the event type of
/// its description.
///
/// No grammar is defined. Alphanumerics, UUIDs, base64 with `/` and `+` and names with dots are all
/// in use, so an ID is opaque and is percent-encoded when it becomes part of a URL.
///
/// ```
/// let id = fourfold::KeyId::new("Me3n4Td/oh+h")?;
/// assert_eq!(id.event_type(), "m.secret_storage.key.Me3n4Td/oh+h");
/// # Ok::<(), fourfold::KeyIdError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// Accepts any ID that fits an event type.
    ///
    /// # Errors
    ///
    /// [`KeyIdError`] when it is empty, too long or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, KeyIdError> {
        let id = id.into();
        let fits = id.len() + EVENT_TYPE_PREFIX.len() <= MAX_EVENT_TYPE_BYTES;
        if id.is_empty() || !fits || id.chars().any(char::is_control) {
            Err(KeyIdError)
        } else {
            Ok(Self(id))
        }
    }

    /// A new ID: 32 characters of `A–Z a–z 0–9`, as most clients use.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        Self(random_alphanumerics(rng))
    }

    /// The ID that an event type names, or `None` when it is not a key description's.
    #[must_use]
    pub fn from_event_type(event_type: &str) -> Option<Self> {
        Self::new(event_type.strip_prefix(EVENT_TYPE_PREFIX)?).ok()
    }

    /// The event type of the key's description.
    #[must_use]
    pub fn event_type(&self) -> String {
        format!("{EVENT_TYPE_PREFIX}{}", self.0)
    }

    /// The ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text cannot be the ID of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key ID must have 1 to {} bytes and no control characters",
    MAX_EVENT_TYPE_BYTES - EVENT_TYPE_PREFIX.len())]
pub struct KeyIdError;

crate::error_code::error_codes! {
    KeyIdError:
    Self { .. } => "key_id",
}

/// The prefix of the event type of every key description.
pub(crate) const EVENT_TYPE_PREFIX: &str = "m.secret_storage.key.";

/// 32 characters of `A–Z a–z 0–9`: 190 bits, each character equally likely.
pub(crate) fn random_alphanumerics(rng: &mut impl CryptoRng) -> String {
    let mut text = String::with_capacity(32);
    while text.len() < 32 {
        let mut bytes = [0; 48];
        rng.fill_bytes(&mut bytes);
        let fair = bytes.iter().map(|byte| char::from(byte & 0x7F));
        text.extend(
            fair.filter(char::is_ascii_alphanumeric)
                .take(32 - text.len()),
        );
    }
    text
}

identifier_conversions!(KeyId, KeyIdError);

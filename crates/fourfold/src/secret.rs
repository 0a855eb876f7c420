//! A secret: the plaintext that secret storage protects.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// A secret's plaintext. Secrets are strings; structured data is encoded as one
/// ([Storage](https://spec.matrix.org/v1.19/client-server-api/#storage)).
///
/// Wiped when dropped, never printed, compared in constant time. The one way out is
/// [`expose_secret`](Self::expose_secret).
///
/// ```
/// let secret = fourfold::Secret::new("sëcret");
/// assert_eq!(secret.expose_secret(), "sëcret");
/// assert_eq!(format!("{secret:?}"), "Secret(..)");
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The largest secret that is stored: 64 KiB of UTF-8.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Takes a plaintext.
    #[must_use]
    pub fn new(plaintext: impl Into<String>) -> Self {
        Self(Zeroizing::new(plaintext.into()))
    }

    /// The plaintext itself.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// Returns `true` if both hold the same plaintext, in a time that depends on their lengths
    /// only.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }

    /// The text of decrypted bytes, or `None` when they are not UTF-8.
    pub(crate) fn from_utf8(mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Some(Self(Zeroizing::new(text))),
            Err(error) => {
                // Back to where it is wiped.
                *bytes = error.into_bytes();
                None
            }
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

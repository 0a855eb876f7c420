//! The two algorithms that secrets are encrypted with.
//!
//! | algorithm | keys | written |
//! |---|---|---|
//! | [`aes_hmac_sha2`] | one symmetric key | always |
//! | [`curve25519_aes_sha2`] | a key pair; who knows the public half can write | in the 2019 profile only |

pub mod aes_hmac_sha2;
pub mod curve25519_aes_sha2;

use std::borrow::Cow;
use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

use crate::Content;
use crate::base64::{self, DecodeError};

/// An algorithm that Fourfold implements, as named by the `algorithm` of a key description.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a third algorithm must break every match on purpose"
)]
pub enum Algorithm {
    /// `m.secret_storage.v1.aes-hmac-sha2`, today's.
    AesHmacSha2,
    /// `m.secret_storage.v1.curve25519-aes-sha2`, the one of 2019.
    Curve25519AesSha2,
}

impl Algorithm {
    /// The algorithm of that name, or `None` when it is another one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            AES_HMAC_SHA2 => Some(Self::AesHmacSha2),
            CURVE25519_AES_SHA2 => Some(Self::Curve25519AesSha2),
            _ => None,
        }
    }

    /// The name in key descriptions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AesHmacSha2 => AES_HMAC_SHA2,
            Self::Curve25519AesSha2 => CURVE25519_AES_SHA2,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why an entry of a secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenEntryError {
    /// The IV would make 64-bit and 128-bit counters disagree about the plaintext.
    #[error("the entry's IV is ambiguous: clients would decrypt it differently")]
    AmbiguousCounter,
    /// The MAC does not verify: another key, another secret's entry, or a changed ciphertext.
    #[error("the MAC does not verify under this key")]
    Mac,
    /// A member is missing or is not what the algorithm needs.
    #[error("the entry's {member} {problem}")]
    Malformed {
        /// The name of the member.
        member: &'static str,
        /// The problem.
        problem: MemberProblem,
    },
    /// The plaintext is not text, although the MAC verified: the IV was changed.
    #[error("the entry decrypts to something that is not text")]
    NotText,
}

crate::error_code::error_codes! {
    OpenEntryError:
    Self::AmbiguousCounter { .. } => "entry_ambiguous_counter",
    Self::Mac { .. } => "entry_mac",
    Self::Malformed { .. } => "entry_malformed",
    Self::NotText { .. } => "entry_not_text",
}

/// The problem with a member of an entry or of a key description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberProblem {
    /// Not base64, or of the wrong size.
    #[error("{0}")]
    Base64(#[from] DecodeError),
    /// A ciphertext of AES-CBC that is not a whole number of blocks.
    #[error("is not a whole number of cipher blocks")]
    Blocks,
    /// A Curve25519 public key without which no shared secret can be made.
    #[error("is a key of low order")]
    LowOrder,
    /// Not there.
    #[error("is missing")]
    Missing,
    /// Not a string.
    #[error("is not a string")]
    NotAString,
    /// The ciphertext does not end as AES-CBC with PKCS#7 padding does.
    #[error("has wrong padding")]
    Padding,
}

crate::error_code::error_codes! {
    MemberProblem:
    Self::Base64 { .. } => "member_base64",
    Self::Blocks { .. } => "member_blocks",
    Self::LowOrder { .. } => "member_low_order",
    Self::Missing { .. } => "member_missing",
    Self::NotAString { .. } => "member_not_a_string",
    Self::Padding { .. } => "member_padding",
}

const AES_HMAC_SHA2: &str = "m.secret_storage.v1.aes-hmac-sha2";
const CURVE25519_AES_SHA2: &str = "m.secret_storage.v1.curve25519-aes-sha2";

/// HKDF-SHA-256(key, salt = 0³²), extracted and waiting for its info. It is one `Hmac`, which wipes
/// its state when it is dropped.
fn extract(key: &[u8; 32]) -> Hkdf<Sha256> {
    Hkdf::new(Some(&[0; 32]), key)
}

/// Fills as many bytes as are wanted.
#[expect(clippy::expect_used, reason = "64 or 80 bytes, far below the limit")]
fn expand(extracted: &Hkdf<Sha256>, info: &str, bytes: &mut [u8]) {
    extracted
        .expand(info.as_bytes(), bytes)
        .expect("HKDF-SHA-256 yields up to 8160 bytes");
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of every length")
}

/// A member that is base64 of exactly `N` bytes.
fn array_member<const N: usize>(
    entry: &Content,
    member: &'static str,
) -> Result<[u8; N], OpenEntryError> {
    base64_member(entry, member, |text| {
        base64::decode_array(text).map(|bytes| *bytes)
    })
}

/// A member that is base64 of any number of bytes.
fn bytes_member(entry: &Content, member: &'static str) -> Result<Vec<u8>, OpenEntryError> {
    base64_member(entry, member, |text| {
        base64::decode(text).map(|mut decoded| std::mem::take(&mut *decoded.bytes))
    })
}

fn base64_member<T>(
    entry: &Content,
    member: &'static str,
    decode: impl Fn(&str) -> Result<T, DecodeError>,
) -> Result<T, OpenEntryError> {
    let malformed = |problem| OpenEntryError::Malformed { member, problem };
    let text = entry
        .quoted(member)
        .ok_or_else(|| malformed(MemberProblem::Missing))?
        .map_err(|_| malformed(MemberProblem::NotAString))?;
    // No base64 has a backslash in it, so that a text which decodes has no escapes.
    decode(text)
        .map_err(MemberProblem::Base64)
        .or_else(|problem| match entry.text(member) {
            Some(Ok(Cow::Owned(text))) => decode(&text).map_err(MemberProblem::Base64),
            Some(Err(_)) => Err(MemberProblem::NotAString),
            _ => Err(problem),
        })
        .map_err(malformed)
}

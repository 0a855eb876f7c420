//! Deviations of other clients from the specification, which are read and never written.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::algorithm::aes_hmac_sha2::clear_bit_63;
use crate::{Content, base64};

/// A deviation of another client's data from the specification that is read anyway.
///
/// Serialised under the name that it has in the known answers, such as `padded_base64`.
///
/// ```
/// use fourfold::Quirk;
/// assert!(Quirk::PaddedBase64.is_harmless());
/// assert_eq!(Quirk::LongIv.to_string(), "the IV is longer than 16 bytes");
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quirk {
    /// `119,7,109,…`: a byte array that an old matrix-js-sdk turned into text.
    CommaSeparatedBytes,
    /// The IV has bit 63 set (mautrix, matrix-ios-sdk).
    #[serde(rename = "iv_bit_63_set")]
    IvBit63Set,
    /// The IV is longer than 16 bytes; only the first 16 count (nheko).
    LongIv,
    /// The MAC was computed with bit 63 of the stored IV cleared (trixnity, old matrix-js-sdk).
    MacOverClearedIv,
    /// Padded base64 (matrix-js-sdk and others).
    PaddedBase64,
    /// White space before or after the base64 of a key.
    #[serde(rename = "surrounding_whitespace")]
    SurroundingWhiteSpace,
    /// Base64 whose last symbol carries unused bits.
    TrailingBits,
    /// The entry stands beside where `encrypted` belongs (matrix-js-sdk in the winter of 2019).
    WithoutEncrypted,
}

impl Quirk {
    /// Returns `true` if the clients of today read it. What is not harmless may look wrong, or like
    /// nothing, in another client of the user.
    #[must_use]
    pub const fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::IvBit63Set | Self::PaddedBase64 | Self::TrailingBits
        )
    }

    /// Those of members that are base64; a text that is none has none.
    pub(crate) fn of_base64(content: &Content, members: &[&str]) -> BTreeSet<Self> {
        let texts = members
            .iter()
            .filter_map(|member| content.text(member)?.ok());
        let mut quirks = BTreeSet::new();
        for text in texts {
            let mut found = base64::quirks(&text).peekable();
            // Most texts have none, and need not be decoded for it.
            if found.peek().is_some() && base64::decode(&text).is_ok() {
                quirks.extend(found.map(Self::from));
            }
        }
        quirks
    }

    /// Those of an IV; one that is no base64 has none.
    pub(crate) fn of_iv(content: &Content) -> BTreeSet<Self> {
        let mut quirks = BTreeSet::new();
        let text = content.text("iv").and_then(Result::ok);
        let Some(decoded) = text.and_then(|text| base64::decode(&text).ok()) else {
            return quirks;
        };
        if let Some(iv) = decoded.bytes.first_chunk::<16>() {
            if decoded.bytes.len() > iv.len() {
                quirks.insert(Self::LongIv);
            }
            if clear_bit_63(*iv) != *iv {
                quirks.insert(Self::IvBit63Set);
            }
        }
        quirks
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CommaSeparatedBytes => "it is a list of numbers instead of base64",
            Self::IvBit63Set => "bit 63 of the IV is set",
            Self::LongIv => "the IV is longer than 16 bytes",
            Self::MacOverClearedIv => {
                "the check data was made with a different IV than the stored \
                 one"
            }
            Self::PaddedBase64 => "the base64 is padded",
            Self::SurroundingWhiteSpace => "there is white space around the base64",
            Self::TrailingBits => "the base64 has unused bits that are set",
            Self::WithoutEncrypted => "the entry is not inside `encrypted`",
        })
    }
}

impl From<base64::Quirk> for Quirk {
    fn from(quirk: base64::Quirk) -> Self {
        match quirk {
            base64::Quirk::Padded => Self::PaddedBase64,
            base64::Quirk::TrailingBits => Self::TrailingBits,
        }
    }
}

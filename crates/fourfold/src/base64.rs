//! Base64 as Matrix uses it: unpadded when written, padded or not when read.
//!
//! [Unpadded Base64](https://spec.matrix.org/v1.19/appendices/#unpadded-base64) with the standard
//! alphabet. Clients of the last years wrote both forms, and the specification's own signing seed
//! has non-zero trailing bits, so reading tolerates these two and reports them as [`Quirk`]s.
//! Everything else (the URL-safe alphabet, white space, a wrong number of `=`) is refused.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Encodes bytes as unpadded standard base64, the form that is written everywhere.
///
/// ```
/// assert_eq!(fourfold::base64::encode(b"foob"), "Zm9vYg");
/// ```
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    UNPADDED.encode(bytes)
}

/// As [`encode`], at the end of a text.
pub(crate) fn encode_into(bytes: &[u8], text: &mut String) {
    UNPADDED.encode_string(bytes, text);
}

/// The length of the text that [`encode`] writes for that many bytes, or a little more.
pub(crate) fn encoded_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Decodes standard base64, padded or unpadded.
///
/// # Errors
///
/// [`DecodeError`] says what is wrong with the text, never what the text was.
///
/// ```
/// use fourfold::base64::decode;
/// assert_eq!(*decode("Zm9vYg==")?.bytes, *b"foob");
/// assert_eq!(*decode("Zm9vYg")?.bytes, *b"foob");
/// # Ok::<(), fourfold::base64::DecodeError>(())
/// ```
pub fn decode(text: &str) -> Result<Decoded, DecodeError> {
    let symbols = strip_padding(text)?;
    // Reserved in full, so that no growth leaves a copy behind, and wiped after an error too.
    let size = base64::decoded_len_estimate(symbols.len());
    let mut bytes = Zeroizing::new(vec![0; size]);
    let size = LENIENT
        .decode_slice(symbols, &mut bytes)
        .map_err(|_| classify(symbols))?;
    bytes.truncate(size);
    let quirks = quirks(text).collect();
    Ok(Decoded { bytes, quirks })
}

/// The deviations of a decodable text from what [`encode`] writes.
pub(crate) fn quirks(text: &str) -> impl Iterator<Item = Quirk> + use<> {
    let symbols = text.trim_end_matches('=');
    let padded = (symbols.len() != text.len()).then_some(Quirk::Padded);
    let trailing_bits = has_trailing_bits(symbols).then_some(Quirk::TrailingBits);
    padded.into_iter().chain(trailing_bits)
}

/// Decodes base64 that must hold exactly `N` bytes, as keys, IVs and MACs do.
///
/// # Errors
///
/// [`DecodeError::Size`] when it holds another number of bytes; otherwise as [`decode`].
pub fn decode_array<const N: usize>(text: &str) -> Result<Zeroizing<[u8; N]>, DecodeError> {
    let symbols = strip_padding(text)?;
    let mut array = Zeroizing::new([0; N]);
    match LENIENT.decode_slice(symbols, array.as_mut_slice()) {
        Ok(found) if found == N => Ok(array),
        // Another size, or no base64.
        _ => {
            let found = decode(text)?.bytes.len();
            Err(DecodeError::Size { expected: N, found })
        }
    }
}

/// What [`decode`] found.
pub struct Decoded {
    /// The bytes. They may be a key, so they are wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// The deviations of the text from what Fourfold would have written.
    pub quirks: Vec<Quirk>,
}

impl fmt::Debug for Decoded {
    /// Leaves the bytes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("quirks", &self.quirks)
            .finish_non_exhaustive()
    }
}

/// A harmless deviation from unpadded base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quirk {
    /// Padded with `=`.
    Padded,
    /// The last symbol carries bits that belong to no byte.
    TrailingBits,
}

/// Why a text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A character outside of `A–Z a–z 0–9 + /`.
    #[error("contains a character that is not base64")]
    Alphabet,
    /// The number of symbols fits no number of bytes.
    #[error("has an impossible length for base64")]
    Length,
    /// `=` in the wrong place or in the wrong number.
    #[error("has wrong base64 padding")]
    Padding,
    /// Valid base64 of another size than is needed here.
    #[error("holds {found} bytes instead of {expected}")]
    Size {
        /// The number of bytes that belong here.
        expected: usize,
        /// The number of bytes that are there.
        found: usize,
    },
}

crate::error_code::error_codes! {
    DecodeError:
    Self::Alphabet { .. } => "base64_alphabet",
    Self::Length { .. } => "base64_length",
    Self::Padding { .. } => "base64_padding",
    Self::Size { .. } => "base64_size",
}

/// Removes correct padding; a text without any is returned as it is.
fn strip_padding(text: &str) -> Result<&str, DecodeError> {
    let symbols = text.trim_end_matches('=');
    let padding = text.len() - symbols.len();
    let needed = (4 - symbols.len() % 4) % 4;
    if padding == 0 || (padding == needed && padding <= 2) {
        Ok(symbols)
    } else {
        Err(DecodeError::Padding)
    }
}

/// The problem of symbols that do not decode.
fn classify(symbols: &str) -> DecodeError {
    if symbols.bytes().all(is_symbol) {
        DecodeError::Length
    } else if symbols.contains('=') {
        DecodeError::Padding
    } else {
        DecodeError::Alphabet
    }
}

/// Returns `true` if the last symbol, of symbols that do decode, carries bits that belong to no
/// byte.
fn has_trailing_bits(symbols: &str) -> bool {
    let unused = match symbols.len() % 4 {
        2 => 0b1111,
        3 => 0b11,
        _ => 0,
    };
    symbols.bytes().next_back().map_or(0, value) & unused != 0
}

/// The six bits of a symbol.
fn value(symbol: u8) -> u8 {
    match symbol {
        b'A'..=b'Z' => symbol - b'A',
        b'a'..=b'z' => symbol - b'a' + 26,
        b'0'..=b'9' => symbol - b'0' + 52,
        b'+' => 62,
        _ => 63,
    }
}

fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

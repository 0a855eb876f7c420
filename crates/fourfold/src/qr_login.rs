//! The QR code with which a new device is logged in by one that is there already (MSC4388).
//!
//! `MATRIX` ‖ 0x03 ‖ intent ‖ ephemeral Curve25519 key (32 bytes) ‖ rendezvous ID ‖ base URL; the ID
//! after its length in one byte, the URL after its length in two. That is the text of
//! [MSC4388](https://github.com/matrix-org/matrix-spec-proposals/pull/4388) of 3 July 2026. The
//! proposal is **unstable**: earlier and later texts differ in the lengths, and this module changes
//! with it. Only the code is here, not the channel that it opens.

use crate::identity::Curve25519PublicKey;
use crate::signed_json::PublicKeyError;

/// The data of a QR code, which one device shows and the other one scans.
///
/// ```
/// use fourfold::{identity::Curve25519PublicKey, qr_login::{Intent, QrCode}};
/// let key = Curve25519PublicKey::from_base64("2IZoarIZe3gOMAqdSiFHSAcA15KfOasxueUUNwJI7Ws")?;
/// let code = QrCode::new(Intent::NewDevice, key, "e8da6355", "https://matrix.example.org")?;
/// assert_eq!(QrCode::from_bytes(&code.to_bytes()), Ok(code));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QrCode {
    intent: Intent,
    public_key: Curve25519PublicKey,
    rendezvous_id: String,
    base_url: String,
}

impl QrCode {
    /// The largest code: what the largest QR code holds in binary mode.
    pub const MAX_BYTES: usize = 2953;

    /// Takes what the code says.
    ///
    /// # Errors
    ///
    /// [`QrCodeError::RendezvousId`], [`QrCodeError::BaseUrl`], and [`QrCodeError::TooLarge`].
    pub fn new(
        intent: Intent,
        public_key: Curve25519PublicKey,
        rendezvous_id: impl Into<String>,
        base_url: impl Into<String>,
    ) -> Result<Self, QrCodeError> {
        let code = Self {
            intent,
            public_key,
            rendezvous_id: rendezvous_id.into(),
            base_url: base_url.into(),
        };
        if !is_opaque_identifier(&code.rendezvous_id) {
            Err(QrCodeError::RendezvousId)
        } else if !is_base_url(&code.base_url) {
            Err(QrCodeError::BaseUrl)
        } else if code.to_unstable_bytes().len() > Self::MAX_BYTES {
            Err(QrCodeError::TooLarge)
        } else {
            Ok(code)
        }
    }

    /// Reads a code, with the name of the proposal in front or with the one that deployed clients
    /// write until it is merged.
    ///
    /// # Errors
    ///
    /// [`QrCodeError`] says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, QrCodeError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(QrCodeError::TooLarge);
        }
        let mut rest = bytes
            .strip_prefix(UNSTABLE_PREFIX)
            .or_else(|| bytes.strip_prefix(PREFIX))
            .ok_or(QrCodeError::Prefix)?;
        match take(&mut rest)? {
            [TYPE] => {}
            [other] => return Err(QrCodeError::Type(other)),
        }
        let intent = match take(&mut rest)? {
            [0x00] => Intent::NewDevice,
            [0x01] => Intent::ExistingDevice,
            [other] => return Err(QrCodeError::Intent(other)),
        };
        let public_key = Curve25519PublicKey::from_bytes(take(&mut rest)?)?;
        let length = u8::from_be_bytes(take(&mut rest)?);
        let id = take_text(&mut rest, length.into())?.ok_or(QrCodeError::RendezvousId)?;
        let length = u16::from_be_bytes(take(&mut rest)?);
        let url = take_text(&mut rest, length.into())?.ok_or(QrCodeError::BaseUrl)?;
        if rest.is_empty() {
            Self::new(intent, public_key, id, url)
        } else {
            Err(QrCodeError::TrailingBytes)
        }
    }

    /// The bytes of the code, as they will be when the proposal is merged.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes_after(PREFIX)
    }

    /// The bytes of the code as clients write them until then: `IO_ELEMENT_MSC4388` in front.
    #[must_use]
    pub fn to_unstable_bytes(&self) -> Vec<u8> {
        self.bytes_after(UNSTABLE_PREFIX)
    }

    /// The role of the device that shows the code.
    #[must_use]
    pub fn intent(&self) -> Intent {
        self.intent
    }

    /// The public half of the key pair that the device made for this log-in alone.
    #[must_use]
    pub fn public_key(&self) -> Curve25519PublicKey {
        self.public_key
    }

    /// The ID of the rendezvous session on the homeserver: an opaque identifier, safe in a path.
    #[must_use]
    pub fn rendezvous_id(&self) -> &str {
        &self.rendezvous_id
    }

    /// The base URL of the homeserver, with or without a slash at its end. Untrusted text that
    /// begins like a URL; who connects to it has to look at the rest.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    fn bytes_after(&self, prefix: &[u8]) -> Vec<u8> {
        let mut bytes = prefix.to_vec();
        bytes.push(TYPE);
        bytes.push(match self.intent {
            Intent::NewDevice => 0x00,
            Intent::ExistingDevice => 0x01,
        });
        bytes.extend(self.public_key.as_bytes());
        encode_string_as_bytes_8(&self.rendezvous_id, &mut bytes);
        encode_string_as_bytes_16(&self.base_url, &mut bytes);
        bytes
    }
}

/// The role of the device that shows the code.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Intent {
    /// A new device that wants to be logged in.
    NewDevice,
    /// A device of the user that wants to log in a new one.
    ExistingDevice,
}

/// Why bytes are not a code for a log-in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum QrCodeError {
    /// No `http://` or `https://`, nothing after it, or characters that no URL has.
    #[error("the QR code names no homeserver by a base URL")]
    BaseUrl,
    /// An intent that the proposal does not know.
    #[error("the QR code has the unknown intent {0:#04x}")]
    Intent(u8),
    /// Another QR code altogether.
    #[error("this is not a Matrix QR code")]
    Prefix,
    /// The key is not usable.
    #[error("the QR code has no usable key: {0}")]
    PublicKey(#[from] PublicKeyError),
    /// Empty, or with characters that no [opaque
    /// identifier](https://spec.matrix.org/v1.19/appendices/#opaque-identifiers) has.
    #[error("the QR code has no valid rendezvous ID")]
    RendezvousId,
    /// More than [`QrCode::MAX_BYTES`].
    #[error("the QR code is larger than {} bytes", QrCode::MAX_BYTES)]
    TooLarge,
    /// There is more than belongs there.
    #[error("the QR code has trailing data")]
    TrailingBytes,
    /// It ends too early.
    #[error("the QR code is cut off")]
    Truncated,
    /// A QR code of Matrix, but for something else: 2 is for verification.
    #[error("the QR code is not for a log-in; it has the type {0:#04x}")]
    Type(u8),
}

crate::error_code::error_codes! {
    QrCodeError:
    Self::BaseUrl { .. } => "qr_code_base_url",
    Self::Intent { .. } => "qr_code_intent",
    Self::Prefix { .. } => "qr_code_prefix",
    Self::PublicKey { .. } => "qr_code_public_key",
    Self::RendezvousId { .. } => "qr_code_rendezvous_id",
    Self::TooLarge { .. } => "qr_code_too_large",
    Self::TrailingBytes { .. } => "qr_code_trailing_bytes",
    Self::Truncated { .. } => "qr_code_truncated",
    Self::Type { .. } => "qr_code_type",
}

const PREFIX: &[u8] = b"MATRIX";
const UNSTABLE_PREFIX: &[u8] = b"IO_ELEMENT_MSC4388";
const TYPE: u8 = 0x03;

/// The proposal's `EncodeStringAsBytes8`, of a text of at most 255 bytes.
fn encode_string_as_bytes_8(text: &str, bytes: &mut Vec<u8>) {
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text.as_bytes());
}

/// The proposal's `EncodeStringAsBytes16`, of a text of at most 65,535 bytes.
fn encode_string_as_bytes_16(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// Takes so many bytes from the front.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], QrCodeError> {
    let (taken, left) = rest.split_first_chunk().ok_or(QrCodeError::Truncated)?;
    *rest = left;
    Ok(*taken)
}

/// Takes a text of so many bytes from the front; `None` when it is not UTF-8.
fn take_text<'a>(rest: &mut &'a [u8], length: usize) -> Result<Option<&'a str>, QrCodeError> {
    let (taken, left) = rest
        .split_at_checked(length)
        .ok_or(QrCodeError::Truncated)?;
    *rest = left;
    Ok(str::from_utf8(taken).ok())
}

fn is_opaque_identifier(text: &str) -> bool {
    let is_opaque = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    // A dot segment means another path.
    (1..=255).contains(&text.len()) && text.bytes().all(is_opaque) && text != "." && text != ".."
}

fn is_base_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn code(id: &str, url: &str) -> Result<QrCode, QrCodeError> {
        let key = Curve25519PublicKey::from_bytes([9; 32]).unwrap();
        QrCode::new(Intent::ExistingDevice, key, id, url)
    }

    #[test]
    fn texts_are_encoded_after_their_length() {
        for vector in testing::vectors("encode_string_as_bytes") {
            let mut bytes = Vec::new();
            match vector.text("function") {
                "EncodeStringAsBytes8" => encode_string_as_bytes_8(vector.text("text"), &mut bytes),
                _ => encode_string_as_bytes_16(vector.text("text"), &mut bytes),
            }
            vector.expect_ok(&serde_json::json!({"hex": testing::hex(&bytes)}));
        }
    }

    #[test]
    fn a_code_that_is_made_can_be_read_by_everyone() {
        let url = "https://example.org";
        for id in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(256)] {
            assert_eq!(code(id, url), Err(QrCodeError::RendezvousId), "{id}");
        }
        for url in [
            "",
            "example.org",
            "https://",
            "https:///x",
            "ftp://a.b",
            "https://a b",
        ] {
            assert_eq!(code("id", url), Err(QrCodeError::BaseUrl), "{url}");
        }
        let longest = QrCode::MAX_BYTES - code("id", url).unwrap().to_unstable_bytes().len();
        let url = format!("{url}/{}", "x".repeat(longest - 1));
        let largest = code("id", &url).unwrap();
        assert_eq!(largest.to_unstable_bytes().len(), QrCode::MAX_BYTES);
        assert_eq!(
            QrCode::from_bytes(&largest.to_unstable_bytes()),
            Ok(largest)
        );
        assert_eq!(code("id", &format!("{url}x")), Err(QrCodeError::TooLarge));
        let beyond = [&code("id", &url).unwrap().to_unstable_bytes()[..], b"x"].concat();
        assert_eq!(QrCode::from_bytes(&beyond), Err(QrCodeError::TooLarge));
    }

    #[test]
    fn no_part_of_a_code_is_one() {
        for bytes in [
            code("id", "https://example.org").unwrap().to_bytes(),
            code("id", "https://example.org")
                .unwrap()
                .to_unstable_bytes(),
        ] {
            for end in 0..bytes.len() {
                let error = QrCode::from_bytes(&bytes[..end]).unwrap_err();
                assert!(
                    matches!(error, QrCodeError::Prefix | QrCodeError::Truncated),
                    "{end}: {error}"
                );
            }
        }
    }
}

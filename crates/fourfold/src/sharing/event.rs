//! The events of sharing as they come in: read once, strictly, with secrets that are wiped.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::wire::{PUSH, REQUEST, SEND, UNSTABLE_PUSH};
use crate::identity::DeviceKeys;
use crate::sharing::RequestId;
use crate::{Content, Secret, SecretName};

/// The content of a to-device event that concerns secrets, complete and with the right types.
/// Members that it does not need are ignored.
#[derive(Debug)]
#[non_exhaustive]
pub enum SharingEvent {
    /// `m.secret.request` with the action `request`.
    Request {
        /// The secret that is asked for.
        name: SecretName,
        /// The device that says that it asks.
        device_id: String,
        /// The request ID, which binds the answer to the request.
        request_id: RequestId,
    },
    /// `m.secret.request` with the action `request_cancellation`. Some clients name the secret,
    /// which is harmless and not read.
    Cancellation {
        /// The device that says that it had asked.
        device_id: String,
        /// The request that is taken back.
        request_id: RequestId,
    },
    /// `m.secret.send`: an answer. It names no secret; only the request does.
    Send {
        /// The request that is answered.
        request_id: RequestId,
        /// The value, not compared with anything yet.
        secret: Secret,
    },
    /// `m.secret.push` (MSC4385): a secret that nobody asked for.
    Push {
        /// The secret that it says to be.
        name: SecretName,
        /// The value, not compared with anything yet.
        secret: Secret,
    },
}

impl SharingEvent {
    /// Reads the content of a to-device event, as JSON.
    ///
    /// # Errors
    ///
    /// [`SharingEventError`]: such an event is dropped.
    ///
    /// ```
    /// use fourfold::{Secret, sharing::SharingEvent};
    /// let content = Secret::new(r#"{"request_id": "1", "secret": "AAEC\/w"}"#);
    /// let event = SharingEvent::read("m.secret.send", &content)?;
    /// let SharingEvent::Send { secret, .. } = event else {
    ///     return Err("another event".into());
    /// };
    /// assert_eq!(secret.expose_secret(), "AAEC/w");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(event_type: &str, content: &Secret) -> Result<Self, SharingEventError> {
        let json = content.expose_secret();
        if json.len() > Content::MAX_BYTES {
            return Err(SharingEventError::TooLarge);
        }
        let wire = Wire::read(json).ok_or(SharingEventError::NotAnObject)?;
        match event_type {
            REQUEST => wire.request(),
            SEND => Ok(Self::Send {
                request_id: wire.request_id()?,
                secret: wire.secret()?,
            }),
            PUSH | UNSTABLE_PUSH => Ok(Self::Push {
                name: wire.name()?,
                secret: wire.secret()?,
            }),
            _ => Err(SharingEventError::UnknownType),
        }
    }
}

/// Why an event is dropped. What it says is not repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SharingEventError {
    /// A member is missing, or not what it should be.
    #[error("the event has no usable `{0}`")]
    Member(&'static str),
    /// No JSON object, or one that has a member of sharing twice.
    #[error("the event is not a JSON object, or one that has a member of sharing twice")]
    NotAnObject,
    /// Larger than [`Content::MAX_BYTES`].
    #[error("the event is larger than {} bytes", Content::MAX_BYTES)]
    TooLarge,
    /// A request with an action that is not known.
    #[error("the event has an unknown action")]
    UnknownAction,
    /// An event of another type.
    #[error("the event is of another type")]
    UnknownType,
}

crate::error_code::error_codes! {
    SharingEventError:
    Self::Member { .. } => "sharing_event_member",
    Self::NotAnObject { .. } => "sharing_event_not_an_object",
    Self::TooLarge { .. } => "sharing_event_too_large",
    Self::UnknownAction { .. } => "sharing_event_unknown_action",
    Self::UnknownType { .. } => "sharing_event_unknown_type",
}

/// Borrows from the text, so that no copy of the secret is left behind. One of these members that
/// stands there twice is an error; other members are ignored.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    requesting_device_id: Option<&'a RawValue>,
    #[serde(borrow)]
    secret: Option<&'a RawValue>,
}

impl<'a> Wire<'a> {
    fn read(json: &'a str) -> Option<Self> {
        // serde would take an array for the members in their order.
        let is_object = json.trim_ascii_start().starts_with('{');
        is_object.then(|| serde_json::from_str(json).ok())?
    }

    fn request(&self) -> Result<SharingEvent, SharingEventError> {
        let action = text(self.action).ok_or(SharingEventError::Member("action"))?;
        match action.as_str() {
            "request" => Ok(SharingEvent::Request {
                name: self.name()?,
                device_id: self.device_id()?,
                request_id: self.request_id()?,
            }),
            "request_cancellation" => Ok(SharingEvent::Cancellation {
                device_id: self.device_id()?,
                request_id: self.request_id()?,
            }),
            _ => Err(SharingEventError::UnknownAction),
        }
    }

    fn name(&self) -> Result<SecretName, SharingEventError> {
        text(self.name)
            .and_then(|name| SecretName::new(name).ok())
            .ok_or(SharingEventError::Member("name"))
    }

    fn device_id(&self) -> Result<String, SharingEventError> {
        text(self.requesting_device_id)
            .filter(|id| !id.is_empty() && id.len() <= DeviceKeys::MAX_ID_BYTES)
            .ok_or(SharingEventError::Member("requesting_device_id"))
    }

    fn request_id(&self) -> Result<RequestId, SharingEventError> {
        text(self.request_id)
            .and_then(|id| RequestId::new(id).ok())
            .ok_or(SharingEventError::Member("request_id"))
    }

    fn secret(&self) -> Result<Secret, SharingEventError> {
        self.secret
            .and_then(secret)
            .ok_or(SharingEventError::Member("secret"))
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// The secret in a JSON string of at most [`Secret::MAX_BYTES`].
///
/// `serde_json` would collect a text with escapes in a buffer of its own, which nobody wipes; and
/// clients that write `/` as `\/` send keys with escapes. So they are replaced here, straight into
/// memory that is wiped. The fuzz target `sharing_event` compares the result with that of `serde_json`.
fn secret(raw: &RawValue) -> Option<Secret> {
    let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(quoted.len()));
    let mut rest = quoted;
    while let Some(position) = rest.find('\\') {
        let (plain, escaped) = rest.split_at_checked(position)?;
        text.push_str(plain);
        let (character, length) = unescape(escaped)?;
        text.push(character);
        rest = escaped.get(length..)?;
    }
    text.push_str(rest);
    (text.len() <= Secret::MAX_BYTES && !text.is_empty())
        .then(|| Secret::new(std::mem::take(&mut *text)))
}

/// The character that an escape stands for, and the length of the escape.
fn unescape(escape: &str) -> Option<(char, usize)> {
    let simple = |character| Some((character, 2));
    match escape.as_bytes().get(1)? {
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'u' => {
            let first = code_unit(escape)?;
            if let Some(character) = char::from_u32(u32::from(first)) {
                return Some((character, 6));
            }
            let pair = [first, code_unit(escape.get(6..)?)?];
            let character = char::decode_utf16(pair).next()?.ok()?;
            Some((character, 12))
        }
        other => simple(char::from(*other)),
    }
}

fn code_unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::wire::send;
    use super::*;

    #[test]
    fn a_secret_survives_its_way() {
        let id = RequestId::new("a\"b").unwrap();
        for text in ["a", "\"\\\n\0\u{1f}é🔑/", "\u{2028}"] {
            let json = send(&id, &Secret::new(text));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["secret"], text);
            let Ok(SharingEvent::Send { request_id, secret }) =
                SharingEvent::read(SEND, &Secret::new(json.as_str()))
            else {
                panic!("{text:?}");
            };
            assert_eq!((&request_id, secret.expose_secret()), (&id, text));
        }
    }

    #[test]
    fn every_escape_is_read() {
        let json = r#"{"name":"x","secret":"\b\f\n\r\t\/\\\"\u00e9\ud83d\udd11"}"#;
        let Ok(SharingEvent::Push { secret, .. }) = SharingEvent::read(PUSH, &Secret::new(json))
        else {
            panic!();
        };
        assert_eq!(secret.expose_secret(), "\u{8}\u{c}\n\r\t/\\\"é🔑");
    }

    // shows: SHR-19
    #[test]
    fn incomplete_events_are_no_events() {
        for (event_type, json) in [
            (
                REQUEST,
                r#"{"action":"request","name":"x","request_id":"1"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"x","request_id":"1","requesting_device_id":7}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"x\u0000","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"x","request_id":"1\n","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"x","request_id":"","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"REQUEST","name":"x","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":1,"name":"x","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"name":"x","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (
                REQUEST,
                r#"{"action":"request","name":"m.secret_storage.key.k","request_id":"1","requesting_device_id":"A"}"#,
            ),
            (SEND, r#"{"request_id":"1"}"#),
            (SEND, r#"{"request_id":"1","secret":""}"#),
            (SEND, r#"{"request_id":"1","secret":7}"#),
            (SEND, r#"{"request_id":"1","secret":"\ud800"}"#),
            (SEND, r#"{"request_id":"1","secret":"a","secret":"b"}"#),
            (PUSH, r#"{"secret":"a"}"#),
            ("m.secret.other", r#"{"request_id":"1","secret":"a"}"#),
            (SEND, "[]"),
            (SEND, r#"[null,null,"1",null,"s"]"#),
        ] {
            assert!(
                SharingEvent::read(event_type, &Secret::new(json)).is_err(),
                "{json}"
            );
        }
        let long = |bytes: usize| {
            let json = format!(r#"{{"request_id":"1","secret":"{}"}}"#, "x".repeat(bytes));
            SharingEvent::read(SEND, &Secret::new(json)).is_ok()
        };
        assert!(long(Secret::MAX_BYTES));
        assert!(!long(Secret::MAX_BYTES + 1));
    }
}

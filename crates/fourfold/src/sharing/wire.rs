//! The events as the machine reads and writes them: with secrets that are wiped.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::identity::DeviceKeys;
use crate::sharing::RequestId;
use crate::{Content, Secret, SecretName, canonical_json};

pub(super) const REQUEST: &str = "m.secret.request";
pub(super) const SEND: &str = "m.secret.send";
pub(super) const PUSH: &str = "m.secret.push";
/// What clients send until MSC4385 is accepted.
pub(super) const UNSTABLE_PUSH: &str = "io.element.msc4385.secret.push";

/// An event that is well formed.
#[derive(Debug)]
pub(super) enum Incoming {
    Request {
        name: SecretName,
        device_id: String,
        request_id: RequestId,
    },
    Cancellation {
        device_id: String,
        request_id: RequestId,
    },
    Send {
        request_id: RequestId,
        secret: Secret,
    },
    Push {
        name: SecretName,
        secret: Secret,
    },
}

impl Incoming {
    /// Reads an event; `None` for whatever is not one of these, complete and with the right types.
    pub(super) fn read(event_type: &str, content: &Secret) -> Option<Self> {
        let json = content.expose_secret();
        if json.len() > Content::MAX_BYTES {
            return None;
        }
        let wire: Wire<'_> = serde_json::from_str(json).ok()?;
        match event_type {
            REQUEST => {
                let device_id = text(wire.requesting_device_id)?;
                if device_id.is_empty() || device_id.len() > DeviceKeys::MAX_ID_BYTES {
                    return None;
                }
                let request_id = RequestId::new(text(wire.request_id)?).ok()?;
                match text(wire.action)?.as_str() {
                    "request" => Some(Self::Request {
                        name: SecretName::new(text(wire.name)?).ok()?,
                        device_id,
                        request_id,
                    }),
                    "request_cancellation" => Some(Self::Cancellation {
                        device_id,
                        request_id,
                    }),
                    _ => None,
                }
            }
            SEND => Some(Self::Send {
                request_id: RequestId::new(text(wire.request_id)?).ok()?,
                secret: secret(wire.secret?)?,
            }),
            PUSH | UNSTABLE_PUSH => Some(Self::Push {
                name: SecretName::new(text(wire.name)?).ok()?,
                secret: secret(wire.secret?)?,
            }),
            _ => None,
        }
    }
}

/// `m.secret.request` with the action `request`.
pub(super) fn request(device_id: &str, name: &SecretName, request_id: &RequestId) -> Content {
    request_event("request", device_id, name, request_id)
}

/// `m.secret.request` with the action `request_cancellation`. It names the secret, which is not
/// asked for and harmless: clients of 2019 ignore it otherwise.
pub(super) fn cancellation(device_id: &str, name: &SecretName, request_id: &RequestId) -> Content {
    request_event("request_cancellation", device_id, name, request_id)
}

/// The content of `m.secret.send`, as JSON.
pub(super) fn send(request_id: &RequestId, secret: &Secret) -> Zeroizing<String> {
    with_secret("request_id", request_id.as_str(), secret)
}

/// The content of `m.secret.push`, as JSON.
pub(super) fn push(name: &SecretName, secret: &Secret) -> Zeroizing<String> {
    with_secret("name", name.as_str(), secret)
}

fn request_event(
    action: &str,
    device_id: &str,
    name: &SecretName,
    request_id: &RequestId,
) -> Content {
    let mut content = Content::default();
    content.insert("action", action);
    content.insert("name", name.as_str());
    content.insert("request_id", request_id.as_str());
    content.insert("requesting_device_id", device_id);
    content
}

fn with_secret(member: &str, value: &str, secret: &Secret) -> Zeroizing<String> {
    let secret = secret.expose_secret();
    // The longest that escapes can become, so that no growth leaves a copy behind.
    let size = 64 + 6 * value.len() + 6 * secret.len();
    let mut json = Zeroizing::new(String::with_capacity(size));
    json.push('{');
    canonical_json::append_string(&mut json, member);
    json.push(':');
    canonical_json::append_string(&mut json, value);
    json.push_str(",\"secret\":\"");
    for character in secret.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\0'..='\u{1f}' => {
                let number = character as u32;
                json.push_str("\\u00");
                for digit in [number >> 4, number & 0xf] {
                    json.extend(char::from_digit(digit, 16));
                }
            }
            other => json.push(other),
        }
    }
    json.push_str("\"}");
    json
}

/// Borrows from the text, so that no copy of the secret is left behind. A member that stands there
/// twice is an error.
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

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// The secret in a JSON string of at most [`Secret::MAX_BYTES`].
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
    use super::*;

    #[test]
    fn a_secret_survives_its_way() {
        let id = RequestId::new("a\"b").unwrap();
        for text in ["a", "\"\\\n\0\u{1f}é🔑/", "\u{2028}"] {
            let json = send(&id, &Secret::new(text));
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(value["secret"], text);
            let Some(Incoming::Send { request_id, secret }) =
                Incoming::read(SEND, &Secret::new(json.as_str()))
            else {
                panic!("{text:?}");
            };
            assert_eq!((&request_id, secret.expose_secret()), (&id, text));
        }
    }

    #[test]
    fn every_escape_is_read() {
        let json = r#"{"name":"x","secret":"\b\f\n\r\t\/\\\"\u00e9\ud83d\udd11"}"#;
        let Some(Incoming::Push { secret, .. }) = Incoming::read(PUSH, &Secret::new(json)) else {
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
        ] {
            assert!(
                Incoming::read(event_type, &Secret::new(json)).is_none(),
                "{json}"
            );
        }
        let long = |bytes: usize| {
            let json = format!(r#"{{"request_id":"1","secret":"{}"}}"#, "x".repeat(bytes));
            Incoming::read(SEND, &Secret::new(json)).is_some()
        };
        assert!(long(Secret::MAX_BYTES));
        assert!(!long(Secret::MAX_BYTES + 1));
    }
}

//! The events of sharing as they go out: with secrets that are wiped.

use zeroize::Zeroizing;

use crate::sharing::RequestId;
use crate::{Content, Secret, SecretName, canonical_json};

pub(super) const REQUEST: &str = "m.secret.request";
pub(super) const SEND: &str = "m.secret.send";
pub(super) const PUSH: &str = "m.secret.push";
/// The event type that clients use until MSC4385 is accepted.
pub(super) const UNSTABLE_PUSH: &str = "io.element.msc4385.secret.push";

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

//! `/sendToDevice`: messages from device to device.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::auth::new_session::EVERY;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::http::json::write_string;
use crate::store::{DeviceId, Outgoing, Recipient, SecretRequest, Transaction, UserId};

/// `PUT /sendToDevice/{eventType}/{txnId}`: each message goes into the inbox of its device, `*` into
/// those of all devices of the user. Durable before the answer.
///
/// The same transaction ID from the same device for the same type is the same request: it is
/// answered again and delivers nothing. Receivers that do not exist are passed over without a word. When
/// an inbox has no room the rest is delivered and the answer is 429, or 507 when the inbox is the user's
/// own; the same request again then delivers what is missing.
pub(crate) async fn send(call: Call) -> Handled {
    let session = call.session()?;
    call.check_body()?;
    let event_type = call.parameter("eventType")?;
    let wanted: Messages<'_> = call.body_unchecked()?;
    let messages = wanted
        .messages
        .ok_or(MatrixError::MissingParam("messages"))?;
    let count: usize = messages.values().map(BTreeMap::len).sum();
    if count > MAX_MESSAGES {
        return Err(MatrixError::TooLarge(
            "too many messages in one request".into(),
        ));
    }
    let (rate, user) = (
        &call.app.traffic.rates.messages_per_user,
        session.user.as_str(),
    );
    rate.take(user)?;
    rate.charge(user, count.saturating_sub(1));
    let mut outgoing = Vec::with_capacity(count);
    for (user, devices) in messages {
        let user = UserId::new(user);
        for (device, content) in devices {
            let event = event(event_type, session.user.as_str(), content)?;
            let recipient = match &*device {
                EVERY => Recipient::Every,
                _ => Recipient::Device(DeviceId::new(device)),
            };
            let user = user.clone();
            outgoing.push(Outgoing {
                user,
                recipient,
                event,
                secret_request: secret_request(event_type, content),
            });
        }
    }
    let transaction = Transaction {
        device: session.device.clone(),
        hash: transaction_hash(event_type, call.parameter("txnId")?),
        at: call.app.config.clock.now(),
    };
    let store = &call.app.store;
    let sent = store.send(&session.user, transaction, outgoing).await?;
    rate.charge(user, sent.copies.saturating_sub(count));
    if sent.refused_own > 0 {
        return Err(MatrixError::OwnInboxFull);
    }
    if sent.refused > 0 {
        return Err(MatrixError::InboxFull {
            retry_after: INBOX_RETRY,
        });
    }
    Ok(answer::empty())
}

#[derive(Deserialize)]
struct Messages<'b> {
    #[serde(borrow)]
    messages: Option<BTreeMap<String, BTreeMap<String, &'b RawValue>>>,
}

/// The event as the receiver gets it. The sender is who holds the token, whatever the body says.
fn event(event_type: &str, sender: &str, content: &RawValue) -> Result<Bytes, MatrixError> {
    let content = content.get();
    if !content.starts_with('{') {
        return Err(MatrixError::BadJson("a content must be an object".into()));
    }
    if content.len() > MAX_CONTENT {
        return Err(MatrixError::TooLarge(
            "a content is larger than 65536 bytes".into(),
        ));
    }
    let mut event = Vec::with_capacity(event_type.len() + sender.len() + content.len() + 48);
    event.extend_from_slice(b"{\"type\":");
    write_string(&mut event, event_type)?;
    event.extend_from_slice(b",\"sender\":");
    write_string(&mut event, sender)?;
    event.extend_from_slice(b",\"content\":");
    event.extend_from_slice(content.as_bytes());
    event.push(b'}');
    Ok(event.into())
}

/// What the store is told of a request for a secret; of anything else, encrypted or malformed,
/// nothing.
fn secret_request(event_type: &str, content: &RawValue) -> Option<SecretRequest> {
    if event_type != "m.secret.request" {
        return None;
    }
    let content: SecretRequestContent = serde_json::from_str(content.get()).ok()?;
    let cancels = match content.action.as_str() {
        "request" => false,
        "request_cancellation" => true,
        _ => return None,
    };
    let longest = content
        .request_id
        .len()
        .max(content.requesting_device_id.len());
    (longest <= MAX_ID).then(|| SecretRequest {
        cancels,
        request_id: content.request_id,
        requesting_device: DeviceId::new(content.requesting_device_id),
    })
}

#[derive(Deserialize)]
struct SecretRequestContent {
    action: String,
    request_id: String,
    requesting_device_id: String,
}

fn transaction_hash(event_type: &str, transaction: &str) -> [u8; 32] {
    // Neither part can hold the NUL between them.
    let mut hash = Sha256::new();
    for part in ["sendToDevice", "\0", event_type, "\0", transaction] {
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// When an inbox that had no room may have been read.
const INBOX_RETRY: Duration = Duration::from_secs(60);

/// Bytes of one content, as Synapse has it.
const MAX_CONTENT: usize = 65_536;

/// Bytes of an ID that somebody may have meant.
const MAX_ID: usize = 255;

/// Messages in one request, before `*` is expanded.
const MAX_MESSAGES: usize = 2_000;

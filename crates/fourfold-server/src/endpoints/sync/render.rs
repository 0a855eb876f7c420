//! Writing the answer to a sync.

use std::sync::Arc;

use bytes::Bytes;

use super::News;
use crate::auth::sync_token::SyncPoint;
use crate::call::Call;
use crate::default_rules::PUSH_RULES;
use crate::endpoints::keys::SIGNED_CURVE25519;
use crate::http::answer::{Answer, Later, Part, Writer};
use crate::http::error::MatrixError;
use crate::store::{AccountDataEvent, KeyCounts, Scope, Store, TypeFilter, UserId};

impl News {
    /// Writes the answer by hand: contents go from the store into it as the bytes that they are.
    pub(super) async fn render(
        self,
        call: &Call,
        filter: &TypeFilter,
        full: bool,
    ) -> Result<Answer, MatrixError> {
        let session = call.session()?;
        let user = &session.user;
        let counts = call.app.store.key_counts(user, &session.device).await?;
        let mut events: Vec<AccountDataEvent> = self.changes.account_data;
        if full && filter.shows(PUSH_RULES) {
            let content = call.app.default_rules.content(user)?;
            events.push(AccountDataEvent {
                event_type: PUSH_RULES.into(),
                length: content.len(),
                content: Some(content),
            });
        }
        let contents = events.iter().filter_map(|event| event.content.as_ref());
        let contents = contents.map(Bytes::len);
        let messages = self.messages.iter().map(|message| message.event.len());
        let types: usize = events.iter().map(|it| it.event_type.len() + 32).sum();
        let around = types + self.messages.len() + 384;
        let mut body = Writer::new(contents.chain(messages), around);
        body.text(b"{\"next_batch\":\"");
        // A token has no character that JSON would escape.
        let point = SyncPoint::new(&session.device, self.changes.position, self.inbox);
        body.text(call.app.sync_tokens.seal(user, &point).as_bytes());
        body.text(b"\",\"account_data\":{\"events\":[");
        for (index, event) in events.iter().enumerate() {
            if index > 0 {
                body.text(b",");
            }
            body.text(b"{\"type\":");
            body.string(&event.event_type)?;
            body.text(b",\"content\":");
            match &event.content {
                Some(content) => body.content(content),
                None => body.later(
                    event.length,
                    stored(&call.app.store, user, &event.event_type),
                ),
            }
            body.text(b"}");
        }
        body.text(b"]},\"to_device\":{\"events\":[");
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                body.text(b",");
            }
            body.content(&message.event);
        }
        body.text(b"]},\"device_lists\":{\"changed\":[");
        if self.changes.device_list {
            body.string(user.as_str())?;
        }
        body.text(b"],\"left\":[]},\"device_one_time_keys_count\":{");
        write_counts(&mut body, &counts)?;
        body.text(b"},\"device_unused_fallback_key_types\":[");
        for (index, algorithm) in counts.unused_fallback_keys.iter().enumerate() {
            if index > 0 {
                body.text(b",");
            }
            body.string(algorithm)?;
        }
        body.text(b"]}");
        Ok(body.finish())
    }
}

/// Reads a content that is not in memory. One that was replaced meanwhile is the newer one, which the
/// next sync shows again.
fn stored(store: &Arc<dyn Store>, user: &UserId, event_type: &Arc<str>) -> Later {
    let (store, user, event_type) = (Arc::clone(store), user.clone(), Arc::clone(event_type));
    Box::pin(async move {
        let scope = Scope::global();
        let stored = store.account_data(&user, &scope, &event_type).await?;
        // Account data is never deleted.
        let stored = stored.ok_or(MatrixError::Internal)?;
        Ok(vec![Part::Here(stored.content)])
    })
}

/// The counts of one-time keys, that of the usual algorithm also at zero.
fn write_counts(body: &mut Writer, counts: &KeyCounts) -> Result<(), MatrixError> {
    let known = &counts.one_time_keys;
    let zero = (!known.contains_key(SIGNED_CURVE25519)).then_some((SIGNED_CURVE25519, 0));
    let counts = known
        .iter()
        .map(|(algorithm, count)| (&**algorithm, *count));
    for (index, (algorithm, count)) in counts.chain(zero).enumerate() {
        if index > 0 {
            body.text(b",");
        }
        body.string(algorithm)?;
        body.text(b":");
        body.text(count.to_string().as_bytes());
    }
    Ok(())
}

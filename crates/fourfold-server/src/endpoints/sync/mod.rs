//! `/sync`: what changed since a token, at once or as soon as something does.

mod render;

use std::pin::pin;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::auth::bearer::still_open;
use crate::auth::sync_token::SyncPoint;
use crate::call::Call;
use crate::endpoints::filter;
use crate::http::answer::Handled;
use crate::http::error::MatrixError;
use crate::http::stopping::stopped;
use crate::store::{Changes, InboxMessage, Position, TypeFilter};

/// `GET /sync`.
///
/// Messages to the device come in the order of arrival, and again until the device shows with a newer
/// token that it has them. With `since` and nothing to show it waits up to `timeout`. A change of the user wakes it; so does
/// the end of its session, with 401, and the end of the server or a newer sync of the device, with an
/// empty answer.
pub(crate) async fn sync(call: Call) -> Handled {
    let session = call.session()?;
    let query: Query = call.query()?;
    let filter = filter::named(&call, query.filter.as_deref()).await?;
    let since = match query.since.as_deref() {
        Some(token) => Some(
            call.app
                .sync_tokens
                .open(&session.user, token)
                .ok_or(MatrixError::InvalidParam("the sync token is invalid"))?,
        ),
        None => None,
    };
    let full = since.is_none() || query.full_state == Some(true);
    let patience = if full {
        Duration::ZERO
    } else {
        query.patience()?
    };
    let patience = patience.min(call.app.config.limits.longest_poll);

    // Most syncs that do not wait need neither a place among the watchers nor a timer.
    if patience.is_zero() {
        let news = News::gather(&call, since.as_ref(), full, &filter).await?;
        return news.render(&call, &filter, full).await;
    }
    let deadline = Instant::now() + patience;
    let mut stopping = pin!(stopped(call.app.stopping.subscribe()));
    let mut watch = call.app.store.watch(&session.user);
    let poll = call.app.polls.begin(session);
    loop {
        let news = News::gather(&call, since.as_ref(), full, &filter).await?;
        if news.worth_telling() {
            return news.render(&call, &filter, full).await;
        }
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep_until(deadline) => return news.render(&call, &filter, full).await,
            () = &mut stopping => return news.render(&call, &filter, full).await,
            () = poll.gives_way() => return news.render(&call, &filter, full).await,
        }
        still_open(&call.app.auth, session).await?;
    }
}

/// The parameters that are acted on. `set_presence` and `use_state_after` concern rooms and people.
#[derive(Deserialize)]
struct Query {
    since: Option<String>,
    timeout: Option<String>,
    filter: Option<String>,
    full_state: Option<bool>,
}

impl Query {
    fn patience(&self) -> Result<Duration, MatrixError> {
        let Some(timeout) = &self.timeout else {
            return Ok(Duration::ZERO);
        };
        let milliseconds = timeout.parse();
        let milliseconds =
            milliseconds.map_err(|_| MatrixError::InvalidParam("the timeout is not a number"))?;
        Ok(Duration::from_millis(milliseconds))
    }
}

/// The content of a sync response for a device.
struct News {
    changes: Changes,
    messages: Vec<InboxMessage>,
    /// Up to where the device has its messages once it has these.
    inbox: Position,
}

impl News {
    /// Reads what came after `since`. A token of this very device acknowledges the messages up to
    /// it; from any other token the messages begin with the first that waits.
    async fn gather(
        call: &Call,
        since: Option<&SyncPoint>,
        full: bool,
        filter: &TypeFilter,
    ) -> Result<Self, MatrixError> {
        let (session, store) = (call.session()?, &call.app.store);
        let (user, device) = (&session.user, &session.device);
        let position = since.filter(|_| !full).map(|since| since.position);
        let mut changes = store.changes(user, position).await?;
        // Filtered at once: a poll that waits holds nothing that it will not return.
        let events = &mut changes.account_data;
        events.retain(|event| filter.shows(&event.event_type));
        events.shrink_to_fit();
        // Read after the changes: so every message up to their position is seen.
        let inbox = store.inbox(user, device).await?;
        let mut after = inbox.acknowledged;
        let own = since.filter(|since| since.position <= changes.position && since.is_of(device));
        if let Some(since) = own.filter(|since| since.inbox > after) {
            after = since.inbox;
            if inbox.messages > 0 {
                store.acknowledge(user, device, after).await?;
            }
        }
        let mut messages = Vec::new();
        let mut end = after.max(changes.position);
        if inbox.messages > 0 && inbox.newest > after {
            messages = store
                .inbox_messages(user, device, after, MAX_MESSAGES + 1)
                .await?;
            let fitting = fitting(&messages);
            let cut = fitting < messages.len();
            messages.truncate(fitting);
            if let Some(last) = messages.last() {
                end = if cut {
                    last.position
                } else {
                    end.max(last.position)
                };
            }
        }
        Ok(Self {
            changes,
            messages,
            inbox: end,
        })
    }

    fn worth_telling(&self) -> bool {
        self.changes.device_list
            || !self.messages.is_empty()
            || !self.changes.account_data.is_empty()
    }
}

/// The number of messages in one response: up to a number, up to a size, and at least one.
fn fitting(messages: &[InboxMessage]) -> usize {
    let mut bytes = 0;
    let fits = |message: &&InboxMessage| {
        let first = bytes == 0;
        bytes += message.event.len();
        first || bytes <= MAX_MESSAGE_BYTES
    };
    let messages = messages.iter().take(MAX_MESSAGES);
    messages.take_while(fits).count()
}

/// Messages in one answer; the rest comes at once with the next.
const MAX_MESSAGES: usize = 100;

/// Bytes of messages in one answer.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;

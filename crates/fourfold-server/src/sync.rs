//! `/sync`: what changed since a token, at once or as soon as something does.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use crate::account_data::PUSH_RULES;
use crate::answer::{self, Answer};
use crate::app::stopped;
use crate::auth::still_open;
use crate::call::Call;
use crate::error::MatrixError;
use crate::filter::TypeFilter;
use crate::routes::Handled;
use crate::store::{AccountDataEvent, Changes};

/// `GET /sync`.
///
/// With `since` and nothing to show it waits up to `timeout`. A change of the user wakes it; so does
/// the end of its session, with 401, and the end of the server, with an empty answer.
pub(crate) async fn sync(call: Call) -> Handled {
    let session = call.session()?;
    let query: Query = call.query()?;
    let filter = TypeFilter::named(&call, query.filter.as_deref()).await?;
    let since = match query.since.as_deref() {
        Some(token) => Some(call.app.sync_tokens.open(&session.user, token).ok_or(
            MatrixError::InvalidParam("the sync token is not one of ours"),
        )?),
        None => None,
    };
    let full = since.is_none() || query.full_state == Some(true);
    let patience = if full {
        Duration::ZERO
    } else {
        query.patience()?
    };
    let patience = patience.min(call.app.config.longest_poll);

    // Most syncs that do not wait need neither a place among the watchers nor a timer.
    if patience.is_zero() {
        let since = since.filter(|_| !full);
        let changes = call.app.store.changes(&session.user, since).await?;
        return render(&call, changes, &filter, full);
    }
    let deadline = Instant::now() + patience;
    let mut stopping = pin!(stopped(call.app.stopping.subscribe()));
    let mut watch = call.app.store.watch(&session.user);
    loop {
        let changes = call.app.store.changes(&session.user, since).await?;
        let shown = changes
            .account_data
            .iter()
            .any(|event| filter.shows(&event.event_type));
        if shown || changes.device_list {
            return render(&call, changes, &filter, full);
        }
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep_until(deadline) => return render(&call, changes, &filter, full),
            () = &mut stopping => {
                return render(&call, changes, &filter, full);
            }
        }
        still_open(&call.app, session).await?;
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

/// Writes the answer by hand: contents go from the store into it as the bytes that they are.
fn render(
    call: &Call,
    changes: Changes,
    filter: &TypeFilter,
    full: bool,
) -> Result<Answer, MatrixError> {
    let user = &call.session()?.user;
    let mut events: Vec<AccountDataEvent> = changes.account_data;
    events.retain(|event| filter.shows(&event.event_type));
    if full && filter.shows(PUSH_RULES) {
        let content = call.app.push_rules.content(user)?;
        events.push(AccountDataEvent {
            event_type: PUSH_RULES.into(),
            content,
        });
    }
    let contents: usize = events
        .iter()
        .map(|event| event.event_type.len() + event.content.len() + 32)
        .sum();
    let mut body = Vec::with_capacity(contents + 384);
    body.extend_from_slice(b"{\"next_batch\":\"");
    // A token has no character that JSON would escape.
    body.extend_from_slice(call.app.sync_tokens.seal(user, changes.position).as_bytes());
    body.extend_from_slice(b"\",\"account_data\":{\"events\":[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(b"{\"type\":");
        write_string(&mut body, &event.event_type)?;
        body.extend_from_slice(b",\"content\":");
        body.extend_from_slice(&event.content);
        body.push(b'}');
    }
    body.extend_from_slice(b"]},\"to_device\":{\"events\":[]},\"device_lists\":{\"changed\":[");
    if changes.device_list {
        write_string(&mut body, user.as_str())?;
    }
    body.extend_from_slice(
        b"],\"left\":[]},\"device_one_time_keys_count\":{\"signed_curve25519\":0},\
          \"device_unused_fallback_key_types\":[]}",
    );
    Ok(answer::raw(Bytes::from(body)))
}

fn write_string(body: &mut Vec<u8>, text: &str) -> Result<(), MatrixError> {
    serde_json::to_writer(body, text).map_err(|error| {
        tracing::error!(%error, "a string does not serialise");
        MatrixError::Internal
    })
}

//! `/unstable/org.fourfold/account_data_history`: which contents global account data had, when each
//! was stored, and by which device. The format is in docs/account-data-history.md.

use serde::Deserialize;

use crate::auth::confirmation;
use crate::auth::interactive::AuthData;
use crate::call::Call;
use crate::http::answer::{self, Handled, Writer};
use crate::http::condition::entity_tag;
use crate::http::error::MatrixError;
use crate::http::unread::PIECE;
use crate::store::{HistoryEntry, HistoryPage, Position};

/// The member of `unstable_features` that says whether there is a history.
pub(crate) const FEATURE: &str = "org.fourfold.account_data_history";

/// `GET`: a page of the history, newest change first.
pub(crate) async fn show(call: Call) -> Handled {
    check_kept(&call)?;
    let query: Query = call.query()?;
    let before = query.from.map(|from| from.parse().map(Position));
    let before = before.transpose().map_err(|_| {
        MatrixError::InvalidParam("the value of from is not a token of this server")
    })?;
    let wanted = HistoryPage {
        event_type: query.event_type,
        before,
        entries: query.limit.unwrap_or(DEFAULT_ENTRIES).clamp(1, MAX_ENTRIES),
        bytes: PIECE,
        now: call.app.config.clock.now(),
    };
    let page = call.app.store.account_data_history(call.user()?, wanted);
    let (entries, more) = page.await?;
    let contents = entries.iter().map(|entry| entry.content.len());
    let mut body = Writer::new(contents, entries.len() * AROUND_ENTRY + 64);
    body.text(b"{\"chunk\":[");
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.text(b",");
        }
        write(&mut body, entry)?;
    }
    body.text(b"]");
    if let Some(last) = entries.last().filter(|_| more) {
        body.text(b",\"next_batch\":");
        body.string(&last.position.0.to_string())?;
    }
    body.text(b"}");
    Ok(body.finish())
}

/// `DELETE`, with the password: the earlier contents are deleted, the current ones stay.
pub(crate) async fn forget(call: Call) -> Handled {
    check_kept(&call)?;
    let wanted: Deletion = call.optional_body()?;
    let user = call.user()?;
    let request = "delete the history of account data";
    confirmation::password(&call.app.auth, request, user, wanted.auth.as_ref()).await?;
    call.app.store.forget_account_data_history(user).await?;
    Ok(answer::empty())
}

#[derive(Deserialize)]
struct Query {
    #[serde(rename = "type")]
    event_type: Option<String>,
    from: Option<String>,
    limit: Option<usize>,
}

#[derive(Deserialize)]
struct Deletion {
    auth: Option<AuthData>,
}

/// A server that keeps no history answers as one that does not know the path.
fn check_kept(call: &Call) -> Result<(), MatrixError> {
    let history = call.app.config.storage.quotas.history;
    history.map(drop).ok_or(MatrixError::UnknownPath)
}

fn write(body: &mut Writer, entry: &HistoryEntry) -> Result<(), MatrixError> {
    body.text(b"{\"type\":");
    body.string(&entry.event_type)?;
    body.text(b",\"etag\":");
    body.string(&entity_tag(entry.position))?;
    if let Some(origin) = &entry.origin {
        body.text(format!(",\"origin_server_ts\":{},\"device_id\":", origin.at.0).as_bytes());
        body.string(origin.device.as_str())?;
    }
    if let Some(at) = entry.replaced_at {
        body.text(format!(",\"replaced_ts\":{}", at.0).as_bytes());
    }
    body.text(b",\"content\":");
    body.content(&entry.content);
    body.text(b"}");
    Ok(())
}

/// The number of entries of a page, unless the request says otherwise.
const DEFAULT_ENTRIES: usize = 50;

/// The maximum number of entries of a page.
const MAX_ENTRIES: usize = 200;

/// About what is written around a content.
const AROUND_ENTRY: usize = 192;

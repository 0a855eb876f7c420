//! `/keys/changes`.

use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;

/// `GET /keys/changes?from&to`: whose devices changed between two syncs. Without rooms that can be
/// the caller alone.
///
/// Of several changes only the last is remembered, so that one after `to` also counts: a client then
/// asks for keys that it will be told about once more.
pub(crate) async fn changes(call: Call) -> Handled {
    let (user, query) = (call.user()?, call.query::<Query>()?);
    let from = query.from.ok_or(MatrixError::MissingParam("from"))?;
    let to = query.to.ok_or(MatrixError::MissingParam("to"))?;
    let tokens = &call.app.sync_tokens;
    let (Some(from), Some(_)) = (tokens.open(user, &from), tokens.open(user, &to)) else {
        return Err(MatrixError::InvalidParam("the sync token is invalid"));
    };
    let moved = call.app.store.changes(user, Some(from.position)).await?;
    let changed: &[&str] = if moved.device_list {
        &[user.as_str()]
    } else {
        &[]
    };
    answer::json(&json!({ "changed": changed, "left": [] }))
}

#[derive(Deserialize)]
struct Query {
    from: Option<String>,
    to: Option<String>,
}

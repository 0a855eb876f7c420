//! `/user/{userId}/account_data/{type}` and the same under `/rooms/{roomId}`: the heart.
//!
//! Contents are bytes here: what was stored comes back exactly as it came, so that numbers, escapes
//! and members that nobody knows survive. `ruma`'s typed endpoints would parse and print again.

use bytes::Bytes;
use ruma::RoomId;

use crate::call::Call;
use crate::default_rules::PUSH_RULES;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{Origin, Scope};

/// `GET`: the content as it was stored.
pub(crate) async fn show(call: Call) -> Handled {
    let scope = scope(&call)?;
    let user = call.user()?;
    let event_type = call.parameter("type")?;
    if scope.is_global() && event_type == PUSH_RULES {
        return Ok(answer::raw(call.app.default_rules.content(user)?));
    }
    let stored = call
        .app
        .store
        .account_data(user, &scope, event_type)
        .await?;
    stored
        .map(|stored| answer::tagged(stored.content, stored.position))
        .ok_or(MatrixError::NotFound("account data not found"))
}

/// `PUT`: the content is replaced, durable and visible before the answer.
///
/// An empty object is a content like any other: it is how clients delete.
///
/// With `If-Match: "ETAG"` (the tag that `GET` gave) or `If-None-Match: *` it is replaced only if
/// nobody else wrote in the meantime; otherwise 412 `M_CONCURRENT_WRITE`, and nothing happens.
pub(crate) async fn replace(call: Call) -> Handled {
    let scope = scope(&call)?;
    let event_type = call.parameter("type")?;
    if SERVER_MANAGED.contains(&event_type) {
        return Err(MatrixError::ServerManaged);
    }
    call.check_body()?;
    let content = call.body.clone();
    let session = call.session()?;
    let origin = Origin {
        device: session.device.clone(),
        at: call.app.config.clock.now(),
    };
    let (user, condition) = (&session.user, call.condition);
    let position = call
        .app
        .store
        .put_account_data(user, scope, event_type, content, condition, origin)
        .await?;
    Ok(answer::tagged(Bytes::from_static(b"{}"), position))
}

fn scope(call: &Call) -> Result<Scope, MatrixError> {
    let Ok(room) = call.parameter("roomId") else {
        return Ok(Scope::global());
    };
    let room = RoomId::parse(room).map_err(|_| MatrixError::InvalidParam("not a room ID"))?;
    Ok(Scope::room(room.as_str()))
}

/// Types that only the server writes, through other endpoints.
const SERVER_MANAGED: [&str; 2] = [PUSH_RULES, "m.fully_read"];

//! Endpoints that clients use when they start, with the responses of a server without rooms.

use serde_json::json;

use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;

/// `{}`: no TURN server, no third-party networks.
pub(crate) async fn empty(_: Call) -> Handled {
    Ok(answer::empty())
}

/// `GET /joined_rooms`.
pub(crate) async fn joined_rooms(_: Call) -> Handled {
    answer::json(&json!({ "joined_rooms": [] }))
}

/// `GET /pushers`.
pub(crate) async fn pushers(_: Call) -> Handled {
    answer::json(&json!({ "pushers": [] }))
}

/// `GET /notifications`.
pub(crate) async fn notifications(_: Call) -> Handled {
    answer::json(&json!({ "notifications": [] }))
}

/// `GET /account/3pid`.
pub(crate) async fn third_party_ids(_: Call) -> Handled {
    answer::json(&json!({ "threepids": [] }))
}

/// `GET /profile/{userId}` and its members: every user has a profile with nothing in it.
pub(crate) async fn profile(call: Call) -> Handled {
    let user = call.app.auth.names.typed_user_id(call.parameter("userId")?);
    let known = match user {
        Some(user) => call.app.store.password_hash(&user).await?.is_some(),
        None => false,
    };
    if known {
        Ok(answer::empty())
    } else {
        Err(MatrixError::NotFound("no such profile"))
    }
}

/// Media configuration: there is no media repository.
pub(crate) async fn media_config(_: Call) -> Handled {
    answer::json(&json!({ "m.upload.size": 0 }))
}

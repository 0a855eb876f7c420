//! `/pushrules/`: the default rules of the specification. Clients do not start to sync without them.

use bytes::Bytes;
use ruma::UserId as RumaUserId;
use ruma::push::Ruleset;
use serde_json::json;

use crate::answer;
use crate::call::Call;
use crate::error::MatrixError;
use crate::routes::Handled;
use crate::store::UserId;

/// `GET /pushrules/`.
pub(crate) async fn all(call: Call) -> Handled {
    Ok(answer::raw(content(call.user()?)?))
}

/// `GET /pushrules/global/`.
pub(crate) async fn global(call: Call) -> Handled {
    answer::json(&ruleset(call.user()?)?)
}

/// The content of `m.push_rules`.
pub(crate) fn content(user: &UserId) -> Result<Bytes, MatrixError> {
    Ok(json!({ "global": ruleset(user)? }).to_string().into())
}

fn ruleset(user: &UserId) -> Result<Ruleset, MatrixError> {
    let user = <&RumaUserId>::try_from(user.as_str()).map_err(|error| {
        tracing::error!(%error, "an account has an invalid user ID");
        MatrixError::Internal
    })?;
    Ok(Ruleset::server_default(user))
}

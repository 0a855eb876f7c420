//! Discovery of the server and its features.

use serde_json::json;

use super::account_data_history;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;

/// `GET /_matrix/client/versions`.
pub(crate) async fn versions(call: Call) -> Handled {
    let has_history = call.app.config.storage.quotas.history.is_some();
    answer::json(&json!({
        "versions": VERSIONS,
        "unstable_features": { account_data_history::FEATURE: has_history },
    }))
}

/// `GET /.well-known/matrix/client`: only an operator knows under which URL the world sees us.
pub(crate) async fn well_known(call: Call) -> Handled {
    match &call.app.config.network.public_base_url {
        Some(base_url) => answer::json(&json!({ "m.homeserver": { "base_url": base_url } })),
        None => Err(MatrixError::NotFound("this server has no public base URL")),
    }
}

/// `GET /capabilities`.
pub(crate) async fn capabilities(_: Call) -> Handled {
    answer::json(&json!({
        "capabilities": {
            "m.room_versions": { "default": "10", "available": { "10": "stable" } },
            "m.change_password": { "enabled": false },
            "m.set_displayname": { "enabled": false },
            "m.set_avatar_url": { "enabled": false },
            "m.3pid_changes": { "enabled": false },
            "m.get_login_token": { "enabled": false },
        }
    }))
}

/// The versions whose secret-storage parts are served: from the clients of 2019 to those of today.
const VERSIONS: [&str; 14] = [
    "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9",
    "v1.10", "v1.11", "v1.12",
];

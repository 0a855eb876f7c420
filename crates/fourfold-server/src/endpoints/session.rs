//! The life of a session: its refresh, and its end.

use serde::Deserialize;
use serde_json::json;

use crate::auth::new_session;
use crate::call::Call;
use crate::http::address::address_key;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;

/// `POST /refresh`.
pub(crate) async fn refresh(call: Call) -> Handled {
    let app = &call.app;
    app.traffic
        .rates
        .login
        .per_address
        .take(&address_key(call.address))?;
    let Refresh { refresh_token } = call.body()?;
    let presented = refresh_token.ok_or(MatrixError::MissingParam("refresh_token"))?;
    let refreshed = new_session::refresh(&app.auth, &presented).await?;
    answer::json(&refreshed.ok_or(MatrixError::UnknownToken { soft_logout: true })?)
}

/// `POST /logout`: the device goes with its session.
pub(crate) async fn logout(call: Call) -> Handled {
    let session = call.session()?;
    call.app
        .store
        .delete_devices(&session.user, std::slice::from_ref(&session.device))
        .await?;
    Ok(answer::empty())
}

/// `POST /logout/all`.
pub(crate) async fn logout_all(call: Call) -> Handled {
    call.app.store.delete_all_devices(call.user()?).await?;
    Ok(answer::empty())
}

/// `GET /account/whoami`.
pub(crate) async fn whoami(call: Call) -> Handled {
    let session = call.session()?;
    answer::json(&json!({
        "user_id": session.user.as_str(),
        "device_id": session.device.as_str(),
        "is_guest": false,
    }))
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: Option<String>,
}

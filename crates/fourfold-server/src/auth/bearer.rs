//! From a bearer token to a session.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, header};

use crate::app::{App, address_key};
use crate::auth::token;
use crate::http::error::MatrixError;
use crate::store::{Session, StoreError, UserId};

/// The session of the `Authorization` header. A token anywhere else, in the query above all, is
/// none: it would end up in logs.
///
/// # Errors
///
/// 401 `M_MISSING_TOKEN` or `M_UNKNOWN_TOKEN`; 429 for an address that tries token after token, and
/// for a user or a device over the rate.
pub(crate) async fn authenticate(
    app: &App,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Session, MatrixError> {
    let Some(token) = bearer(headers) else {
        app.rates
            .anonymous_per_address
            .take(&address_key(address))?;
        return Err(MatrixError::MissingToken);
    };
    let Some((localpart, hash)) = token::parse_access(token) else {
        return Err(refuse(app, address));
    };
    let Some(user) = app.possible_user_id(&localpart) else {
        return Err(refuse(app, address));
    };
    let Some(session) = app.store.session(&user, &hash).await? else {
        return Err(refuse(app, address));
    };
    check_age(app, &session)?;
    app.rates.take(&session)?;
    if session.unconfirmed {
        confirm(app, &session).await?;
    }
    note_seen(app, &session, address);
    Ok(session)
}

/// Ends the pair before this one. A database that takes no writes must not keep anybody from
/// reading: then the earlier pair lives until a request after it does.
async fn confirm(app: &App, session: &Session) -> Result<(), MatrixError> {
    let confirmed = app.store.confirm_session(&session.user, &session.access);
    match confirmed.await {
        Err(StoreError::Full | StoreError::Unavailable(_)) => Ok(()),
        done => Ok(done?),
    }
}

/// Whether a session that was open is open still.
pub(crate) async fn still_open(app: &App, session: &Session) -> Result<(), MatrixError> {
    match app.store.session(&session.user, &session.access).await? {
        Some(session) => check_age(app, &session),
        None => Err(MatrixError::UnknownToken { soft_logout: false }),
    }
}

/// Notes that a user's device is in use, once an hour, beside the request.
fn note_seen(app: &App, session: &Session, address: IpAddr) {
    let now = app.config.clock.now();
    if now.since(session.last_seen_at) < SEEN_EVERY {
        return;
    }
    let store = std::sync::Arc::clone(&app.store);
    let (user, device): (UserId, _) = (session.user.clone(), session.device.clone());
    tokio::spawn(async move {
        let address = Some(address.to_string());
        if let Err(error) = store.touch_device(&user, &device, now, address).await {
            tracing::debug!(%error, "a device was seen and that could not be noted");
        }
    });
}

fn check_age(app: &App, session: &Session) -> Result<(), MatrixError> {
    match session.expires_at {
        Some(end) if end <= app.config.clock.now() => {
            Err(MatrixError::UnknownToken { soft_logout: true })
        }
        _ => Ok(()),
    }
}

fn refuse(app: &App, address: IpAddr) -> MatrixError {
    let limited = app.rates.bad_tokens_per_address.take(&address_key(address));
    limited
        .err()
        .unwrap_or(MatrixError::UnknownToken { soft_logout: false })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

const SEEN_EVERY: Duration = Duration::from_secs(3600);

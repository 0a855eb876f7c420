//! From a bearer token to a session.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, header};

use super::state::Auth;
use super::token;
use crate::http::address::address_key;
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
    auth: &Auth,
    headers: &HeaderMap,
    address: IpAddr,
) -> Result<Session, MatrixError> {
    let Some(token) = bearer(headers) else {
        auth.rates
            .strangers
            .anonymous_per_address
            .take(&address_key(address))?;
        return Err(MatrixError::MissingToken);
    };
    let Some((localpart, hash)) = token::parse_access(token) else {
        return Err(refuse(auth, address));
    };
    let Some(user) = auth.names.possible_user_id(&localpart) else {
        return Err(refuse(auth, address));
    };
    let Some(session) = auth.store.session(&user, &hash).await? else {
        return Err(refuse(auth, address));
    };
    check_age(auth, &session)?;
    auth.rates.take(&session)?;
    if session.unconfirmed {
        confirm(auth, &session).await?;
    }
    note_seen(auth, &session, address);
    Ok(session)
}

/// Ends the pair before this one. A database that takes no writes must not keep anybody from
/// reading: then the earlier pair lives until a request after it does.
async fn confirm(auth: &Auth, session: &Session) -> Result<(), MatrixError> {
    let confirmed = auth.store.confirm_session(&session.user, &session.access);
    match confirmed.await {
        Err(StoreError::Full | StoreError::Unavailable(_)) => Ok(()),
        done => Ok(done?),
    }
}

/// Whether a session that was open is open still.
pub(crate) async fn still_open(auth: &Auth, session: &Session) -> Result<(), MatrixError> {
    match auth.store.session(&session.user, &session.access).await? {
        Some(session) => check_age(auth, &session),
        None => Err(MatrixError::UnknownToken { soft_logout: false }),
    }
}

/// Notes that a user's device is in use, once an hour, beside the request.
fn note_seen(auth: &Auth, session: &Session, address: IpAddr) {
    let now = auth.clock.now();
    if now.since(session.last_seen_at) < SEEN_EVERY {
        return;
    }
    let store = std::sync::Arc::clone(&auth.store);
    let (user, device): (UserId, _) = (session.user.clone(), session.device.clone());
    tokio::spawn(async move {
        let address = Some(address.to_string());
        if let Err(error) = store.touch_device(&user, &device, now, address).await {
            tracing::debug!(%error, "the time at which a device was seen could not be stored");
        }
    });
}

fn check_age(auth: &Auth, session: &Session) -> Result<(), MatrixError> {
    match session.expires_at {
        Some(end) if end <= auth.clock.now() => {
            Err(MatrixError::UnknownToken { soft_logout: true })
        }
        _ => Ok(()),
    }
}

fn refuse(auth: &Auth, address: IpAddr) -> MatrixError {
    let limited = auth
        .rates
        .strangers
        .bad_tokens_per_address
        .take(&address_key(address));
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

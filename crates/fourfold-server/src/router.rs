//! From the table to a router: everything that happens before and after a handler.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::routing::MethodRouter;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::answer::{self, Answer};
use crate::app::{App, address_key};
use crate::auth::authenticate;
use crate::call::Call;
use crate::condition;
use crate::error::MatrixError;
use crate::routes::{Access, BodyLimit, Handled, PREFIXES, ROUTES, Route};

/// The address that a connection comes from; the socket puts it into the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// The router of the whole table. Every answer passes through here, so every answer has the headers.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let mut paths: Vec<(String, MethodRouter)> = Vec::new();
    for route in ROUTES {
        let full = |prefix: &str| format!("{prefix}{}", route.path);
        let prefixes: &[&str] = if route.prefixed { &PREFIXES } else { &[""] };
        for path in prefixes.iter().map(|prefix| full(prefix)) {
            let app = Arc::clone(app);
            let handler = move |request: Request| serve(Arc::clone(&app), route, request);
            let methods = match paths.iter().position(|(known, _)| *known == path) {
                Some(index) => paths.swap_remove(index).1,
                None => MethodRouter::new(),
            };
            paths.push((path, methods.on(route.method.filter(), handler)));
        }
    }
    let router = paths
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| {
            router.route(&path, methods.fallback(unknown_method))
        });
    router.fallback(unknown_path)
}

async fn serve(app: Arc<App>, route: &'static Route, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    match handle(Arc::clone(&app), route, &mut parts, body).await {
        Ok(answer) => answer,
        Err(error) => {
            let (status, errcode) = error.code();
            tracing::debug!(
                route = route.path,
                status = status.as_u16(),
                errcode,
                "refused"
            );
            if matches!(error, MatrixError::LimitExceeded { .. }) {
                tokio::time::sleep(app.config.rate_limits.refusal_delay).await;
            }
            error.into_answer()
        }
    }
}

async fn handle(app: Arc<App>, route: &'static Route, parts: &mut Parts, body: Body) -> Handled {
    let address = address(&app, parts);
    let session = match route.access {
        Access::Public => {
            app.rates
                .anonymous_per_address
                .take(&address_key(address))?;
            None
        }
        Access::Session | Access::Owner => Some(authenticate(&app, &parts.headers, address).await?),
    };
    let parameters = parameters(parts).await?;
    let owner = parameters
        .iter()
        .find(|(name, _)| &**name == "userId")
        .map(|(_, value)| value);
    if route.access == Access::Owner {
        let caller = session.as_ref().map(|session| session.user.as_str());
        // Byte for byte after one decoding; there is no second spelling of a user.
        if caller.is_none() || owner.map(|owner| &**owner) != caller {
            return Err(MatrixError::Forbidden("this belongs to another user"));
        }
    }
    let body = match route.body {
        BodyLimit::None => Bytes::new(),
        BodyLimit::Ordinary => read(&app, &parts.headers, body, app.config.limits.body).await?,
        BodyLimit::AccountData => {
            read(&app, &parts.headers, body, app.config.limits.account_data).await?
        }
        BodyLimit::KeyBackup => {
            read(&app, &parts.headers, body, app.config.limits.key_backup).await?
        }
    };
    if let Some(session) = &session {
        app.rates.charge_body(session, body.len());
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let condition = condition::of(&parts.headers)?;
    (route.handler)(Call {
        app,
        session,
        parameters,
        query,
        body,
        condition,
        address,
    })
    .await
}

async fn unknown_path(request: Request) -> Answer {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    MatrixError::UnknownPath.into_answer()
}

async fn unknown_method(request: Request) -> Answer {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    MatrixError::UnknownMethod.into_answer()
}

/// `OPTIONS` runs no logic: the headers are all that a browser asks for.
fn preflight() -> Answer {
    answer::with_status(StatusCode::OK, Bytes::from_static(b"{}"))
}

/// The named parts of the path. The router has decoded each once, after it chose the route: an
/// encoded `/` never adds a segment and `+` stays `+`.
async fn parameters(parts: &mut Parts) -> Result<Vec<(Arc<str>, Box<str>)>, MatrixError> {
    let raw = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| MatrixError::InvalidParam("a part of the path is not UTF-8"))?;
    raw.iter()
        .map(|(name, value)| {
            if value.len() > LONGEST_PARAMETER || value.contains('\0') {
                return Err(MatrixError::InvalidParam(
                    "a part of the path is longer than 255 bytes or has a NUL",
                ));
            }
            Ok((name.into(), value.into()))
        })
        .collect()
}

async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, MatrixError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large =
        || MatrixError::TooLarge(format!("the body is larger than {limit} bytes").into());
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|it| it > limit)) {
        return Err(too_large());
    }
    let patience: Duration = app.config.limits.receive_timeout;
    let collected = tokio::time::timeout(patience, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(MatrixError::Unknown("the body broke off")),
        Err(_) => Err(MatrixError::Timeout),
    }
}

fn address(app: &App, parts: &Parts) -> IpAddr {
    let peer = parts.extensions.get::<PeerAddress>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    if !app.config.trust_forwarded_for {
        return peer;
    }
    // The last entry is the one that the proxy next to us wrote.
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().next_back();
    forwarded
        .and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok())
        .unwrap_or(peer)
}

const LONGEST_PARAMETER: usize = 255;

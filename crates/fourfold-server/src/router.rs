//! From the table to a router: everything that happens before and after a handler.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::routing::MethodRouter;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};

use crate::app::App;
use crate::auth::bearer::authenticate;
use crate::call::Call;
use crate::http::address::{self, address_key};
use crate::http::budget::Holder;
use crate::http::error::MatrixError;
use crate::http::refusal::refusal;
use crate::http::{answer, condition};
use crate::routes::{Access, BodyLimit, PREFIXES, ROUTES, Route};

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

async fn serve(app: Arc<App>, route: &'static Route, request: Request) -> Response<Body> {
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
            if error.is_held_back() {
                tokio::time::sleep(app.config.rate_limits.refusal_delay).await;
            }
            refusal(&error)
        }
    }
}

async fn handle(
    app: Arc<App>,
    route: &'static Route,
    parts: &mut Parts,
    body: Body,
) -> Result<Response<Body>, MatrixError> {
    let address = address::of(parts, app.config.network.trust_forwarded_for);
    let session = match route.access {
        Access::Public => {
            let rates = &app.traffic.rates.strangers;
            rates.anonymous_per_address.take(&address_key(address))?;
            None
        }
        Access::Session | Access::Owner => {
            Some(authenticate(&app.auth, &parts.headers, address).await?)
        }
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
    let limits = &app.config.limits;
    let limit = match route.body {
        BodyLimit::None => None,
        BodyLimit::Stranger => Some(limits.body.of_stranger),
        BodyLimit::Ordinary => Some(limits.body.other),
        BodyLimit::AccountData => Some(limits.body.account_data),
        BodyLimit::KeyBackup => Some(limits.body.key_backup),
    };
    let holder = match &session {
        Some(session) => Holder::User(session.user.clone()),
        None => Holder::Address(address_key(address)),
    };
    // Counted until it is answered: a request that is being processed takes memory, too.
    let (body, _counted) = match limit {
        None => (Bytes::new(), None),
        Some(limit) => {
            let patience = limits.receive_timeout;
            let received =
                app.traffic
                    .bodies
                    .receive(&holder, &parts.headers, body, limit, patience);
            received.await?
        }
    };
    if let Some(session) = &session {
        app.traffic.rates.charge_body(session, body.len());
    }
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let condition = condition::of(&parts.headers)?;
    let answer = (route.handler)(Call {
        app: Arc::clone(&app),
        session,
        parameters,
        query,
        body,
        condition,
        address,
    })
    .await?;
    app.traffic.unread.admit(holder, answer)
}

async fn unknown_path(request: Request) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    refusal(&MatrixError::UnknownPath)
}

async fn unknown_method(request: Request) -> Response<Body> {
    if request.method() == Method::OPTIONS {
        return preflight();
    }
    refusal(&MatrixError::UnknownMethod)
}

/// `OPTIONS` runs no logic: the headers are all that a browser asks for.
fn preflight() -> Response<Body> {
    answer::brief(StatusCode::OK, Bytes::from_static(b"{}"))
}

/// The named parts of the path. The router has decoded each once, after it chose the route: an
/// encoded `/` never adds a segment and `+` stays `+`.
async fn parameters(parts: &mut Parts) -> Result<Vec<(Arc<str>, Box<str>)>, MatrixError> {
    let raw = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| MatrixError::InvalidParam("a part of the path is not UTF-8"))?;
    raw.iter()
        .map(|(name, value)| {
            if value.len() > MAX_PARAMETER || value.contains('\0') {
                return Err(MatrixError::InvalidParam(
                    "a part of the path is longer than 255 bytes or has a NUL",
                ));
            }
            Ok((name.into(), value.into()))
        })
        .collect()
}

const MAX_PARAMETER: usize = 255;

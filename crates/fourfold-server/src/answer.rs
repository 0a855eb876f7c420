//! Making answers, and the headers that every one of them carries.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::condition::entity_tag;
use crate::error::MatrixError;
use crate::store::Position;

/// What a request is answered with.
pub(crate) type Answer = Response<Body>;

/// 200 with a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Answer, MatrixError> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "an answer does not serialise");
        MatrixError::Internal
    })?;
    Ok(raw(body.into()))
}

/// 200 with JSON that is text already.
pub(crate) fn raw(body: Bytes) -> Answer {
    with_status(StatusCode::OK, body)
}

/// The last answer of its connection.
pub(crate) fn closing(mut answer: Answer) -> Answer {
    let close = HeaderValue::from_static("close");
    answer.headers_mut().insert(header::CONNECTION, close);
    answer
}

/// 200 with JSON that is text already, tagged with the change that made it.
pub(crate) fn tagged(body: Bytes, position: Position) -> Answer {
    let mut answer = raw(body);
    if let Ok(tag) = HeaderValue::from_maybe_shared(Bytes::from(entity_tag(position))) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

/// 200 `{}`.
pub(crate) fn empty() -> Answer {
    raw(Bytes::from_static(b"{}"))
}

/// Any status with JSON that is text already.
pub(crate) fn with_status(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    *headers = HeaderMap::with_capacity(HEADERS.len() + 3);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    for (name, value) in &HEADERS {
        headers.insert(name, value.clone());
    }
    answer
}

/// CORS as the specification recommends for every answer, errors included; and no caching, because
/// everything here belongs to somebody.
///
/// Written by hand and not by layers: a stack of boxed services costs more than the whole request.
static HEADERS: [(HeaderName, HeaderValue); 6] = [
    (
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match",
        ),
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("ETag"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

//! Making answers, and the headers that every one of them carries.

use std::pin::Pin;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::http::condition::entity_tag;
use crate::http::error::MatrixError;
use crate::http::json::write_string;
use crate::store::Position;

/// The response to a request. It becomes bytes on their way in one place, where they are
/// counted: see [`Unread`](crate::http::unread::Unread).
pub(crate) type Answer = Response<Content>;

/// The result of a handler.
pub(crate) type Handled = Result<Answer, MatrixError>;

/// The content of a response.
pub(crate) enum Content {
    /// All of it.
    Whole(Bytes),
    /// All of it, in parts.
    Parts(Vec<Part>),
}

/// A part of an answer.
pub(crate) enum Part {
    /// Its bytes, which others may hold as well.
    Here(Bytes),
    /// What is read when the client has taken everything before it, and about how many bytes that
    /// will be.
    Later(usize, Later),
}

/// Reads what comes in the place of a part.
pub(crate) type Later = Pin<Box<dyn Future<Output = Result<Vec<Part>, MatrixError>> + Send>>;

/// 200 with a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<Answer, MatrixError> {
    let body = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(%error, "a response cannot be serialised");
        MatrixError::Internal
    })?;
    Ok(raw(body.into()))
}

/// 200 with JSON that is text already.
pub(crate) fn raw(body: Bytes) -> Answer {
    with_status(StatusCode::OK, Content::Whole(body))
}

/// 200 with JSON in parts.
pub(crate) fn in_parts(parts: Vec<Part>) -> Answer {
    with_status(StatusCode::OK, Content::Parts(parts))
}

/// The last answer of its connection.
pub(crate) fn closing<T>(mut answer: Response<T>) -> Response<T> {
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

/// Any status with a few words: an error, or less.
pub(crate) fn brief(status: StatusCode, body: Bytes) -> Response<Body> {
    with_status(status, Body::from(body))
}

fn with_status<T>(status: StatusCode, body: T) -> Response<T> {
    let mut answer = Response::new(body);
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

/// Writes JSON by hand: what is small is copied, what is large stays where it is stored.
pub(crate) struct Writer {
    done: Vec<Part>,
    open: Vec<u8>,
}

impl Writer {
    /// Writes contents of these lengths, and about so much around them.
    pub(crate) fn new(contents: impl Iterator<Item = usize>, around: usize) -> Self {
        let copied: usize = contents.filter(|length| *length < REFERRED).sum();
        Self {
            done: Vec::new(),
            open: Vec::with_capacity(copied + around),
        }
    }

    pub(crate) fn text(&mut self, text: &[u8]) {
        self.open.extend_from_slice(text);
    }

    pub(crate) fn string(&mut self, text: &str) -> Result<(), MatrixError> {
        write_string(&mut self.open, text)
    }

    pub(crate) fn content(&mut self, content: &Bytes) {
        if content.len() < REFERRED {
            self.open.extend_from_slice(content);
        } else {
            self.put(Part::Here(content.clone()));
        }
    }

    /// Leaves a place for what is not in memory.
    pub(crate) fn later(&mut self, length: usize, later: Later) {
        self.put(Part::Later(length, later));
    }

    /// 200 with what was written.
    pub(crate) fn finish(mut self) -> Answer {
        let open = Bytes::from(self.open);
        if self.done.is_empty() {
            return raw(open);
        }
        self.done.push(Part::Here(open));
        in_parts(self.done)
    }

    fn put(&mut self, part: Part) {
        let before = std::mem::take(&mut self.open);
        self.done.push(Part::Here(before.into()));
        self.done.push(part);
    }
}

/// Bytes from which on a content is not copied into an answer.
const REFERRED: usize = 8 * 1024;

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

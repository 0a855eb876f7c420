//! A request to one path of a server.

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::AccessToken;
use crate::path::Path;

/// A request to one path of the server.
pub(crate) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: Path,
    pub(super) token: Option<&'a AccessToken>,
    pub(super) body: Option<Bytes>,
    pub(super) condition: Option<Condition>,
    pub(super) limit: usize,
    pub(super) is_cut: bool,
    pub(super) is_repeatable: bool,
    pub(super) most_attempts: u32,
}

/// The condition on the state at the server for a write. A server that does not know the header
/// writes whatever is there.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// Nothing: `If-None-Match: *`.
    Absent,
    /// The content that was read with this tag: `If-Match`.
    Unchanged(HeaderValue),
}

impl<'a> Request<'a> {
    pub(crate) fn get(path: Path) -> Self {
        Self {
            method: Method::GET,
            path,
            token: None,
            body: None,
            condition: None,
            limit: MAX_SMALL_ANSWER,
            is_cut: false,
            is_repeatable: true,
            most_attempts: u32::MAX,
        }
    }

    /// A `PUT`: the same twice is the same as once.
    pub(crate) fn put(path: Path, json: String) -> Self {
        Self {
            method: Method::PUT,
            body: Some(Bytes::from(json)),
            ..Self::get(path)
        }
    }

    /// A `DELETE`: the same twice is the same as once.
    pub(crate) fn delete(path: Path) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    /// A `POST` that must not be sent twice when nobody knows whether it arrived.
    pub(crate) fn post(path: Path, body: &impl Serialize) -> Self {
        // With room for what is usual, so that nothing secret is left behind by growing.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        if serde_json::to_writer(&mut *json, body).is_err() {
            json.clear();
        }
        Self {
            method: Method::POST,
            body: Some(Bytes::from_owner(json)),
            is_repeatable: false,
            ..Self::get(path)
        }
    }

    /// Says that sending it twice does no harm.
    pub(crate) fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// At most so many attempts, whatever the options allow.
    pub(crate) fn with_attempts(mut self, most: u32) -> Self {
        self.most_attempts = most;
        self
    }

    /// Says that anyone who sends it finds out by reading whether it arrived.
    pub(crate) fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }

    pub(crate) fn with_condition(mut self, condition: Option<Condition>) -> Self {
        self.condition = condition;
        self
    }

    pub(crate) fn with_token(mut self, token: &'a AccessToken) -> Self {
        self.token = Some(token);
        self
    }

    /// The maximum number of bytes of the response that are read before it is rejected.
    pub(crate) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Says that the beginning is enough: a response that is longer than the limit ends there.
    pub(crate) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }
}

/// The largest answer that is read where a small one is expected: 1 MiB.
pub(super) const MAX_SMALL_ANSWER: usize = 1024 * 1024;

//! Sending requests to one server: attempts, limits, and nothing that leads elsewhere.

mod attempt;
mod pauses;
mod retry;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderValue;
use reqwest::{Method, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, instrument};
use zeroize::Zeroizing;

use self::attempt::Failure;
use self::pauses::Pauses;
use crate::error::{Error, ErrorKind, MatrixErrorBody};
use crate::path::Path;
use crate::{AccessToken, Options};

/// The connection to one server.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Without a slash at the end.
    base: String,
    client: reqwest::Client,
    options: Options,
    pauses: Pauses,
}

impl Transport {
    /// Takes an address that starts with `https://`, or with `http://` where that is allowed.
    pub(crate) fn new(base_url: &str, options: &Options) -> Result<Self, Error> {
        let base = Base::read(base_url, options)?;
        let server = base.text.clone();
        let client = attempt::client(&base, options).map_err(|error| error.at(&server))?;
        Ok(Self {
            inner: Arc::new(Inner {
                base: base.text,
                client,
                options: options.clone(),
                pauses: Pauses::default(),
            }),
        })
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.inner.base
    }

    /// Sends a request until there is an answer that another attempt would not change.
    ///
    /// # Errors
    ///
    /// Everything but an answer with a status of 2xx or 4xx (without 429), which is the caller's to
    /// judge.
    #[instrument(level = "debug", skip_all, fields(method = %request.method, path = request.path.without_query()))]
    pub(crate) async fn send(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let options = &self.inner.options;
        let deadline = Instant::now() + options.total_timeout.min(FOREVER);
        let mut attempt = 1;
        loop {
            let outcome = timeout_at(deadline, self.attempt(request)).await;
            let failure = match outcome {
                Ok(Ok(answer)) => {
                    debug!(status = answer.status, "answered");
                    return Ok(answer);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::never(ErrorKind::Timeout),
            };
            debug!(attempt, kind = ?failure.error.kind(), "no answer");
            let pause = retry::pause(attempt, failure.asked, pauses::random_fraction());
            let has_patience = Instant::now() + pause < deadline;
            if attempt >= options.attempts.min(request.most_attempts)
                || !failure.allows(request.is_repeatable)
                || !has_patience
            {
                return Err(failure.error.at(self.base_url()));
            }
            self.inner.pauses.wait(pause).await;
            attempt += 1;
        }
    }

    /// How often a request is made at most.
    pub(crate) fn attempts(&self) -> u32 {
        self.inner.options.attempts
    }

    /// Waits as between two attempts of one request.
    pub(crate) async fn pause(&self, attempt: u32) {
        let pause = retry::pause(attempt, None, pauses::random_fraction());
        self.inner.pauses.wait(pause).await;
    }

    #[cfg(test)]
    pub(crate) fn with_pauses(self, pauses: Pauses) -> Self {
        let inner = Arc::into_inner(self.inner).unwrap();
        Self {
            inner: Arc::new(Inner { pauses, ..inner }),
        }
    }
}

/// How long to pause after so many failures, with a random part; at least as long as was asked.
pub(crate) fn retry_pause(failures: u32, asked: Option<Duration>) -> Duration {
    retry::pause(failures, asked, pauses::random_fraction())
}

#[cfg(test)]
pub(crate) use pauses::Pauses as RecordedPauses;

/// A request to one path of the server.
pub(crate) struct Request<'a> {
    method: Method,
    path: Path,
    token: Option<&'a AccessToken>,
    body: Option<Bytes>,
    condition: Option<Condition>,
    limit: usize,
    is_repeatable: bool,
    most_attempts: u32,
}

/// What must be on the server for a write to happen. A server that does not know the header writes
/// whatever is there.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// Nothing: `If-None-Match: *`.
    Absent,
    /// What was read with this tag: `If-Match`.
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
            limit: SMALL_ANSWER,
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

    /// Says that whoever sends it finds out by reading whether it arrived.
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

    /// How many bytes of the answer are read before it is refused.
    pub(crate) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// An answer with a status of 2xx or 4xx.
pub(crate) struct Answer {
    server: String,
    status: u16,
    entity_tag: Option<HeaderValue>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The tag of what was read, on servers that tag account data.
    pub(crate) fn entity_tag(&self) -> Option<&HeaderValue> {
        self.entity_tag.as_ref()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it is an error with this code.
    pub(crate) fn is_matrix_error(&self, errcode: &str) -> bool {
        !self.is_success() && MatrixErrorBody::read(&self.body).is_some_and(|body| body.is(errcode))
    }

    /// Whether it is an error in the words of Matrix.
    pub(crate) fn has_matrix_error(&self) -> bool {
        !self.is_success() && MatrixErrorBody::read(&self.body).is_some()
    }

    /// Where it came from.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The error that the answer is, or that it cannot be understood.
    pub(crate) fn into_error(self, to: &'static str) -> Error {
        let kind = if self.is_success() {
            ErrorKind::Malformed { to }
        } else {
            match MatrixErrorBody::read(&self.body) {
                Some(body) => body.kind(self.status),
                None => ErrorKind::NotAHomeserver {
                    status: self.status,
                },
            }
        };
        Error::from(kind).at(&self.server)
    }

    /// The body of a success, read as what belongs there.
    pub(crate) fn json<T: DeserializeOwned>(self, to: &'static str) -> Result<T, Error> {
        if !self.is_success() {
            return Err(self.into_error(to));
        }
        self.read().ok_or_else(|| self.into_error(to))
    }

    /// The body of any answer, if it is what would belong there.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body of a success, as the JSON text that was received.
    pub(crate) fn text(self, to: &'static str) -> Result<String, Error> {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&self.body).is_ok();
        match std::str::from_utf8(&self.body) {
            Ok(text) if self.is_success() && is_json => Ok(text.to_owned()),
            _ => Err(self.into_error(to)),
        }
    }
}

/// The address of a homeserver, checked.
struct Base {
    text: String,
    is_https: bool,
    is_loopback: bool,
}

impl Base {
    fn read(input: &str, options: &Options) -> Result<Self, Error> {
        let invalid = || {
            Error::from(ErrorKind::InvalidUrl {
                input: crate::escape_untrusted(input),
            })
        };
        let url = Url::parse(input).map_err(|_| invalid())?;
        let host = url.host_str().ok_or_else(invalid)?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let is_https = url.scheme() == "https";
        if !is_plain || !(is_https || url.scheme() == "http") {
            return Err(invalid());
        }
        let is_loopback = is_loopback(host);
        if !is_https && !is_loopback && !options.allow_http {
            return Err(ErrorKind::InsecureUrl.into());
        }
        Ok(Self {
            text: url.as_str().trim_end_matches('/').to_owned(),
            is_https,
            is_loopback,
        })
    }
}

/// Whether a host, as it stands in a URL, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Longer than anybody waits, and short enough to be added to any moment.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The largest answer that is read where a small one is expected: 1 MiB.
const SMALL_ANSWER: usize = 1024 * 1024;

#[cfg(test)]
mod tests;

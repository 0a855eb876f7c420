//! One attempt of a request.

use std::time::{Duration, SystemTime};

use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION,
};
use reqwest::{Response, Url, redirect};
use zeroize::Zeroizing;

use super::answer::Answer;
use super::base::Base;
use super::request::{Condition, MAX_SMALL_ANSWER, Request};
use super::{retry, tls};
use crate::error::{Error, ErrorKind, MatrixErrorBody};
use crate::{Options, escape_untrusted};

/// The HTTP client for one server.
#[derive(Debug)]
pub(super) struct Connection {
    /// Without a slash at the end.
    base_url: String,
    client: reqwest::Client,
}

impl Connection {
    pub(super) fn new(base: Base, options: &Options) -> Result<Self, Error> {
        match client(&base, options) {
            Ok(client) => Ok(Self {
                base_url: base.text,
                client,
            }),
            Err(error) => Err(error.at(&base.text)),
        }
    }

    pub(super) fn base_url(&self) -> &str {
        &self.base_url
    }

    pub(super) async fn attempt(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let mut response = self.start(request).await?;
        let status = response.status().as_u16();
        if (300..400).contains(&status) {
            return Err(Failure::never(redirected(&response)));
        }
        let entity_tag = response.headers().get(ETAG).cloned();
        // An error is small, whatever was asked for.
        let limit = match status {
            200..300 => request.limit,
            _ => request.limit.min(MAX_SMALL_ANSWER),
        };
        let mut body = read_body(&mut response, limit, request.is_cut).await?;
        if status >= 400
            && let Some(token) = request.token
        {
            black_out(&mut body, token.expose_secret().as_bytes());
        }
        let asked = || retry::asked(response.headers(), &body, SystemTime::now());
        match status {
            429 => {
                let retry_after = asked().unwrap_or(retry::MIN_ASKED);
                Err(Failure {
                    error: ErrorKind::RateLimited { retry_after }.into(),
                    asked: Some(retry_after),
                    again: Again::Always,
                })
            }
            200..300 | 400..500 => Ok(Answer {
                server: self.base_url.clone(),
                status,
                entity_tag,
                body,
            }),
            _ => {
                let kind = match MatrixErrorBody::read(&body) {
                    Some(body) => body.kind(status),
                    None => ErrorKind::Server { status },
                };
                Err(Failure {
                    error: kind.into(),
                    asked: asked(),
                    again: Again::IfRepeatable,
                })
            }
        }
    }

    async fn start(&self, request: &Request<'_>) -> Result<Response, Failure> {
        let address = format!("{}{}", self.base_url, request.path.as_str());
        let url = Url::parse(&address)
            .ok()
            .filter(|url| url.as_str() == address)
            .ok_or_else(|| Failure::never(ErrorKind::InvalidSegment))?;
        let mut builder = self.client.request(request.method.clone(), url);
        if let Some(token) = request.token {
            builder = builder.header(AUTHORIZATION, token.header().map_err(Failure::never)?);
        }
        match &request.condition {
            None => {}
            Some(Condition::Absent) => {
                builder = builder.header(IF_NONE_MATCH, HeaderValue::from_static("*"));
            }
            Some(Condition::Unchanged(tag)) => builder = builder.header(IF_MATCH, tag),
        }
        if let Some(body) = &request.body {
            builder = builder
                .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
                .body(body.clone());
        }
        builder.send().await.map_err(Failure::of_connection)
    }
}

/// An attempt without an answer that counts.
pub(super) struct Failure {
    pub(super) error: Error,
    /// The time that the server asks to wait.
    pub(super) asked: Option<Duration>,
    again: Again,
}

/// Whether another attempt may help, and may be made.
enum Again {
    /// Nothing has happened on the server.
    Always,
    /// Perhaps something has.
    IfRepeatable,
    /// It would fail the same way.
    Never,
}

impl Failure {
    pub(super) fn never(error: impl Into<Error>) -> Self {
        Self {
            error: error.into(),
            asked: None,
            again: Again::Never,
        }
    }

    pub(super) fn allows(&self, is_repeatable: bool) -> bool {
        match self.again {
            Again::Always => true,
            Again::IfRepeatable => is_repeatable,
            Again::Never => false,
        }
    }

    fn of_connection(error: reqwest::Error) -> Self {
        let (kind, again) = if tls::is_to_blame(&error) {
            (ErrorKind::Tls, Again::Never)
        } else if error.is_builder() {
            (ErrorKind::InvalidSegment, Again::Never)
        } else {
            let kind = if error.is_timeout() {
                ErrorKind::Timeout
            } else {
                ErrorKind::Unreachable
            };
            let again = if error.is_connect() {
                Again::Always
            } else {
                Again::IfRepeatable
            };
            (kind, again)
        };
        Self {
            error: Error::from(kind).because(error.without_url()),
            asked: None,
            again,
        }
    }
}

/// The HTTP client for one server.
fn client(base: &Base, options: &Options) -> Result<reqwest::Client, Error> {
    let mut builder = reqwest::Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.connect_timeout.min(MAX_WAIT))
        .read_timeout(options.read_timeout.min(MAX_WAIT))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .http1_only()
        .tls_backend_preconfigured(tls::configuration(base.is_https)?);
    if base.is_loopback {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Error::from(ErrorKind::Tls).because(error.without_url()))
}

/// Counts what arrives: what `Content-Length` promises means nothing.
async fn read_body(
    response: &mut Response,
    limit: usize,
    is_cut: bool,
) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut body = Zeroizing::new(Vec::with_capacity(limit.min(FIRST_PIECE)));
    while let Some(chunk) = response.chunk().await.map_err(Failure::of_connection)? {
        let room = limit.saturating_sub(body.len());
        let (chunk, is_whole) = match chunk.get(..room) {
            Some(beginning) if is_cut && chunk.len() > room => (beginning, false),
            _ => (&*chunk, true),
        };
        let needed = body.len() + chunk.len();
        if needed > limit {
            return Err(Failure::never(ErrorKind::TooLarge { limit }));
        }
        if needed > body.capacity() {
            body = moved(&body, needed.max(2 * body.capacity()).min(limit));
        }
        body.extend_from_slice(chunk);
        if !is_whole {
            break;
        }
    }
    Ok(body)
}

/// The same with more room. A vector that grows by itself leaves what it held behind, and may take
/// twice the limit, which wiping then touches.
fn moved(body: &[u8], capacity: usize) -> Zeroizing<Vec<u8>> {
    let mut roomy = Zeroizing::new(Vec::with_capacity(capacity));
    roomy.extend_from_slice(body);
    roomy
}

/// Removes the token from an error: some of it is going to be shown.
fn black_out(body: &mut [u8], token: &[u8]) {
    let mut start = 0;
    while let Some(piece) = body.get_mut(start..start + token.len()) {
        if !token.is_empty() && piece == token {
            piece.fill(b'*');
        }
        start += 1;
    }
}

fn redirected(response: &Response) -> ErrorKind {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    ErrorKind::Redirected {
        location: escape_untrusted(location.unwrap_or("nowhere")),
    }
}

/// The room for an answer at first, which most do not outgrow: 16 KiB.
const FIRST_PIECE: usize = 16 * 1024;

/// Longer than anybody waits, and short enough to be added to any moment.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

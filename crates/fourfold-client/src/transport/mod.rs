//! Sending requests to one server: attempts, limits, and nothing that leads elsewhere.

mod answer;
mod attempt;
mod base;
mod pauses;
mod request;
mod retry;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{debug, instrument};

pub(crate) use self::answer::Answer;
use self::attempt::{Connection, Failure, MAX_WAIT};
use self::base::Base;
pub(crate) use self::base::is_loopback;
use self::pauses::Pauses;
#[cfg(test)]
pub(crate) use self::pauses::Pauses as RecordedPauses;
pub(crate) use self::request::{Condition, Request};
use crate::Options;
use crate::error::{Error, ErrorKind};

/// The connection to one server.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    options: Options,
    pauses: Pauses,
}

impl Transport {
    /// Takes an address that starts with `https://`, or with `http://` where that is allowed.
    pub(crate) fn new(base_url: &str, options: &Options) -> Result<Self, Error> {
        let base = Base::read(base_url, options)?;
        Ok(Self {
            inner: Arc::new(Inner {
                connection: Connection::new(base, options)?,
                options: options.clone(),
                pauses: Pauses::default(),
            }),
        })
    }

    pub(crate) fn base_url(&self) -> &str {
        self.inner.connection.base_url()
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
        let deadline = Instant::now() + options.total_timeout.min(MAX_WAIT);
        let mut attempt = 1;
        loop {
            let outcome = timeout_at(deadline, self.inner.connection.attempt(request)).await;
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

    /// The maximum number of attempts of a request.
    pub(crate) fn attempts(&self) -> u32 {
        self.inner.options.attempts
    }

    /// Waits as between two attempts of one request.
    pub(crate) async fn pause(&self, attempt: u32) {
        self.wait(retry::pause(attempt, None, pauses::random_fraction()))
            .await;
    }

    /// Waits so long.
    pub(crate) async fn wait(&self, pause: Duration) {
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

/// The pause after this number of failures, with a random part; at least as long as the server
/// asked.
pub(crate) fn retry_pause(failures: u32, asked: Option<Duration>) -> Duration {
    retry::pause(failures, asked, pauses::random_fraction())
}

#[cfg(test)]
mod tests;

//! Asking for a secret, and waiting for the answer.

use std::time::{Duration, Instant};

use fourfold::sharing::{Origin, Outcome, Recipients, RequestId};
use fourfold::{Secret, SecretName};
use tracing::warn;

use super::error::DeviceError;
use super::event::DeviceEvent;
use super::run::{Backoff, LONG_POLL};
use super::sharing::NoSecrets;
use super::this_device::Device;
use crate::Account;

impl Device {
    /// Asks the verified devices of the user for a secret, and waits until one has answered or none
    /// will, which is the inner error. An answer that came when nobody waited for it is taken first,
    /// and a request that is open is waited for.
    ///
    /// What else there is to tell is left to the next call that tells. When the server cannot be reached
    /// as often in a row as a call is attempted, that is the error; the request stays open.
    pub(crate) async fn request_and_wait(
        &mut self,
        account: &Account,
        name: &SecretName,
    ) -> Result<Result<Secret, Outcome>, DeviceError> {
        if let Some(secret) = self.take_answer(name)? {
            return Ok(Ok(secret));
        }
        let request_id = match self.open_request(name) {
            Some(open) => open,
            None => {
                self.check_can_ask(account, None).await?;
                self.request_secret(name.clone(), Recipients::Verified)?
            }
        };
        let (mut backoff, mut failures) = (Backoff::default(), 0);
        loop {
            // Also when the server cannot be reached: then it is too late some day.
            match self.flush(account, &mut NoSecrets::new()).await {
                Err(DeviceError::Server(error)) => warn!(%error, "not everything could be sent"),
                flushed => flushed?,
            }
            if let Some(secret) = self.take_answer(name)? {
                return Ok(Ok(secret));
            }
            if let Some(outcome) = self.take_end(&request_id) {
                return Ok(Err(outcome));
            }
            let timeout = self.due_in().map_or(LONG_POLL, |due| due.min(LONG_POLL));
            let begun = Instant::now();
            let pause = match self.sync_untold(account, timeout).await {
                Ok(was_empty) => {
                    failures = 0;
                    backoff.answered(was_empty, LONG_POLL, begun.elapsed())
                }
                Err(DeviceError::Server(error)) => {
                    failures += 1;
                    if !error.may_pass() || failures >= account.attempts() {
                        return Err(error.into());
                    }
                    warn!(%error, "not in sync");
                    backoff.failed(&error)
                }
                Err(error) => return Err(error),
            };
            // Not beyond the end of the request.
            let due = self.due_in().unwrap_or(LONG_POLL);
            account.wait(pause.min(due.max(MIN_PAUSE))).await;
        }
    }

    /// One round without a word. Whether there was nothing.
    async fn sync_untold(
        &mut self,
        account: &Account,
        timeout: Duration,
    ) -> Result<bool, DeviceError> {
        let batch = self.wait(account, timeout)?.await?;
        let was_empty = batch.is_empty();
        self.take_untold(account, batch, &mut NoSecrets::new())
            .await?;
        Ok(was_empty)
    }

    /// Takes an answer that nobody took yet, together with what would tell of it.
    fn take_answer(&mut self, name: &SecretName) -> Result<Option<Secret>, DeviceError> {
        let mut received = self.received_secrets()?.into_iter();
        let answer = match received.find(|one| one.name == *name && !one.is_pushed) {
            Some(answer) => {
                self.discard_received(&answer.id)?;
                self.events.take_where(
                    |event| matches!(event, DeviceEvent::Received { id, .. } if *id == answer.id),
                );
                Some(answer.secret)
            }
            None => self.take_same(name),
        };
        if answer.is_some() {
            self.events.take_where(|event| {
                matches!(event, DeviceEvent::Ended { name: of, outcome: Outcome::Received, .. }
                    if of == name)
            });
        }
        Ok(answer)
    }

    /// Takes an answer that was held already when it came: it waits among the events alone.
    fn take_same(&mut self, name: &SecretName) -> Option<Secret> {
        let same = self.events.take_where(|event| {
            matches!(event, DeviceEvent::ReceivedSame { name: of, origin: Origin::Requested(_), .. }
                if of == name)
        });
        same.into_iter().find_map(|event| match event {
            DeviceEvent::ReceivedSame { secret, .. } => Some(secret),
            _ => None,
        })
    }

    /// How a request ended without an answer, if it did.
    fn take_end(&mut self, request_id: &RequestId) -> Option<Outcome> {
        let ended = self.events.take_where(
            |event| matches!(event, DeviceEvent::Ended { request_id: of, .. } if of == request_id),
        );
        ended.into_iter().find_map(|event| match event {
            DeviceEvent::Ended { outcome, .. } => Some(outcome),
            _ => None,
        })
    }
}

/// The shortest pause, whatever is due.
const MIN_PAUSE: Duration = Duration::from_millis(250);

//! Staying in sync for good.

use std::time::{Duration, Instant};

use tracing::warn;

use super::error::DeviceError;
use super::event::DeviceEvent;
use super::sharing::SecretSource;
use super::this_device::Device;
use crate::transport::retry_pause;
use crate::{Account, Error, ErrorKind};

impl Device {
    /// Does what is due, stays in sync, and tells what happens, what nobody was told yet first, until something goes wrong that waiting does not
    /// mend: the session is over, or this machine fails.
    ///
    /// To use the device in between, loop over [`wait`](Self::wait) and [`take`](Self::take)
    /// instead, with a [`Backoff`] of its own.
    pub async fn run(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
        mut tell: impl FnMut(DeviceEvent) + Send,
    ) -> DeviceError {
        if let Err(error) = self.begin(account, secrets, &mut tell).await {
            return error;
        }
        let mut backoff = Backoff::default();
        loop {
            let timeout = self.due_in().map_or(LONG_POLL, |due| due.min(LONG_POLL));
            let begun = Instant::now();
            let pause = match self.step(account, timeout, secrets, &mut tell).await {
                Ok(was_empty) => backoff.answered(was_empty, timeout, begun.elapsed()),
                Err(DeviceError::Server(error)) if !error.is_logged_out() => {
                    warn!(%error, "not in sync");
                    backoff.failed(&error)
                }
                Err(error) => return error,
            };
            account.wait(pause).await;
        }
    }

    /// What waits since the device was used last does not wait for the server to say something.
    async fn begin(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
        tell: &mut (impl FnMut(DeviceEvent) + Send),
    ) -> Result<(), DeviceError> {
        match self.flush(account, secrets).await {
            Err(DeviceError::Server(error)) if !error.is_logged_out() => {
                warn!(%error, "not everything could be sent yet");
            }
            flushed => flushed?,
        }
        for event in self.events()? {
            tell(event);
        }
        Ok(())
    }

    /// One round. Whether there was nothing.
    async fn step(
        &mut self,
        account: &Account,
        timeout: Duration,
        secrets: &mut impl SecretSource,
        tell: &mut (impl FnMut(DeviceEvent) + Send),
    ) -> Result<bool, DeviceError> {
        let batch = self.wait(account, timeout)?.await?;
        let was_empty = batch.is_empty();
        for event in self.take(account, batch, secrets).await? {
            tell(event);
        }
        Ok(was_empty)
    }
}

/// The time for which a device waits for the server at once.
pub(crate) const LONG_POLL: Duration = Duration::from_secs(30);

/// The pause between two syncs: it grows while they fail and has a random part, so that not
/// every device comes back at the same moment.
///
/// ```
/// use std::time::Duration;
/// use fourfold_client::Backoff;
/// let mut backoff = Backoff::default();
/// let asked = Duration::from_secs(30);
/// assert_eq!(backoff.answered(false, asked, Duration::ZERO), Duration::ZERO);
/// // A server that has nothing and does not wait is not asked again at once.
/// assert!(backoff.answered(true, asked, Duration::ZERO) > Duration::ZERO);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after an answer: none, except after a server that had nothing and did not wait for
    /// something, as it was asked to.
    #[must_use]
    pub fn answered(&mut self, was_empty: bool, asked: Duration, took: Duration) -> Duration {
        let is_hasty = was_empty && took < asked.min(Duration::from_secs(1));
        if is_hasty {
            self.next(None)
        } else {
            self.failures = 0;
            Duration::ZERO
        }
    }

    /// The pause after a failure: between a quarter of a second and half a minute, or as long as the
    /// server asked for.
    #[must_use]
    pub fn failed(&mut self, error: &Error) -> Duration {
        match error.kind() {
            ErrorKind::RateLimited { retry_after } => self.next(Some(*retry_after)),
            _ => self.next(None),
        }
    }

    /// The pause after a failure of this machine, such as a full disk: between a quarter of a second
    /// and half a minute.
    #[must_use]
    pub fn failed_here(&mut self) -> Duration {
        self.next(None)
    }

    fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        retry_pause(self.failures, asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: AGT-15
    #[test]
    fn pauses_grow_until_something_comes() {
        let mut backoff = Backoff::default();
        let error = Error::from(ErrorKind::Unreachable);
        let pauses: Vec<_> = (0..10).map(|_| backoff.failed(&error)).collect();
        assert!(pauses[0] >= Duration::from_millis(250) && pauses[0] <= Duration::from_millis(500));
        assert!(pauses[9] >= Duration::from_secs(15) && pauses[9] <= Duration::from_secs(30));
        assert_eq!(
            backoff.answered(false, LONG_POLL, Duration::ZERO),
            Duration::ZERO
        );
        assert!(backoff.failed(&error) <= Duration::from_millis(500));
        let limited = Error::from(ErrorKind::RateLimited {
            retry_after: Duration::from_secs(90),
        });
        assert!(backoff.failed(&limited) >= Duration::from_secs(90));
        let mut backoff = Backoff::default();
        let here = [(); 10].map(|()| backoff.failed_here());
        assert!(here[0] <= Duration::from_millis(500) && here[9] >= Duration::from_secs(15));
    }

    #[test]
    fn a_server_that_does_not_wait_is_not_asked_at_once() {
        let mut backoff = Backoff::default();
        assert!(backoff.answered(true, LONG_POLL, Duration::ZERO) > Duration::ZERO);
        assert_eq!(
            backoff.answered(true, LONG_POLL, LONG_POLL),
            Duration::ZERO,
            "it waited, and there was nothing"
        );
        assert_eq!(
            backoff.answered(true, Duration::ZERO, Duration::ZERO),
            Duration::ZERO,
            "it was asked not to wait"
        );
    }
}

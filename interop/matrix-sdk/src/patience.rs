//! Waiting for what other devices and the server do, with a deadline.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::command::Answer;

/// The timeout of anything.
const DEADLINE: Duration = Duration::from_secs(60);

/// The library also works between two responses to a sync, without a notification.
const LOOK: Duration = Duration::from_millis(250);

/// Checks `state` now, after each response to a sync and from time to time, until it returns
/// something.
pub(crate) async fn until<T>(
    what: &str,
    mut synced: watch::Receiver<u64>,
    mut state: impl AsyncFnMut() -> Answer<Option<T>>,
) -> Answer<T> {
    let found = async {
        loop {
            synced.borrow_and_update();
            if let Some(value) = state().await? {
                return Ok(value);
            }
            let _quiet = timeout(LOOK, synced.changed()).await;
        }
    };
    timeout(DEADLINE, found)
        .await
        .map_err(|_| format!("waited in vain until {what}"))?
}

//! Waiting for what other devices and the server do, with a deadline.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::command::Answer;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// The library also works between two answers to a sync, without saying so.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at `state` now and after each answer to a sync and now and then, until it gives something.
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

//! The end of the server, for those who wait for something else meanwhile.

use tokio::sync::watch;

/// Waits for the server to stop.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server is gone, which counts as stopped.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

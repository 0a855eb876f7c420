//! Waiting between attempts.

use std::time::Duration;

/// Waits between attempts; tests record how long instead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    #[cfg(test)]
    recorded: Option<std::sync::Arc<std::sync::Mutex<Vec<Duration>>>>,
}

impl Pauses {
    pub(super) async fn wait(&self, pause: Duration) {
        #[cfg(test)]
        if let Some(recorded) = &self.recorded {
            recorded.lock().unwrap().push(pause);
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// A random number from 0 to 1, so that clients do not come back all at once.
pub(super) fn random_fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
impl Pauses {
    pub(crate) fn recorded() -> Self {
        Self {
            recorded: Some(std::sync::Arc::default()),
        }
    }

    pub(crate) fn all(&self) -> Vec<Duration> {
        self.recorded.as_ref().unwrap().lock().unwrap().clone()
    }
}

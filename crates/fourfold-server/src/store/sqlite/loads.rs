//! One load of a user at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::store::UserId;

/// Which users are being loaded. Holds nothing for the others.
#[derive(Default)]
pub(super) struct Loads(Mutex<HashMap<UserId, Arc<tokio::sync::Mutex<()>>>>);

/// Leave to load a user; the next may when it is dropped.
pub(super) struct Turn<'l> {
    loads: &'l Loads,
    user: &'l UserId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Loads {
    /// Waits until nobody else loads this user.
    pub(super) async fn turn<'l>(&'l self, user: &'l UserId) -> Turn<'l> {
        let queue = Arc::clone(self.lock().entry(user.clone()).or_default());
        // Made before it waits, so that one who gives up leaves nothing behind either.
        let mut turn = Turn {
            loads: self,
            user,
            guard: None,
        };
        turn.guard = Some(queue.lock_owned().await);
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut loads = self.loads.lock();
        self.guard = None;
        // Whoever waits holds one beside the map's.
        let queue = loads.get(self.user);
        if queue.is_some_and(|queue| Arc::strong_count(queue) == 1) {
            loads.remove(self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn one_at_a_time_and_nothing_stays() {
        let loads = Arc::new(Loads::default());
        let busy = Arc::new(AtomicBool::new(false));
        let mut turns = JoinSet::new();
        for number in 0..50 {
            let (loads, busy) = (Arc::clone(&loads), Arc::clone(&busy));
            turns.spawn(async move {
                let alice = UserId::new("@alice:a");
                let turn = loads.turn(&alice);
                if number % 5 == 0 {
                    // One who gives up.
                    drop(tokio::time::timeout(Duration::ZERO, turn).await);
                    return;
                }
                let turn = turn.await;
                assert!(!busy.swap(true, Ordering::SeqCst));
                tokio::task::yield_now().await;
                busy.store(false, Ordering::SeqCst);
                drop(turn);
            });
        }
        while let Some(done) = turns.join_next().await {
            done.unwrap();
        }
        assert!(loads.lock().is_empty());
    }
}

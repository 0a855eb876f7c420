//! The syncs that wait: one of each device, and not too many of a user.
//!
//! A device that asks again no longer waits for the earlier response, or is two programs that do not
//! know of each other. Either way the older one is answered at once with what there is, and its
//! connection is free.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::store::{DeviceId, Session, UserId};

/// The waiting request.
#[derive(Default)]
pub(crate) struct Polls(Mutex<HashMap<UserId, Vec<Waiting>>>);

struct Waiting {
    device: DeviceId,
    gives_way: Arc<Notify>,
}

/// One sync that waits; over when dropped.
pub(crate) struct Poll<'p> {
    polls: &'p Polls,
    user: UserId,
    gives_way: Arc<Notify>,
}

impl Polls {
    /// Begins to wait. An older one of the device gives way, and the oldest of a user with too many.
    pub(crate) fn begin(&self, session: &Session) -> Poll<'_> {
        let gives_way = Arc::new(Notify::new());
        let mut polls = self.lock();
        let of_user = polls.entry(session.user.clone()).or_default();
        let same = of_user.iter().position(|it| it.device == session.device);
        let oldest = (of_user.len() >= MAX_OF_USER).then_some(0);
        if let Some(index) = same.or(oldest) {
            of_user.remove(index).gives_way.notify_one();
        }
        of_user.push(Waiting {
            device: session.device.clone(),
            gives_way: Arc::clone(&gives_way),
        });
        Poll {
            polls: self,
            user: session.user.clone(),
            gives_way,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Vec<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Poll<'_> {
    /// Ready when this one must be answered with what it has.
    pub(crate) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut polls = self.polls.lock();
        if let Some(of_user) = polls.get_mut(&self.user) {
            of_user.retain(|it| !Arc::ptr_eq(&it.gives_way, &self.gives_way));
            if of_user.is_empty() {
                polls.remove(&self.user);
            }
        }
    }
}

/// Syncs of one user that wait.
const MAX_OF_USER: usize = 100;

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;
    use crate::store::{Timestamp, TokenHash};

    fn session(user: &str, device: &str) -> Session {
        Session {
            user: UserId::new(user),
            access: TokenHash([0; 32]),
            device: DeviceId::new(device),
            expires_at: None,
            unconfirmed: false,
            last_seen_at: Timestamp(0),
        }
    }

    async fn must_go(poll: &Poll<'_>) -> bool {
        tokio::select! {
            biased;
            () = poll.gives_way() => true,
            () = ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_device_waits_once() {
        let polls = Polls::default();
        let first = polls.begin(&session("@alice:a", "D"));
        let others = [("@alice:a", "E"), ("@bob:a", "D")]
            .map(|(user, device)| polls.begin(&session(user, device)));
        assert!(!must_go(&first).await);
        let second = polls.begin(&session("@alice:a", "D"));
        assert!(must_go(&first).await);
        // The older one leaves the newer one alone.
        drop(first);
        let third = polls.begin(&session("@alice:a", "D"));
        assert!(must_go(&second).await && !must_go(&third).await);
        for other in &others {
            assert!(!must_go(other).await);
        }
        drop((second, third, others));
        assert!(polls.lock().is_empty());
    }

    #[tokio::test]
    async fn of_very_many_devices_the_oldest_gives_way() {
        let polls = Polls::default();
        let begin = |number: usize| polls.begin(&session("@alice:a", &number.to_string()));
        let waiting: Vec<_> = (0..=MAX_OF_USER).map(begin).collect();
        assert!(must_go(&waiting[0]).await);
        assert!(!must_go(&waiting[1]).await);
    }
}

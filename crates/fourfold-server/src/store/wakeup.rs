//! Wake-ups: a write on one task reaches the long polls of its user on others.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::model::UserId;

/// The watchers of users' changes in this process. Holds nothing for a user whom nobody watches. A
/// store keeps one and wakes it after its commits.
#[derive(Debug)]
pub struct Wakeups {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<UserId, watch::Sender<()>>>>,
}

impl Wakeups {
    /// Nobody waits yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Arc::new(Self {
            hasher: RandomState::new(),
            shards,
        })
    }

    /// Watches a user from now on.
    pub fn watch(self: &Arc<Self>, user: &UserId) -> Watch {
        let receiver = self
            .with_shard(user, |shard| match shard.get(user) {
                Some(sender) => sender.subscribe(),
                None => {
                    let (sender, receiver) = watch::channel(());
                    shard.insert(user.clone(), sender);
                    receiver
                }
            })
            .unwrap_or_else(|| watch::channel(()).1);
        Watch {
            user: user.clone(),
            receiver: Some(receiver),
            wakeups: Arc::clone(self),
        }
    }

    /// Wakes everyone who watches the user.
    pub fn wake(&self, user: &UserId) {
        self.with_shard(user, |shard| {
            if let Some(sender) = shard.get(user) {
                sender.send_replace(());
            }
        });
    }

    fn with_shard<T>(
        &self,
        user: &UserId,
        act: impl FnOnce(&mut HashMap<UserId, watch::Sender<()>>) -> T,
    ) -> Option<T> {
        let index = usize::try_from(self.hasher.hash_one(user) % SHARDS).unwrap_or(0);
        let shard = self.shards.get(index)?;
        Some(act(&mut shard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)))
    }
}

/// A subscription to the changes of one user. Dropping it frees its place at once.
#[derive(Debug)]
pub struct Watch {
    user: UserId,
    receiver: Option<watch::Receiver<()>>,
    wakeups: Arc<Wakeups>,
}

impl Watch {
    /// Waits for a change since the subscription or since the last call that returned.
    pub async fn changed(&mut self) {
        let Some(receiver) = &mut self.receiver else {
            return std::future::pending().await;
        };
        if receiver.changed().await.is_err() {
            // The sender lives as long as a receiver does. Without it nothing will ever come.
            std::future::pending().await
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let receiver = self.receiver.take();
        self.wakeups.with_shard(&self.user, |shard| {
            // Under the lock, so that nobody subscribes between the count and the removal.
            drop(receiver);
            if shard
                .get(&self.user)
                .is_some_and(|sender| sender.receiver_count() == 0)
            {
                shard.remove(&self.user);
            }
        });
    }
}

const SHARDS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(wakeups: &Wakeups) -> usize {
        wakeups
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum()
    }

    #[tokio::test]
    async fn wakes_only_watchers_of_the_user() {
        let wakeups = Wakeups::new();
        let (alice, bob) = (UserId::new("@alice:a"), UserId::new("@bob:a"));
        let mut first = wakeups.watch(&alice);
        let mut other = wakeups.watch(&bob);
        wakeups.wake(&alice);
        first.changed().await;
        tokio::select! {
            biased;
            () = other.changed() => panic!("bob was woken"),
            () = std::future::ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_dropped_watch_frees_its_place() {
        let wakeups = Wakeups::new();
        let alice = UserId::new("@alice:a");
        let watches: Vec<_> = (0..10).map(|_| wakeups.watch(&alice)).collect();
        assert_eq!(watched(&wakeups), 1);
        drop(watches);
        assert_eq!(watched(&wakeups), 0);
    }
}

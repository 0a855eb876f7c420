//! One load of a user at a time, and one content of a large account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::store::UserId;

/// Which users are being loaded. Holds nothing for the others.
#[derive(Default)]
pub(super) struct Loads {
    users: Mutex<HashMap<UserId, Arc<tokio::sync::Mutex<()>>>>,
    contents: tokio::sync::Mutex<()>,
}

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

    /// Waits until nobody else reads a content of a large account.
    pub(super) async fn content_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.contents.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<tokio::sync::Mutex<()>>>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::task::JoinSet;

    use super::*;
    use crate::store::sqlite::{Options, SqliteStore};
    use crate::store::{Condition, NewAccount, Scope, Store, Timestamp};

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

    // shows: SRV-10
    #[tokio::test]
    async fn contents_of_large_accounts_are_read_one_after_another_and_others_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let open = || SqliteStore::open(&path, Options::new("a")).unwrap();
        let (large, small) = (UserId::new("@large:a"), UserId::new("@small:a"));
        let store = open();
        for (user, contents) in [(&large, 15), (&small, 5)] {
            let account = NewAccount {
                password_hash: String::new(),
                created_at: Timestamp(0),
                session: None,
            };
            store.create_account(user, account).await.unwrap();
            for number in 0..contents {
                let content = Bytes::from(vec![b'x'; 100_000]);
                let (scope, event_type) = (Scope::global(), format!("m.{number}"));
                let put =
                    store.put_account_data(user, scope, &event_type, content, Condition::Always);
                put.await.unwrap();
            }
        }

        let turn = store.loads.content_turn().await;
        let held = async |user: &UserId| {
            let changes = store.changes(user, None).await.unwrap();
            let events = changes.account_data.iter();
            events.filter(|event| event.content.is_some()).count()
        };
        assert_eq!((held(&large).await, held(&small).await), (0, 5));
        let read = async |user: &UserId| {
            let stored = store.account_data(user, &Scope::global(), "m.1").await;
            stored.unwrap().unwrap().content.len()
        };
        tokio::select! {
            biased;
            _ = read(&large) => panic!("two contents at a time"),
            length = read(&small) => assert_eq!(length, 100_000),
        }
        drop(turn);
        assert_eq!(read(&large).await, 100_000);

        // The number that comes with it is the one that a condition names, and what replaces it is
        // what is read.
        let scope = Scope::global();
        let stored = store.account_data(&large, &scope, "m.1").await.unwrap();
        let unchanged = Condition::Unchanged(stored.unwrap().position);
        let content = Bytes::from_static(b"{}");
        let put = store.put_account_data(&large, scope.clone(), "m.1", content, unchanged);
        put.await.unwrap();
        assert_eq!(read(&large).await, 2);
        store.close().await;
    }
}

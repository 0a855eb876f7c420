//! One load of a user at a time, and one content of a large account.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::store::UserId;

/// The queues of those who load a user or read a content.
#[derive(Default)]
pub(super) struct Loads {
    users: Queues,
    contents: Queues,
    content: tokio::sync::Mutex<()>,
}

/// Leave to read a content; the next may when it is dropped.
pub(super) struct ContentTurn<'l> {
    _of_user: Turn<'l>,
    _of_all: tokio::sync::MutexGuard<'l, ()>,
}

impl Loads {
    /// Waits until nobody else loads this user.
    pub(super) async fn turn<'l>(&'l self, user: &'l UserId) -> Turn<'l> {
        self.users.turn(user).await
    }

    /// Waits until nobody else reads a content of a large account. One place in the queue is all that a
    /// user has, however many contents are asked for.
    pub(super) async fn content_turn<'l>(&'l self, user: &'l UserId) -> ContentTurn<'l> {
        ContentTurn {
            _of_user: self.contents.turn(user).await,
            _of_all: self.content.lock().await,
        }
    }
}

/// A queue for each user. Holds nothing for the others.
#[derive(Default)]
struct Queues(Mutex<HashMap<UserId, Arc<tokio::sync::Mutex<()>>>>);

/// The first place in the queue of a user; the next has it when this is dropped.
pub(super) struct Turn<'l> {
    queues: &'l Queues,
    user: &'l UserId,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Queues {
    async fn turn<'l>(&'l self, user: &'l UserId) -> Turn<'l> {
        let queue = Arc::clone(self.lock().entry(user.clone()).or_default());
        // Created before it waits, so that a caller that is cancelled leaves nothing behind either.
        let mut turn = Turn {
            queues: self,
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
        let mut queues = self.queues.lock();
        self.guard = None;
        // Each caller that waits holds a reference besides the map's.
        let queue = queues.get(self.user);
        if queue.is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(self.user);
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
    use crate::store::{Condition, DeviceId, NewAccount, Origin, Scope, Store, Timestamp};

    // shows: SRV-11
    #[tokio::test]
    async fn who_asks_for_many_contents_has_one_place_in_the_queue() {
        let loads = Arc::new(Loads::default());
        let first = UserId::new("@first:a");
        let turn = loads.content_turn(&first).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut turns = JoinSet::new();
        for name in ["@many:a", "@many:a", "@many:a", "@one:a"] {
            let (loads, order) = (Arc::clone(&loads), Arc::clone(&order));
            turns.spawn(async move {
                let user = UserId::new(name);
                let turn = loads.content_turn(&user).await;
                order.lock().unwrap().push(name);
                drop(turn);
            });
            // Until it waits.
            tokio::task::yield_now().await;
        }
        drop(turn);
        while let Some(done) = turns.join_next().await {
            done.unwrap();
        }
        let order = order.lock().unwrap();
        assert_eq!(*order, ["@many:a", "@one:a", "@many:a", "@many:a"]);
        assert!(loads.contents.lock().is_empty());
    }

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
                    // A caller that is cancelled.
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
        assert!(loads.users.lock().is_empty());
    }

    fn origin() -> Origin {
        Origin {
            device: DeviceId::new("D"),
            at: Timestamp(0),
        }
    }

    // shows: SRV-10
    #[tokio::test]
    async fn contents_of_large_accounts_are_read_one_after_another_and_others_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let open = || SqliteStore::open(&path, Options::new("a")).unwrap();
        let [large, small, other] = ["@large:a", "@small:a", "@other:a"].map(UserId::new);
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
                let always = Condition::Always;
                let put =
                    store.put_account_data(user, scope, &event_type, content, always, origin());
                put.await.unwrap();
            }
        }

        let turn = store.loads.content_turn(&other).await;
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
        let beside = tokio::time::timeout(Duration::from_millis(200), read(&large));
        assert!(beside.await.is_err(), "two contents at a time");
        assert_eq!(read(&small).await, 100_000);
        drop(turn);
        assert_eq!(read(&large).await, 100_000);

        // The position that comes with the content is the one that a condition names, and a
        // replacement is read back.
        let scope = Scope::global();
        let stored = store.account_data(&large, &scope, "m.1").await.unwrap();
        let unchanged = Condition::Unchanged(stored.unwrap().position);
        let content = Bytes::from_static(b"{}");
        let put =
            store.put_account_data(&large, scope.clone(), "m.1", content, unchanged, origin());
        put.await.unwrap();
        assert_eq!(read(&large).await, 2);
        store.close().await;
    }
}

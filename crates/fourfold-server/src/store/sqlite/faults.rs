//! A database that takes no writes: full, locked by somebody else, damaged.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{Options, SqliteStore};
use crate::store::{
    Condition, DeviceId, InboxStore, KeyChange, KeyStore, NewAccount, NewSession, OneTimeKey,
    OneTimeUpload, Origin, Outgoing, Position, Recipient, Scope, Sent, Store, StoreError,
    Timestamp, TokenHash, TokenPair, Transaction, UserId,
};

/// A store whose every read goes to the file.
struct Faulty {
    store: SqliteStore,
    path: PathBuf,
    _folder: TempDir,
}

impl Faulty {
    fn open() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        Self {
            store: open(&path).unwrap(),
            path,
            _folder: folder,
        }
    }

    /// Lets the file grow by so many pages and no further.
    async fn leaves_room_for(&self, pages: i64) {
        let set = self.store.writer.write(move |batch| {
            let connection = batch.connection();
            let count: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let most = format!("PRAGMA max_page_count = {}", count + pages);
            connection.query_row(&most, [], |row| row.get::<_, i64>(0))?;
            Ok(())
        });
        set.await.unwrap();
    }

    async fn put(
        &self,
        user: &UserId,
        event_type: &str,
        content: &Bytes,
    ) -> Result<(), StoreError> {
        let (scope, content) = (Scope::global(), content.clone());
        let always = Condition::Always;
        let origin = Origin {
            device: DeviceId::new("D"),
            at: Timestamp(0),
        };
        let put = self
            .store
            .put_account_data(user, scope, event_type, content, always, origin);
        put.await.map(drop)
    }

    async fn get(&self, user: &UserId, event_type: &str) -> Result<Option<Bytes>, StoreError> {
        let scope = Scope::global();
        let found = self.store.account_data(user, &scope, event_type).await?;
        Ok(found.map(|stored| stored.content))
    }

    async fn position(&self, user: &UserId) -> Position {
        self.store.changes(user, None).await.unwrap().position
    }

    /// The number of messages that wait for each of the two devices.
    async fn waiting(&self, user: &UserId) -> [u64; 2] {
        let mut waiting = [0; 2];
        for (device, waiting) in ["D", "E"].into_iter().zip(&mut waiting) {
            let inbox = self.store.inbox(user, &DeviceId::new(device)).await;
            *waiting = inbox.unwrap().messages;
        }
        waiting
    }
}

fn open(path: &std::path::Path) -> Result<SqliteStore, super::OpenError> {
    let mut options = Options::new("localhost");
    options.cache_bytes = 0;
    SqliteStore::open(path, options)
}

fn session(device: &str, access: u8) -> NewSession {
    NewSession {
        device: DeviceId::new(device),
        display_name: None,
        tokens: TokenPair {
            access: TokenHash([access; 32]),
            refresh: None,
            expires_at: None,
        },
        opened_at: Timestamp(1_000),
        address: None,
    }
}

/// An account with the devices `D` and `E`.
async fn account(store: &SqliteStore, name: &str) -> UserId {
    let user = UserId::new(format!("@{name}:localhost"));
    let account = NewAccount {
        password_hash: "hash".to_owned(),
        created_at: Timestamp(1_000),
        session: Some(session("D", 1)),
    };
    store.create_account(&user, account).await.unwrap();
    store.open_session(&user, session("E", 2)).await.unwrap();
    user
}

fn content(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

async fn send(store: &SqliteStore, user: &UserId, length: usize) -> Result<Sent, StoreError> {
    let transaction = Transaction {
        device: DeviceId::new("D"),
        hash: [7; 32],
        at: Timestamp(1_000),
    };
    let message = Outgoing {
        user: user.clone(),
        recipient: Recipient::Every,
        event: content(length),
        secret_request: None,
    };
    store.send(user, transaction, vec![message]).await
}

async fn publish(store: &SqliteStore, user: &UserId) -> Result<(), StoreError> {
    let key = |number: u32| OneTimeKey {
        algorithm: "signed_curve25519".to_owned(),
        id: number.to_string(),
        key: content(1_000),
    };
    let one_time = OneTimeUpload {
        device: DeviceId::new("D"),
        one_time_keys: (0..50).map(key).collect(),
        fallback_keys: Vec::new(),
    };
    let change = KeyChange {
        objects: None,
        one_time: Some(one_time),
    };
    store.put_keys(user, change).await.map(drop)
}

#[tokio::test]
async fn a_full_disk_refuses_writes_whole_and_keeps_what_was_acknowledged() {
    let it = Faulty::open();
    let alice = account(&it.store, "alice").await;
    it.leaves_room_for(8).await;
    let mut kept = Vec::new();
    let refused = loop {
        let event_type = format!("m.{}", kept.len());
        assert!(kept.len() < 100, "the disk never became full");
        match it.put(&alice, &event_type, &content(3_000)).await {
            Ok(()) => kept.push(event_type),
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{error:?}");
                break event_type;
            }
        }
    };
    assert!(!kept.is_empty());
    let position = it.position(&alice).await;
    for refused in [
        send(&it.store, &alice, 60_000).await.map(drop),
        publish(&it.store, &alice).await,
        it.put(&alice, "m.large", &content(100_000)).await,
    ] {
        assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    }

    // Reading still works, and shows no part of what was refused.
    for event_type in &kept {
        let found = it.get(&alice, event_type).await.unwrap();
        assert_eq!(found, Some(content(3_000)));
    }
    for event_type in [&*refused, "m.large"] {
        assert_eq!(it.get(&alice, event_type).await.unwrap(), None);
    }
    assert_eq!(it.position(&alice).await, position);
    assert_eq!(it.waiting(&alice).await, [0, 0]);
    let device = DeviceId::new("D");
    let counts = it.store.key_counts(&alice, &device).await.unwrap();
    assert!(counts.one_time_keys.is_empty());
    let session = it.store.session(&alice, &TokenHash([1; 32])).await;
    assert!(session.unwrap().is_some());

    // Once there is room the same requests are done, the same transaction among them.
    it.leaves_room_for(1_000).await;
    it.put(&alice, &refused, &content(3_000)).await.unwrap();
    assert_eq!(send(&it.store, &alice, 60_000).await.unwrap().copies, 2);
    publish(&it.store, &alice).await.unwrap();
    kept.push(refused);
    it.store.close().await;
    let again = Faulty {
        store: open(&it.path).unwrap(),
        ..it
    };
    for event_type in &kept {
        let found = again.get(&alice, event_type).await.unwrap();
        assert_eq!(found, Some(content(3_000)));
    }
    assert_eq!(again.waiting(&alice).await, [1, 1]);
    let counts = again.store.key_counts(&alice, &device).await.unwrap();
    assert_eq!(counts.one_time_keys.get("signed_curve25519"), Some(&50));
}

#[tokio::test]
async fn a_write_that_does_not_fit_takes_no_neighbour_with_it() {
    let it = Faulty::open();
    let alice = account(&it.store, "alice").await;
    it.put(&alice, "m.a", &content(10)).await.unwrap();
    it.put(&alice, "m.b", &content(10)).await.unwrap();
    it.leaves_room_for(0).await;
    let (large, small) = (content(100_000), content(9));
    for _ in 0..20 {
        let (one, two, three) = tokio::join!(
            it.put(&alice, "m.a", &small),
            it.put(&alice, "m.large", &large),
            it.put(&alice, "m.b", &small),
        );
        one.unwrap();
        assert!(matches!(two, Err(StoreError::Full)), "{two:?}");
        three.unwrap();
    }
    assert_eq!(it.get(&alice, "m.a").await.unwrap(), Some(small.clone()));
    assert_eq!(it.get(&alice, "m.b").await.unwrap(), Some(small));
}

#[tokio::test]
async fn a_write_that_breaks_halfway_is_undone_and_the_next_is_done() {
    let it = Faulty::open();
    let alice = account(&it.store, "alice").await;
    let before = it.position(&alice).await;
    let user = alice.clone();
    let breaks = it.store.writer.write(move |batch| {
        batch.counters(&user)?.position = Position(1_000);
        let connection = batch.connection();
        connection.execute("DELETE FROM sessions", [])?;
        connection.execute("INSERT INTO users (user_id) VALUES (NULL)", [])?;
        Ok(())
    });
    let refused = breaks.await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    let session = it.store.session(&alice, &TokenHash([1; 32])).await;
    assert!(session.unwrap().is_some());
    assert_eq!(it.position(&alice).await, before);
    it.put(&alice, "m.a", &content(1)).await.unwrap();
    assert_eq!(it.position(&alice).await, Position(before.0 + 1));
}

#[tokio::test]
async fn a_file_that_somebody_else_locks_refuses_writes_until_they_let_go() {
    let it = Faulty::open();
    let alice = account(&it.store, "alice").await;
    it.put(&alice, "m.a", &content(1)).await.unwrap();
    let impatient = it.store.writer.write(|batch| {
        batch.connection().busy_timeout(Duration::ZERO)?;
        Ok(())
    });
    impatient.await.unwrap();
    let other = Connection::open(&it.path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = it.put(&alice, "m.a", &content(2)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(it.get(&alice, "m.a").await.unwrap(), Some(content(1)));
    other.execute_batch("ROLLBACK").unwrap();
    it.put(&alice, "m.a", &content(2)).await.unwrap();
    assert_eq!(it.get(&alice, "m.a").await.unwrap(), Some(content(2)));
}

#[tokio::test]
async fn a_damaged_page_is_an_error_and_never_a_panic() {
    let it = Faulty::open();
    let alice = account(&it.store, "alice").await;
    let bob = account(&it.store, "bob").await;
    for user in [&alice, &bob] {
        for number in 0..5 {
            let event_type = format!("m.{number}");
            it.put(user, &event_type, &content(2_000)).await.unwrap();
        }
        send(&it.store, user, 5_000).await.unwrap();
        publish(&it.store, user).await.unwrap();
    }
    it.store.close().await;
    let sound = std::fs::read(&it.path).unwrap();
    let pages = sound.len() / PAGE;
    assert!(pages > 40, "{pages}");
    let (mut refused, mut served) = (0, 0);
    for page in 0..pages {
        // Empty, or not a page.
        let damage = if page % 2 == 0 { 0 } else { 0xA5 };
        let mut bytes = sound.clone();
        bytes[page * PAGE..(page + 1) * PAGE].fill(damage);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store");
        std::fs::write(&path, bytes).unwrap();
        let Ok(store) = open(&path) else {
            refused += 1;
            continue;
        };
        let damaged = Faulty {
            store,
            path,
            _folder: folder,
        };
        for user in [&alice, &bob] {
            // Here and not on another thread, where a panic would be an error like any other.
            let loaded = damaged.store.readers.load(user);
            let put = damaged.put(user, "m.1", &content(3)).await;
            let sent = send(&damaged.store, user, 10).await.map(drop);
            for done in [put, sent] {
                assert!(!matches!(done, Err(StoreError::Closed)), "page {page}");
                served += usize::from(loaded.is_ok() && done.is_ok());
            }
        }
        damaged.store.close().await;
    }
    assert!(refused > 0 && served > 2 * pages, "{refused} {served}");
}

/// Bytes of a page, unless SQLite is told otherwise.
const PAGE: usize = 4096;

//! Key backups.

#![expect(clippy::indexing_slicing, reason = "a test that indexes wrongly fails")]

use bytes::Bytes;
use fourfold_server::store::{
    BackedUpKey, KeyBackupState, KeySelection, Store, StoreError, UserId,
};

use crate::{account, all_at_once, user};

async fn create(store: &dyn Store, user: &UserId) -> u64 {
    let auth_data = Bytes::from_static(b"{ \"a\": 1.0 }");
    let created = store.create_backup(user, "m.test".to_owned(), auth_data);
    created.await.unwrap()
}

fn key(room: &str, session: &str, verified: bool, index: u64, forwarded: u64) -> BackedUpKey {
    BackedUpKey {
        room_id: room.to_owned(),
        session_id: session.to_owned(),
        first_message_index: index,
        forwarded_count: forwarded,
        is_verified: verified,
        session_data: Bytes::from(format!("[{verified},{index},{forwarded}]")),
    }
}

async fn put(store: &dyn Store, user: &UserId, version: u64, key: BackedUpKey) -> KeyBackupState {
    let put = store.put_backed_up_keys(user, version, vec![key]);
    put.await.unwrap()
}

async fn all(store: &dyn Store, user: &UserId, version: u64) -> Vec<BackedUpKey> {
    selected(store, user, version, KeySelection::All).await
}

/// The keys of a selection, read in one piece and then in the smallest pieces.
async fn selected(
    store: &dyn Store,
    user: &UserId,
    version: u64,
    selection: KeySelection,
) -> Vec<BackedUpKey> {
    let whole = store.backed_up_keys(user, version, selection.clone(), None, usize::MAX);
    let (whole, more) = whole.await.unwrap().unwrap();
    assert!(!more);
    let mut pieces = Vec::new();
    loop {
        let last = pieces
            .last()
            .map(|key: &BackedUpKey| (key.room_id.clone(), key.session_id.clone()));
        let next = store.backed_up_keys(user, version, selection.clone(), last, 1);
        let (next, more) = next.await.unwrap().unwrap();
        assert!(next.len() == 1 || next.is_empty() && whole.is_empty());
        pieces.extend(next);
        if !more {
            break;
        }
    }
    assert_eq!(pieces, whole);
    whole
}

pub(crate) async fn backup_versions_are_never_given_out_again(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let bob = account(store, "bob", None).await;
    assert_eq!(store.backup(&alice, None).await.unwrap(), None);
    for version in 1..=12 {
        assert_eq!(create(store, &alice).await, version);
        let current = store.backup(&alice, None).await.unwrap().unwrap();
        assert_eq!(
            (current.version, &*current.auth_data),
            (version, &b"{ \"a\": 1.0 }"[..])
        );
        if version > 2 {
            store.delete_backup(&alice, version).await.unwrap();
            store.delete_backup(&alice, version).await.unwrap();
            let current = store.backup(&alice, None).await.unwrap().unwrap();
            assert_eq!(current.version, 2);
        }
    }
    for never in [0, 13, u64::MAX] {
        let deleted = store.delete_backup(&alice, never).await;
        assert!(matches!(deleted, Err(StoreError::NoSuchBackup)));
    }
    assert!(matches!(
        store.delete_backup(&bob, 1).await,
        Err(StoreError::NoSuchBackup)
    ));
    assert_eq!(store.backup(&bob, Some(1)).await.unwrap(), None);
    let nobody = user("nobody");
    let refused = store.create_backup(&nobody, "m.test".to_owned(), Bytes::from_static(b"{}"));
    assert!(matches!(refused.await, Err(StoreError::NoSuchUser)));

    let old = store.put_backed_up_keys(&alice, 1, vec![key("!r", "s", true, 0, 0)]);
    assert!(matches!(old.await, Err(StoreError::NotCurrentBackup(2))));
    let gone = store.put_backed_up_keys(&alice, 3, vec![key("!r", "s", true, 0, 0)]);
    assert!(matches!(gone.await, Err(StoreError::NoSuchBackup)));
}

pub(crate) async fn a_backed_up_key_is_replaced_by_a_better_one_alone(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let version = create(store, &alice).await;
    let worst_first = [
        (false, 7, 3),
        (false, 7, 2),
        // Opens more, though it was forwarded more.
        (false, 5, 9),
        // Verified, though it opens less and was forwarded more.
        (true, 9, 9),
        (true, 9, 8),
        (true, 1, 8),
    ];
    for (step, (verified, index, forwarded)) in worst_first.into_iter().enumerate() {
        let better = key("!r", "s", verified, index, forwarded);
        let state = put(store, &alice, version, better.clone()).await;
        let expected = KeyBackupState {
            count: 1,
            etag: u64::try_from(step).unwrap() + 1,
        };
        assert_eq!(state, expected);
        // Nothing that came before takes its place, and no equal: the etag stays.
        for (verified, index, forwarded) in &worst_first[..=step] {
            let mut worse = key("!r", "s", *verified, *index, *forwarded);
            worse.session_data = Bytes::from_static(b"\"other\"");
            assert_eq!(put(store, &alice, version, worse).await, expected);
        }
        assert_eq!(all(store, &alice, version).await, [better]);
    }
}

pub(crate) async fn backed_up_keys_are_selected_and_deleted(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let version = create(store, &alice).await;
    let keys = [
        "!a s",
        "!a \u{10ffff}",
        "!b s",
        "!b t",
        "\u{10ffff} \u{10ffff}",
    ];
    let keys: Vec<_> = keys
        .iter()
        .filter_map(|both| both.split_once(' '))
        .map(|(room, session)| key(room, session, false, 0, 0))
        .collect();
    let state = store.put_backed_up_keys(&alice, version, keys.clone());
    assert_eq!(state.await.unwrap(), KeyBackupState { count: 5, etag: 1 });
    assert_eq!(all(store, &alice, version).await, keys);
    let one = KeySelection::Session("!b".to_owned(), "s".to_owned());
    let room = KeySelection::Room("!a".to_owned());
    let found = selected(store, &alice, version, room.clone());
    assert_eq!(found.await, keys[..2]);
    let found = selected(store, &alice, version, one.clone());
    assert_eq!(found.await, keys[2..3]);
    let nowhere = store.backed_up_keys(&alice, 9, KeySelection::All, None, usize::MAX);
    assert_eq!(nowhere.await.unwrap(), None);

    // An older version may be cleared too, and nothing of it moves the newer one.
    let newer = create(store, &alice).await;
    put(store, &alice, newer, keys[0].clone()).await;
    for (selection, count, etag) in [
        (one.clone(), 4, 2),
        (one, 4, 2),
        (room, 2, 3),
        (KeySelection::All, 0, 4),
        (KeySelection::All, 0, 4),
    ] {
        let state = store.delete_backed_up_keys(&alice, version, selection);
        assert_eq!(state.await.unwrap(), KeyBackupState { count, etag });
    }
    assert_eq!(all(store, &alice, version).await, []);
    assert_eq!(all(store, &alice, newer).await, keys[..1]);
}

pub(crate) async fn backup_quotas_refuse_without_a_trace(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    for _ in 0..3 {
        create(store, &alice).await;
    }
    let fourth = store.create_backup(&alice, "m.test".to_owned(), Bytes::from_static(b"{}"));
    assert!(matches!(fourth.await, Err(StoreError::Quota(_))));

    let many = |count: u32| -> Vec<_> {
        (0..count)
            .map(|n| key("!r", &n.to_string(), false, 1, 0))
            .collect()
    };
    let mut large = key("!r", "s", false, 1, 0);
    large.session_data = Bytes::from(format!("\"{}\"", "x".repeat(2_000)));
    // Room that a deleted version took is free again.
    for _ in 0..5 {
        let version = store.backup(&alice, None).await.unwrap().unwrap().version;
        for refused in [many(21), vec![large.clone()]] {
            let refused = store.put_backed_up_keys(&alice, version, refused).await;
            assert!(matches!(refused, Err(StoreError::Quota(_))));
            assert_eq!(all(store, &alice, version).await, []);
        }
        let full = store.put_backed_up_keys(&alice, version, many(20)).await;
        assert_eq!(full.unwrap(), KeyBackupState { count: 20, etag: 1 });
        let more = store.put_backed_up_keys(&alice, version, vec![key("!r", "x", true, 0, 0)]);
        assert!(matches!(more.await, Err(StoreError::Quota(_))));
        // A better key in the place of another needs no room.
        put(store, &alice, version, key("!r", "3", true, 0, 0)).await;
        store.delete_backup(&alice, version).await.unwrap();
        create(store, &alice).await;
    }
}

pub(crate) async fn concurrent_backups_count_right(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let version = create(store, &alice).await;
    let puts = (0..20_u64).map(|n| {
        let key = key("!r", &(n % 10).to_string(), false, n / 10, 0);
        store.put_backed_up_keys(&alice, version, vec![key])
    });
    let mut etags = Vec::new();
    for done in all_at_once(puts.collect()).await {
        etags.push(done.unwrap().etag);
    }
    let state = store.backup(&alice, None).await.unwrap().unwrap().state;
    assert_eq!(state.count, 10);
    assert_eq!(Some(&state.etag), etags.iter().max());
    let twice = vec![key("!r", "new", false, 1, 0), key("!r", "new", false, 0, 0)];
    let state = store.put_backed_up_keys(&alice, version, twice).await;
    assert_eq!(state.unwrap().count, 11);
    let keys = all(store, &alice, version).await;
    assert_eq!(keys.len(), 11);
    assert!(keys.iter().all(|key| key.first_message_index == 0));
}

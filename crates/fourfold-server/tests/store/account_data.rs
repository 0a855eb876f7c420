//! Account data and its stream, as every store must keep them.

use bytes::Bytes;
use fourfold_server::store::{Condition, Position, Scope, Store, StoreError, UserId};

use crate::{account, hash, origin, put, session, types_since};

pub(crate) async fn account_data_is_replaced_and_kept_apart(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let bob = account(store, "bob", None).await;
    let room = Scope::room("!r:localhost");
    put(store, &alice, "m.x", "one").await;
    put(store, &alice, "m.x", "two").await;
    store
        .put_account_data(
            &alice,
            room.clone(),
            "m.x",
            Bytes::from_static(b"room"),
            Condition::Always,
            origin(),
        )
        .await
        .unwrap();
    let get = async |user: &UserId, scope: &Scope, event_type: &str| {
        let stored = store.account_data(user, scope, event_type).await.unwrap();
        stored.map(|stored| String::from_utf8(stored.content.to_vec()).unwrap())
    };
    assert_eq!(
        get(&alice, &Scope::global(), "m.x").await.as_deref(),
        Some("two")
    );
    assert_eq!(get(&alice, &room, "m.x").await.as_deref(), Some("room"));
    assert_eq!(get(&alice, &Scope::room("!s:localhost"), "m.x").await, None);
    assert_eq!(get(&alice, &Scope::global(), "M.X").await, None);
    assert_eq!(get(&alice, &Scope::global(), "m.x ").await, None);
    assert_eq!(get(&bob, &Scope::global(), "m.x").await, None);
    assert_eq!(types_since(store, &alice, None).await, ["m.x"]);
}

pub(crate) async fn a_condition_is_checked_as_it_is_written(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let put = async |content: &'static str, condition| {
        let content = Bytes::from_static(content.as_bytes());
        let scope = Scope::global();
        store
            .put_account_data(&alice, scope, "m.x", content, condition, origin())
            .await
    };
    let refused = put("never", Condition::Present).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let first = put("one", Condition::Absent).await.unwrap();
    let refused = put("never", Condition::Absent).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let second = put("two", Condition::Unchanged(first)).await.unwrap();
    let refused = put("never", Condition::Unchanged(first)).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let stored = store
        .account_data(&alice, &Scope::global(), "m.x")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stored.position, &*stored.content), (second, &b"two"[..]));
    assert_eq!(store.changes(&alice, None).await.unwrap().position, second);
    // Of two that expect the same, one wins, also when they are committed together.
    let expected = Condition::Unchanged(second);
    let (left, right) = tokio::join!(put("left", expected), put("right", expected));
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
}

pub(crate) async fn hostile_names_are_only_names(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let names = ["'; DROP TABLE users; --", "%", "_", "\"\\🔑"];
    for name in names {
        assert_eq!(
            store
                .account_data(&alice, &Scope::global(), name)
                .await
                .unwrap(),
            None
        );
        put(store, &alice, name, "{}").await;
    }
    assert_eq!(types_since(store, &alice, None).await, names);
}

pub(crate) async fn changes_come_in_order_and_each_once(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let first = put(store, &alice, "m.a", "1").await;
    let second = put(store, &alice, "m.b", "1").await;
    let third = put(store, &alice, "m.a", "1").await;
    assert!(first < second && second < third);
    assert_eq!(types_since(store, &alice, None).await, ["m.b", "m.a"]);
    assert_eq!(
        types_since(store, &alice, Some(first)).await,
        ["m.b", "m.a"]
    );
    assert_eq!(types_since(store, &alice, Some(second)).await, ["m.a"]);
    assert!(types_since(store, &alice, Some(third)).await.is_empty());
    let ahead = Position(third.0 + 1_000);
    assert_eq!(
        types_since(store, &alice, Some(ahead)).await,
        ["m.b", "m.a"]
    );
}

pub(crate) async fn quotas_refuse_without_a_trace(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("A", 1))).await;
    for event_type in ["a", "b", "c", "d"] {
        put(store, &alice, event_type, "{}").await;
    }
    let before = store.changes(&alice, None).await.unwrap();
    let content = |length: usize| Bytes::from(vec![b'x'; length]);
    for (event_type, content) in [("e", content(1)), ("a", content(91))] {
        let refused = store
            .put_account_data(
                &alice,
                Scope::global(),
                event_type,
                content,
                Condition::Always,
                origin(),
            )
            .await;
        assert!(matches!(refused, Err(StoreError::Quota(_))), "{refused:?}");
    }
    assert_eq!(store.changes(&alice, None).await.unwrap(), before);
    store
        .put_account_data(
            &alice,
            Scope::global(),
            "a",
            content(90),
            Condition::Always,
            origin(),
        )
        .await
        .unwrap();
    put(store, &alice, "a", "{}").await;

    store.open_session(&alice, session("B", 2)).await.unwrap();
    store.open_session(&alice, session("C", 3)).await.unwrap();
    let refused = store.open_session(&alice, session("D", 4)).await;
    assert!(matches!(refused, Err(StoreError::Quota(_))), "{refused:?}");
    assert_eq!(store.session(&alice, &hash(4)).await.unwrap(), None);
    store.open_session(&alice, session("C", 5)).await.unwrap();
}

//! The history of account data, as every store must keep it.

use bytes::Bytes;
use fourfold_server::store::{
    Condition, HistoryEntry, HistoryPage, Origin, Position, Scope, Store, StoreError, Timestamp,
    UserId,
};

use crate::{account, at, put};

async fn write(store: &dyn Store, user: &UserId, event_type: &str, content: &str, origin: Origin) {
    let (scope, content) = (Scope::global(), Bytes::copy_from_slice(content.as_bytes()));
    let always = Condition::Always;
    let put = store.put_account_data(user, scope, event_type, content, always, origin);
    put.await.unwrap();
}

fn all(now: u64) -> HistoryPage {
    HistoryPage {
        event_type: None,
        before: None,
        entries: 100,
        bytes: 10_000,
        now: Timestamp(now),
    }
}

async fn entries(store: &dyn Store, user: &UserId, wanted: HistoryPage) -> Vec<HistoryEntry> {
    store.account_data_history(user, wanted).await.unwrap().0
}

/// Each entry as `type=content device@time`, and `>time` when it was replaced.
fn shown(entries: &[HistoryEntry]) -> Vec<String> {
    let entry = |entry: &HistoryEntry| {
        let origin = entry.origin.as_ref().map_or_else(
            || "-".to_owned(),
            |origin| format!("{}@{}", origin.device.as_str(), origin.at.0),
        );
        let replaced = entry.replaced_at.map(|at| format!(">{}", at.0));
        let content = String::from_utf8_lossy(&entry.content);
        let replaced = replaced.unwrap_or_default();
        format!("{}={content} {origin}{replaced}", entry.event_type)
    };
    entries.iter().map(entry).collect()
}

pub(crate) async fn replaced_contents_enter_the_history(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let bob = account(store, "bob", None).await;
    write(store, &alice, "m.x", "one", at("A", 1)).await;
    write(store, &alice, "m.y", "why", at("B", 2)).await;
    write(store, &alice, "m.x", "two", at("B", 3)).await;
    write(store, &bob, "m.x", "bob", at("C", 3)).await;
    // The same once more is no change: it stays what A or B wrote, at its time.
    write(store, &alice, "m.x", "two", at("A", 4)).await;
    write(store, &alice, "m.x", "too", at("A", 5)).await;
    let room = Scope::room("!r:localhost");
    for content in [&b"1"[..], b"2"] {
        let content = Bytes::from_static(content);
        let put = store.put_account_data(
            &alice,
            room.clone(),
            "m.x",
            content,
            Condition::Always,
            at("A", 6),
        );
        put.await.unwrap();
    }
    let history = entries(store, &alice, all(9)).await;
    assert_eq!(
        shown(&history),
        [
            "m.x=too A@5",
            "m.x=two B@3>5",
            "m.y=why B@2",
            "m.x=one A@1>3"
        ]
    );
    let current = store.account_data(&alice, &Scope::global(), "m.x").await;
    let newest = history.first().map(|entry| entry.position);
    assert_eq!(Some(current.unwrap().unwrap().position), newest);
    let of_type = HistoryPage {
        event_type: Some("m.y".to_owned()),
        ..all(9)
    };
    assert_eq!(
        shown(&entries(store, &alice, of_type).await),
        ["m.y=why B@2"]
    );
    assert_eq!(shown(&entries(store, &bob, all(9)).await), ["m.x=bob C@3"]);

    store.forget_account_data_history(&alice).await.unwrap();
    assert_eq!(
        shown(&entries(store, &alice, all(9)).await),
        ["m.x=too A@5", "m.y=why B@2"]
    );
    assert_eq!(shown(&entries(store, &bob, all(9)).await), ["m.x=bob C@3"]);
    let nobody = UserId::new("@nobody:localhost");
    assert!(entries(store, &nobody, all(9)).await.is_empty());
    let refused = store.forget_account_data_history(&nobody).await;
    assert!(
        matches!(refused, Err(StoreError::NoSuchUser)),
        "{refused:?}"
    );
}

pub(crate) async fn a_history_is_read_in_pages(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    for (number, event_type) in ["m.x", "m.y"].into_iter().cycle().take(6).enumerate() {
        write(
            store,
            &alice,
            event_type,
            &"n".repeat(number + 1),
            at("A", 1),
        )
        .await;
    }
    let whole = entries(store, &alice, all(2)).await;
    assert_eq!(whole.len(), 6);
    for (most, bytes) in [(1, 10_000), (4, 10_000), (100, 1), (100, 7), (0, 0)] {
        let (mut read, mut before, mut pages) = (Vec::new(), None, 0);
        loop {
            let wanted = HistoryPage {
                before,
                entries: most,
                bytes,
                ..all(2)
            };
            let (page, more) = store.account_data_history(&alice, wanted).await.unwrap();
            before = page.last().map(|entry| entry.position);
            assert!(!page.is_empty());
            read.extend(page);
            pages += 1;
            if !more {
                break;
            }
        }
        assert_eq!(read, whole, "{most} {bytes}");
        assert!(pages > 1 && before == Some(Position(1)), "{most} {bytes}");
    }
}

pub(crate) async fn a_history_has_limits_of_its_own(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let earlier = async || {
        let mut entries = entries(store, &alice, all(1_000)).await;
        entries.retain(|entry| entry.replaced_at.is_some());
        shown(&entries)
            .iter()
            .map(|entry| entry.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    // Of one type: 4, and 3 once there are more.
    let old = "o".repeat(30);
    write(store, &alice, "m.y", &old, at("A", 1)).await;
    for content in ["0000", "1111", "2222", "3333", "4444"] {
        write(store, &alice, "m.x", content, at("A", 1)).await;
    }
    let four = ["m.x=3333", "m.x=2222", "m.x=1111", "m.x=0000"];
    assert_eq!(earlier().await, four);
    write(store, &alice, "m.x", "5555", at("A", 1)).await;
    assert_eq!(earlier().await, ["m.x=4444", "m.x=3333", "m.x=2222"]);
    // Bytes: 60 with the types, and 45 once there are more. What was stored first but replaced late
    // is not among the first that go.
    write(store, &alice, "m.y", "new", at("A", 1)).await;
    for content in ["1", "2", "3", "4"] {
        write(store, &alice, "b", content, at("A", 1)).await;
    }
    assert_eq!(earlier().await.len(), 7);
    write(store, &alice, "b", "5", at("A", 1)).await;
    let old = format!("m.y={old}");
    assert_eq!(earlier().await, ["b=4", "b=3", "b=2", "b=1", &old]);
    // A content larger than the quota is not kept, and does not count afterwards.
    write(store, &alice, "m.y", &"n".repeat(70), at("A", 1)).await;
    write(store, &alice, "m.y", "", at("A", 1)).await;
    assert_eq!(earlier().await, Vec::<String>::new());
    // Entries: 8, and 6 once there are more.
    for content in ["w", "x", "y"] {
        for event_type in ["a", "b", "m.x"] {
            write(store, &alice, event_type, content, at("A", 1)).await;
        }
    }
    assert_eq!(earlier().await.len(), 8);
    write(store, &alice, "a", "z", at("A", 1)).await;
    let six = ["a=y", "m.x=x", "b=x", "a=x", "m.x=w", "b=w"];
    assert_eq!(earlier().await, six);
}

pub(crate) async fn what_is_too_old_is_neither_shown_nor_counted(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    write(store, &alice, "m.x", "one", at("A", DAY)).await;
    write(store, &alice, "m.x", "two", at("A", DAY + 5_000)).await;
    write(store, &alice, "m.x", "three", at("A", DAY + 9_000)).await;
    let shown_at = async |now| shown(&entries(store, &alice, all(DAY + now)).await).len();
    // Ten seconds, from when a content was replaced: the current one has no age.
    assert_eq!(shown_at(15_000).await, 3);
    assert_eq!(shown_at(15_001).await, 2);
    assert_eq!(shown_at(19_001).await, 1);
    // Looked for once a day, with a write: then they are gone, and a clock that goes back shows it.
    write(store, &alice, "m.x", "four", at("A", 2 * DAY + 5_000)).await;
    assert_eq!(shown_at(9_000).await, 2);
    put(store, &alice, "m.y", "{}").await;
}

const DAY: u64 = 24 * 60 * 60 * 1_000;

//! The conformance suite: what every [`Store`] must do, whatever it stands on.
//!
//! To run it over another store, write a function that opens an empty one and a module that calls
//! [`conformance!`] with it.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fourfold_server::store::sqlite::{Options, SqliteStore};
use fourfold_server::store::{
    Condition, DeviceId, HistoryQuota, NewAccount, NewSession, Origin, Position, Quotas, Scope,
    Store, StoreError, Timestamp, TokenHash, TokenPair, UserId,
};
use tempfile::TempDir;

mod account_data;
mod filters;
mod history;
mod inbox;
mod key_backup;
mod keys;

use account_data::{
    a_condition_is_checked_as_it_is_written, account_data_is_replaced_and_kept_apart,
    changes_come_in_order_and_each_once, hostile_names_are_only_names,
    quotas_refuse_without_a_trace,
};
use filters::filters_are_kept;
use history::{
    a_history_has_limits_of_its_own, a_history_is_read_in_pages,
    replaced_contents_enter_the_history, what_is_too_old_is_neither_shown_nor_counted,
};
use inbox::{
    a_copy_that_was_refused_comes_with_the_same_transaction, a_request_has_a_cost_and_a_limit,
    a_request_that_may_have_been_seen_is_followed_by_its_cancellation,
    an_inbox_keeps_its_order_until_it_is_acknowledged,
    an_inbox_keeps_room_for_its_user_and_for_each_sender,
    an_unseen_request_goes_with_its_cancellation, expired_requests_make_room_in_a_full_inbox,
    requests_leave_with_the_device_that_asks, whoever_saw_a_request_sees_its_cancellation,
};
use key_backup::{
    a_backed_up_key_is_replaced_by_a_better_one_alone, backed_up_keys_are_selected_and_deleted,
    backup_quotas_refuse_without_a_trace, backup_versions_are_never_given_out_again,
    concurrent_backups_count_right,
};
use keys::{a_key_is_claimed_once, keys_change_only_from_their_revision};

/// A store and whatever must live as long.
struct Opened {
    store: Arc<dyn Store>,
    _folder: TempDir,
}

fn quotas() -> Quotas {
    let mut quotas = Quotas::default();
    quotas.account_data.types = 4;
    quotas.account_data.bytes = 100;
    quotas.history = Some(HistoryQuota {
        entries: 8,
        entries_of_type: 4,
        bytes: 60,
        age: Duration::from_secs(10),
    });
    quotas.devices = 3;
    quotas.filters = 2;
    quotas.backups.versions = 3;
    quotas.backups.keys = 20;
    quotas.backups.bytes = 2_000;
    quotas.inbox.all.messages = 6;
    quotas.inbox.all.bytes = 1_000;
    quotas.inbox.of_others.messages = 4;
    quotas.inbox.of_others.bytes = 450;
    quotas.inbox.of_sender.messages = 3;
    quotas.inbox.of_sender.bytes = 300;
    quotas
}

fn user(name: &str) -> UserId {
    UserId::new(format!("@{name}:localhost"))
}

fn hash(byte: u8) -> TokenHash {
    TokenHash([byte; 32])
}

fn session(device: &str, access: u8) -> NewSession {
    NewSession {
        device: DeviceId::new(device),
        display_name: Some(format!("name of {device}")),
        tokens: TokenPair {
            access: hash(access),
            refresh: None,
            expires_at: None,
        },
        opened_at: Timestamp(1_000),
        address: Some("::1".to_owned()),
    }
}

fn refreshable(access: u8, refresh: u8) -> TokenPair {
    let expires_at = Some(Timestamp(5_000));
    TokenPair {
        access: hash(access),
        refresh: Some(hash(refresh)),
        expires_at,
    }
}

fn origin() -> Origin {
    at("D", 1_000)
}

fn at(device: &str, time: u64) -> Origin {
    Origin {
        device: DeviceId::new(device),
        at: Timestamp(time),
    }
}

async fn account(store: &dyn Store, name: &str, first: Option<NewSession>) -> UserId {
    let user = user(name);
    let account = NewAccount {
        password_hash: "hash".to_owned(),
        created_at: Timestamp(1_000),
        session: first,
    };
    store.create_account(&user, account).await.unwrap();
    user
}

async fn put(
    store: &dyn Store,
    user: &UserId,
    event_type: &str,
    content: &'static str,
) -> Position {
    let content = Bytes::from_static(content.as_bytes());
    store
        .put_account_data(
            user,
            Scope::global(),
            event_type,
            content,
            Condition::Always,
            origin(),
        )
        .await
        .unwrap()
}

async fn types_since(store: &dyn Store, user: &UserId, since: Option<Position>) -> Vec<String> {
    let changes = store.changes(user, since).await.unwrap();
    changes
        .account_data
        .iter()
        .map(|event| event.event_type.to_string())
        .collect()
}

async fn accounts_are_made_once(store: &dyn Store) {
    assert_eq!(store.password_hash(&user("alice")).await.unwrap(), None);
    let alice = account(store, "alice", None).await;
    assert_eq!(
        store.password_hash(&alice).await.unwrap().as_deref(),
        Some("hash")
    );
    let again = NewAccount {
        password_hash: "other".to_owned(),
        created_at: Timestamp(2_000),
        session: Some(session("D", 1)),
    };
    let refused = store.create_account(&alice, again).await;
    assert!(matches!(refused, Err(StoreError::UserInUse)), "{refused:?}");
    assert_eq!(
        store.password_hash(&alice).await.unwrap().as_deref(),
        Some("hash")
    );
    assert_eq!(store.session(&alice, &hash(1)).await.unwrap(), None);
    assert_eq!(store.devices(&alice).await.unwrap(), []);
}

async fn strangers_have_nothing_and_can_write_nothing(store: &dyn Store) {
    let nobody = user("nobody");
    assert_eq!(store.session(&nobody, &hash(1)).await.unwrap(), None);
    assert_eq!(
        store
            .account_data(&nobody, &Scope::global(), "m.x")
            .await
            .unwrap(),
        None
    );
    assert_eq!(store.changes(&nobody, None).await.unwrap().account_data, []);
    let content = Bytes::from_static(b"{}");
    let refused = store
        .put_account_data(
            &nobody,
            Scope::global(),
            "m.x",
            content,
            Condition::Always,
            origin(),
        )
        .await;
    assert!(
        matches!(refused, Err(StoreError::NoSuchUser)),
        "{refused:?}"
    );
    let refused = store.open_session(&nobody, session("D", 1)).await;
    assert!(
        matches!(refused, Err(StoreError::NoSuchUser)),
        "{refused:?}"
    );
    let tokens = refreshable(1, 2);
    let found = store
        .refresh_session(&nobody, &hash(1), tokens, Timestamp(0))
        .await
        .unwrap();
    assert_eq!(found, None);
}

async fn a_login_on_a_known_device_ends_the_one_before(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let first = store.session(&alice, &hash(1)).await.unwrap().unwrap();
    assert_eq!(
        (first.user.as_str(), first.device.as_str()),
        (alice.as_str(), "D")
    );
    assert!(!first.unconfirmed);
    let mut second = session("D", 2);
    second.display_name = Some("another".to_owned());
    second.opened_at = Timestamp(9_000);
    store.open_session(&alice, second).await.unwrap();
    assert_eq!(store.session(&alice, &hash(1)).await.unwrap(), None);
    let session = store.session(&alice, &hash(2)).await.unwrap().unwrap();
    assert_eq!(session.last_seen_at, Timestamp(9_000));
    let device = store
        .device(&alice, &DeviceId::new("D"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(device.display_name.as_deref(), Some("name of D"));
    assert_eq!(device.last_seen_at, Timestamp(9_000));
}

async fn a_token_opens_its_own_user_alone(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let bob = account(store, "bob", None).await;
    assert!(store.session(&alice, &hash(1)).await.unwrap().is_some());
    assert_eq!(store.session(&bob, &hash(1)).await.unwrap(), None);
}

async fn refreshing_keeps_the_old_pair_until_the_new_one_is_used(store: &dyn Store) {
    let mut first = session("D", 1);
    first.tokens = refreshable(1, 11);
    let alice = account(store, "alice", Some(first)).await;
    let refresh = async |old: u8, access: u8, new: u8| {
        let tokens = refreshable(access, new);
        store
            .refresh_session(&alice, &hash(old), tokens, Timestamp(3_000))
            .await
            .unwrap()
    };
    let open = async |access: u8| {
        store
            .session(&alice, &hash(access))
            .await
            .unwrap()
            .is_some()
    };

    assert_eq!(refresh(99, 2, 12).await, None);
    assert_eq!(refresh(11, 2, 12).await, Some(DeviceId::new("D")));
    assert!(open(1).await && open(2).await);
    // Lost on its way: the same again, and the pair before was never used.
    assert_eq!(refresh(11, 3, 13).await, Some(DeviceId::new("D")));
    assert!(open(1).await && !open(2).await && open(3).await);
    assert!(
        store
            .session(&alice, &hash(3))
            .await
            .unwrap()
            .unwrap()
            .unconfirmed
    );
    store.confirm_session(&alice, &hash(3)).await.unwrap();
    assert!(!open(1).await && open(3).await);
    assert!(
        !store
            .session(&alice, &hash(3))
            .await
            .unwrap()
            .unwrap()
            .unconfirmed
    );
    assert_eq!(refresh(11, 4, 14).await, None);
    // Refreshing is using.
    assert_eq!(refresh(13, 5, 15).await, Some(DeviceId::new("D")));
    assert_eq!(refresh(15, 6, 16).await, Some(DeviceId::new("D")));
    assert!(!open(3).await && open(5).await && open(6).await);
    store.confirm_session(&alice, &hash(99)).await.unwrap();
}

async fn devices_are_listed_renamed_and_deleted(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("B", 1))).await;
    store.open_session(&alice, session("A", 2)).await.unwrap();
    store.open_session(&alice, session("C", 3)).await.unwrap();
    let ids = async || -> Vec<String> {
        let devices = store.devices(&alice).await.unwrap();
        devices
            .iter()
            .map(|device| device.id.as_str().to_owned())
            .collect()
    };
    assert_eq!(ids().await, ["A", "B", "C"]);
    let name = Some("new".to_owned());
    assert!(
        store
            .rename_device(&alice, &DeviceId::new("A"), name.clone())
            .await
            .unwrap()
    );
    assert!(
        !store
            .rename_device(&alice, &DeviceId::new("X"), name.clone())
            .await
            .unwrap()
    );
    let device = store
        .device(&alice, &DeviceId::new("A"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(device.display_name, name);
    let gone = [DeviceId::new("A"), DeviceId::new("X")];
    store.delete_devices(&alice, &gone).await.unwrap();
    assert_eq!(ids().await, ["B", "C"]);
    assert_eq!(store.session(&alice, &hash(2)).await.unwrap(), None);
    store.delete_all_devices(&alice).await.unwrap();
    assert!(ids().await.is_empty());
    assert_eq!(store.session(&alice, &hash(1)).await.unwrap(), None);
}

async fn a_device_is_seen(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let device = DeviceId::new("D");
    let before = store.changes(&alice, None).await.unwrap().position;
    let address = Some("10.0.0.1".to_owned());
    store
        .touch_device(&alice, &device, Timestamp(7_000), address.clone())
        .await
        .unwrap();
    store
        .touch_device(&alice, &device, Timestamp(6_000), None)
        .await
        .unwrap();
    let seen = store.device(&alice, &device).await.unwrap().unwrap();
    assert_eq!(
        (seen.last_seen_at, seen.last_seen_address),
        (Timestamp(7_000), address)
    );
    let session = store.session(&alice, &hash(1)).await.unwrap().unwrap();
    assert_eq!(session.last_seen_at, Timestamp(7_000));
    assert_eq!(store.changes(&alice, None).await.unwrap().position, before);
}

async fn device_changes_move_the_list(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("A", 1))).await;
    let mut since = store.changes(&alice, None).await.unwrap();
    assert!(!since.device_list);
    for change in 0..4 {
        let device = DeviceId::new("B");
        match change {
            0 => store.open_session(&alice, session("B", 2)).await.unwrap(),
            1 => assert!(store.rename_device(&alice, &device, None).await.unwrap()),
            2 => store.delete_devices(&alice, &[device]).await.unwrap(),
            _ => store.delete_all_devices(&alice).await.unwrap(),
        }
        let changes = store.changes(&alice, Some(since.position)).await.unwrap();
        assert!(
            changes.device_list && changes.position > since.position,
            "{change}"
        );
        assert!(
            !store
                .changes(&alice, Some(changes.position))
                .await
                .unwrap()
                .device_list
        );
        since = changes;
    }
    store
        .delete_devices(&alice, &[DeviceId::new("unknown")])
        .await
        .unwrap();
    assert_eq!(
        store.changes(&alice, None).await.unwrap().position,
        since.position
    );
}

async fn watchers_wake(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("A", 1))).await;
    let bob = account(store, "bob", None).await;
    let mut watch = store.watch(&alice);
    put(store, &bob, "m.x", "{}").await;
    tokio::select! {
        biased;
        () = watch.changed() => panic!("woken by another user"),
        () = tokio::task::yield_now() => {}
    }
    put(store, &alice, "m.x", "{}").await;
    watch.changed().await;
    put(store, &alice, "m.x", "{}").await;
    watch.changed().await;
    store.open_session(&alice, session("B", 2)).await.unwrap();
    watch.changed().await;
    store
        .delete_devices(&alice, &[DeviceId::new("B")])
        .await
        .unwrap();
    watch.changed().await;
    // What is seen after the wake holds the change.
    let since = store.changes(&alice, None).await.unwrap().position;
    let (position, ()) = tokio::join!(put(store, &alice, "m.x", "{}"), watch.changed());
    assert!(store.changes(&alice, Some(since)).await.unwrap().position >= position);
}

async fn concurrent_writers_get_a_position_each(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let writes: Vec<_> = (0..50).map(|_| put(store, &alice, "m.x", "{}")).collect();
    let mut positions = all_at_once(writes).await;
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len(), 50);
    let last = store.changes(&alice, None).await.unwrap().position;
    assert_eq!(positions.last(), Some(&last));
}

/// Drives all futures at once.
async fn all_at_once<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|it| (Box::pin(it), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    futures
        .into_iter()
        .map(|(_, output)| output.unwrap())
        .collect()
}

async fn a_closed_store_writes_no_more(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    put(store, &alice, "m.x", "{}").await;
    store.close().await;
    let content = Bytes::from_static(b"{}");
    let refused = store
        .put_account_data(
            &alice,
            Scope::global(),
            "m.x",
            content,
            Condition::Always,
            origin(),
        )
        .await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    store.close().await;
}

async fn the_batch_key_stays(store: &dyn Store) {
    let key = store.batch_key().await.unwrap();
    assert_eq!(store.batch_key().await.unwrap(), key);
    assert_ne!(key, [0; 32]);
}

macro_rules! conformance {
    ($open:path: $($expectation:ident)*) => {
        $(
            #[tokio::test]
            async fn $expectation() {
                let opened = $open().await;
                super::$expectation(&*opened.store).await;
            }
        )*
    };
}

macro_rules! conforms {
    ($open:path) => {
        conformance! { $open:
            accounts_are_made_once
            strangers_have_nothing_and_can_write_nothing
            a_login_on_a_known_device_ends_the_one_before
            a_token_opens_its_own_user_alone
            refreshing_keeps_the_old_pair_until_the_new_one_is_used
            devices_are_listed_renamed_and_deleted
            a_device_is_seen
            device_changes_move_the_list
            account_data_is_replaced_and_kept_apart
            a_condition_is_checked_as_it_is_written
            hostile_names_are_only_names
            changes_come_in_order_and_each_once
            quotas_refuse_without_a_trace
            replaced_contents_enter_the_history
            a_history_is_read_in_pages
            a_history_has_limits_of_its_own
            what_is_too_old_is_neither_shown_nor_counted
            filters_are_kept
            watchers_wake
            concurrent_writers_get_a_position_each
            a_closed_store_writes_no_more
            the_batch_key_stays
            a_key_is_claimed_once
            keys_change_only_from_their_revision
            an_inbox_keeps_its_order_until_it_is_acknowledged
            an_unseen_request_goes_with_its_cancellation
            a_request_that_may_have_been_seen_is_followed_by_its_cancellation
            whoever_saw_a_request_sees_its_cancellation
            requests_leave_with_the_device_that_asks
            expired_requests_make_room_in_a_full_inbox
            a_request_has_a_cost_and_a_limit
            an_inbox_keeps_room_for_its_user_and_for_each_sender
            a_copy_that_was_refused_comes_with_the_same_transaction
            backup_versions_are_never_given_out_again
            a_backed_up_key_is_replaced_by_a_better_one_alone
            backed_up_keys_are_selected_and_deleted
            backup_quotas_refuse_without_a_trace
            concurrent_backups_count_right
        }
    };
}

mod sqlite {
    use super::*;

    async fn open() -> Opened {
        with_cache(1 << 20)
    }

    pub(super) fn with_cache(bytes: usize) -> Opened {
        let folder = TempDir::new().unwrap();
        let mut options = Options::new("localhost");
        options.quotas = quotas();
        options.cache_bytes = bytes;
        let store = SqliteStore::open(&folder.path().join("store"), options).unwrap();
        Opened {
            store: Arc::new(store),
            _folder: folder,
        }
    }

    conforms!(open);
}

/// With a cache that holds nearly nothing every read goes to the file.
mod sqlite_without_memory {
    use super::*;

    async fn open() -> Opened {
        sqlite::with_cache(0)
    }

    conforms!(open);
}

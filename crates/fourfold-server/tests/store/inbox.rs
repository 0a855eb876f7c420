//! Inboxes, as every store must keep them.

use bytes::Bytes;
use fourfold_server::store::{
    DeviceId, Outgoing, Position, Recipient, SECRET_REQUEST_LIFETIME, SecretRequest, Sent, Store,
    StoreError, Timestamp, Transaction, UserId,
};

use crate::{account, session};

/// One device to which messages go, and the next transaction.
struct Inbox<'s> {
    store: &'s dyn Store,
    user: UserId,
    device: DeviceId,
    sent: u16,
}

impl<'s> Inbox<'s> {
    fn new(store: &'s dyn Store, user: &UserId, device: &str) -> Self {
        Self {
            store,
            user: user.clone(),
            device: DeviceId::new(device),
            sent: 0,
        }
    }

    /// From a device called `D`, as all senders here are.
    async fn gets(
        &mut self,
        from: &UserId,
        at: Timestamp,
        event: &str,
        secret_request: Option<SecretRequest>,
    ) {
        let sent = self.is_sent(from, at, event, secret_request).await;
        assert_eq!((sent.refused, sent.refused_own), (0, 0), "{event}");
    }

    /// As [`gets`](Self::gets), where there must be no room.
    async fn refuses(&mut self, from: &UserId, at: Timestamp, event: &str) {
        let sent = self.is_sent(from, at, event, None).await;
        assert_eq!((sent.copies, sent.refused + sent.refused_own), (1, 1));
        assert_eq!(sent.refused_own == 1, *from == self.user);
    }

    async fn is_sent(
        &mut self,
        from: &UserId,
        at: Timestamp,
        event: &str,
        secret_request: Option<SecretRequest>,
    ) -> Sent {
        self.sent += 1;
        let transaction = Transaction {
            device: DeviceId::new("D"),
            hash: self.sent.to_be_bytes().repeat(16).try_into().unwrap(),
            at,
        };
        let message = Outgoing {
            user: self.user.clone(),
            recipient: Recipient::Device(self.device.clone()),
            event: Bytes::copy_from_slice(event.as_bytes()),
            secret_request,
        };
        let sent = self.store.send(from, transaction, vec![message]).await;
        sent.unwrap()
    }

    /// How many wait. Unlike [`reads`](Self::reads), this shows the device nothing.
    async fn waiting(&self) -> u64 {
        let inbox = self.store.inbox(&self.user, &self.device).await;
        inbox.unwrap().messages
    }

    async fn reads(&self) -> Vec<String> {
        let (user, device) = (&self.user, &self.device);
        let messages = self.store.inbox_messages(user, device, Position(0), 100);
        let messages = messages.await.unwrap();
        let text = |event: &Bytes| String::from_utf8(event.to_vec()).unwrap();
        messages.iter().map(|it| text(&it.event)).collect()
    }

    async fn acknowledges_all(&self) {
        let newest = self.store.inbox(&self.user, &self.device).await.unwrap();
        let (user, device) = (&self.user, &self.device);
        let done = self.store.acknowledge(user, device, newest.newest).await;
        done.unwrap();
    }
}

const NOW: Timestamp = Timestamp(1_000_000_000);

fn asks(device: &str, id: &str) -> Option<SecretRequest> {
    Some(SecretRequest {
        cancels: false,
        request_id: id.to_owned(),
        requesting_device: DeviceId::new(device),
    })
}

fn cancels(device: &str, id: &str) -> Option<SecretRequest> {
    asks(device, id).map(|request| SecretRequest {
        cancels: true,
        ..request
    })
}

async fn send(store: &dyn Store, from: &UserId, to: &UserId, number: u8) {
    let transaction = Transaction {
        device: DeviceId::new("D"),
        hash: [number; 32],
        at: Timestamp(1_000),
    };
    let message = Outgoing {
        user: to.clone(),
        recipient: Recipient::Every,
        event: Bytes::from(number.to_string()),
        secret_request: None,
    };
    store.send(from, transaction, vec![message]).await.unwrap();
}

pub(crate) async fn an_inbox_keeps_its_order_until_it_is_acknowledged(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let bob = account(store, "bob", Some(session("D", 2))).await;
    let device = DeviceId::new("D");
    for number in [1, 2, 3, 2, 1] {
        send(store, &alice, &bob, number).await;
    }
    let read = async |after: Position| {
        let messages = store.inbox_messages(&bob, &device, after, 10).await;
        messages.unwrap()
    };
    let messages = read(Position(0)).await;
    let events: Vec<_> = messages.iter().map(|it| it.event.clone()).collect();
    assert_eq!(events, ["1", "2", "3"]);
    assert!(messages.is_sorted_by_key(|it| it.position));
    let inbox = store.inbox(&bob, &device).await.unwrap();
    assert_eq!(
        (inbox.messages, inbox.newest),
        (3, messages.last().unwrap().position)
    );
    // A position that never was deletes nothing.
    store
        .acknowledge(&bob, &device, Position(1_000))
        .await
        .unwrap();
    store
        .acknowledge(&bob, &device, messages.get(1).unwrap().position)
        .await
        .unwrap();
    // Comes after the acknowledgement, which may return before it is done.
    send(store, &alice, &bob, 4).await;
    let events: Vec<_> = read(Position(0)).await;
    let events: Vec<_> = events.iter().map(|it| it.event.clone()).collect();
    assert_eq!(events, ["3", "4"]);
    let inbox = store.inbox(&bob, &device).await.unwrap();
    assert_eq!(inbox.messages, 2);
}

pub(crate) async fn an_unseen_request_goes_with_its_cancellation(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let bob = account(store, "bob", Some(session("D", 2))).await;
    store.open_session(&alice, session("E", 3)).await.unwrap();
    let mut inbox = Inbox::new(store, &alice, "E");
    inbox.gets(&alice, NOW, "ask 1", asks("D", "1")).await;
    inbox.gets(&alice, NOW, "ask 2", asks("D", "2")).await;
    inbox.gets(&alice, NOW, "of X", asks("X", "1")).await;
    inbox.gets(&alice, NOW, "seams", asks("D1", "")).await;
    inbox.gets(&bob, NOW, "of bob", asks("D", "1")).await;
    inbox.gets(&alice, NOW, "other", None).await;
    let before = store.changes(&alice, None).await.unwrap().position;
    inbox.gets(&alice, NOW, "cancel 1", cancels("D", "1")).await;
    assert_eq!(inbox.waiting().await, 5);
    assert_eq!(store.changes(&alice, None).await.unwrap().position, before);
    let rest = ["ask 2", "of X", "seams", "of bob", "other"];
    assert_eq!(inbox.reads().await, rest);
    inbox.acknowledges_all().await;
    // The same name may be used again.
    inbox.gets(&alice, NOW, "ask 1", asks("D", "1")).await;
    assert_eq!(inbox.reads().await, ["ask 1"]);
}

pub(crate) async fn a_request_that_may_have_been_seen_is_followed_by_its_cancellation(
    store: &dyn Store,
) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    store.open_session(&alice, session("E", 2)).await.unwrap();
    let mut inbox = Inbox::new(store, &alice, "E");
    // Shown, and whether it arrived is not known.
    inbox.gets(&alice, NOW, "ask 1", asks("D", "1")).await;
    assert_eq!(inbox.reads().await, ["ask 1"]);
    inbox.gets(&alice, NOW, "ask 2", asks("D", "2")).await;
    inbox.gets(&alice, NOW, "cancel 2", cancels("D", "2")).await;
    inbox.gets(&alice, NOW, "cancel 1", cancels("D", "1")).await;
    assert_eq!(inbox.waiting().await, 1);
    assert_eq!(inbox.reads().await, ["cancel 1"]);
    // Acknowledged.
    inbox.gets(&alice, NOW, "ask 3", asks("D", "3")).await;
    inbox.reads().await;
    inbox.acknowledges_all().await;
    inbox.gets(&alice, NOW, "cancel 3", cancels("D", "3")).await;
    assert_eq!(inbox.reads().await, ["cancel 3"]);
    inbox.acknowledges_all().await;
    // Of two copies one was shown.
    inbox.gets(&alice, NOW, "ask 4", asks("D", "4")).await;
    inbox.reads().await;
    inbox.gets(&alice, NOW, "ask 4", asks("D", "4")).await;
    inbox.gets(&alice, NOW, "cancel 4", cancels("D", "4")).await;
    assert_eq!(inbox.reads().await, ["cancel 4"]);
    inbox.acknowledges_all().await;
    // Nothing to cancel: delivered like any message.
    inbox.gets(&alice, NOW, "cancel 5", cancels("D", "5")).await;
    assert_eq!(inbox.reads().await, ["cancel 5"]);
}

pub(crate) async fn whoever_saw_a_request_sees_its_cancellation(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    store.open_session(&alice, session("E", 2)).await.unwrap();
    let mut inbox = Inbox::new(store, &alice, "E");
    let reader = Inbox::new(store, &alice, "E");
    for round in 0..160 {
        // The reader meets a request that waits, or one that comes while it reads.
        if round % 2 == 0 {
            inbox.gets(&alice, NOW, "ask", asks("D", "1")).await;
        }
        let sending = async {
            if round % 2 == 1 {
                inbox.gets(&alice, NOW, "ask", asks("D", "1")).await;
            }
            inbox.gets(&alice, NOW, "cancel", cancels("D", "1")).await;
        };
        let (seen, ()) = tokio::join!(reader.reads(), sending);
        if seen.iter().any(|event| event == "ask") {
            assert_eq!(inbox.reads().await, ["cancel"]);
        }
        inbox.acknowledges_all().await;
    }
}

pub(crate) async fn requests_leave_with_the_device_that_asks(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let bob = account(store, "bob", Some(session("D", 2))).await;
    for (device, access) in [("E", 3), ("X", 4)] {
        let session = session(device, access);
        store.open_session(&alice, session).await.unwrap();
    }
    let mut inbox = Inbox::new(store, &alice, "E");
    inbox.gets(&alice, NOW, "ask 1", asks("X", "1")).await;
    inbox.gets(&alice, NOW, "ask 2", asks("D", "2")).await;
    inbox.gets(&alice, NOW, "ask 3", asks("X", "3")).await;
    inbox.gets(&alice, NOW, "cancel 4", cancels("X", "4")).await;
    // What strangers call their devices is no matter of Alice's.
    inbox.gets(&bob, NOW, "of bob", asks("X", "1")).await;
    inbox.reads().await;
    let gone = [DeviceId::new("X")];
    store.delete_devices(&alice, &gone).await.unwrap();
    assert_eq!(inbox.waiting().await, 3);
    assert_eq!(inbox.reads().await, ["ask 2", "cancel 4", "of bob"]);
}

pub(crate) async fn expired_requests_make_room_in_a_full_inbox(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    store.open_session(&alice, session("E", 2)).await.unwrap();
    let mut inbox = Inbox::new(store, &alice, "E");
    let later = NOW.after(SECRET_REQUEST_LIFETIME);
    inbox.gets(&alice, NOW, "ask 1", asks("D", "1")).await;
    inbox.gets(&alice, NOW, "old", None).await;
    inbox.gets(&alice, NOW, "cancel", cancels("D", "0")).await;
    inbox.gets(&alice, later, "ask 2", asks("D", "2")).await;
    inbox.gets(&alice, NOW, "ask 3", asks("D", "3")).await;
    // Room for as many as the quota says, and nothing expires before there is need.
    inbox.gets(&alice, later, "last", None).await;
    assert_eq!(inbox.waiting().await, 6);
    let early = Timestamp(later.0 - 1);
    inbox.refuses(&alice, early, "refused").await;
    assert_eq!(inbox.waiting().await, 6);
    inbox.gets(&alice, later, "new 1", None).await;
    assert_eq!(inbox.waiting().await, 5);
    inbox.gets(&alice, later, "new 2", None).await;
    inbox.refuses(&alice, later, "refused").await;
    let kept = ["old", "cancel", "ask 2", "last", "new 1", "new 2"];
    assert_eq!(inbox.reads().await, kept);
    inbox.acknowledges_all().await;
    // Bytes count as messages do.
    inbox.gets(&alice, NOW, "ask 4", asks("D", "4")).await;
    let large = "x".repeat(1_000);
    inbox.refuses(&alice, early, &large).await;
    assert_eq!(inbox.waiting().await, 1);
    inbox.gets(&alice, later, &large, None).await;
    assert_eq!(inbox.reads().await, [large]);
}

pub(crate) async fn a_request_has_a_cost_and_a_limit(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    for (device, access) in [("E", 2), ("F", 3)] {
        let session = session(device, access);
        store.open_session(&alice, session).await.unwrap();
    }
    let send = async |number: u8, times: usize| {
        let transaction = Transaction {
            device: DeviceId::new("D"),
            hash: [number; 32],
            at: NOW,
        };
        let message = Outgoing {
            user: alice.clone(),
            recipient: Recipient::Every,
            event: Bytes::from_static(b"x"),
            secret_request: None,
        };
        let messages = vec![message; times];
        store.send(&alice, transaction, messages).await
    };
    assert_eq!(send(1, 2).await.unwrap().copies, 6);
    // Done before, so it costs nothing.
    assert_eq!(send(1, 2).await.unwrap().copies, 0);
    let inbox = Inbox::new(store, &alice, "E");
    assert_eq!(inbox.waiting().await, 2);
    let refused = send(2, 2_000).await;
    assert!(matches!(refused, Err(StoreError::Quota(_))), "{refused:?}");
    assert_eq!(inbox.waiting().await, 2);
    // Refused, so it was not done.
    assert_eq!(send(2, 1).await.unwrap().copies, 3);
}

pub(crate) async fn an_inbox_keeps_room_for_its_user_and_for_each_sender(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let bob = account(store, "bob", Some(session("D", 2))).await;
    let eve = account(store, "eve", Some(session("D", 3))).await;
    let mut inbox = Inbox::new(store, &alice, "D");
    // Three of one sender, four of all others, six in all.
    inbox.gets(&eve, NOW, "eve 1", None).await;
    inbox.gets(&eve, NOW, "eve 2", asks("D", "1")).await;
    inbox.gets(&eve, NOW, "eve 3", None).await;
    inbox.refuses(&eve, NOW, "eve 0").await;
    inbox.gets(&bob, NOW, "bob 1", None).await;
    let carol = account(store, "carol", Some(session("D", 4))).await;
    inbox.refuses(&carol, NOW, "carol 1").await;
    inbox.gets(&alice, NOW, "own 1", None).await;
    inbox.gets(&alice, NOW, "own 2", None).await;
    inbox.refuses(&alice, NOW, "own 3").await;
    assert_eq!(inbox.waiting().await, 6);
    // What leaves unseen makes room for the one whose it was: a request with its cancellation.
    inbox.gets(&eve, NOW, "cancel 1", cancels("D", "1")).await;
    inbox.gets(&eve, NOW, "eve 4", None).await;
    inbox.refuses(&eve, NOW, "eve 5").await;
    let kept = ["eve 1", "eve 3", "bob 1", "own 1", "own 2", "eve 4"];
    assert_eq!(inbox.reads().await, kept);
    // What is acknowledged makes room.
    inbox.acknowledges_all().await;
    for (from, event) in [(&eve, "a"), (&eve, "b"), (&bob, "c"), (&carol, "d")] {
        inbox.gets(from, NOW, event, None).await;
    }
    inbox.refuses(&bob, NOW, "e").await;
    // Bytes count as messages do.
    inbox.acknowledges_all().await;
    let half = "x".repeat(200);
    inbox.gets(&eve, NOW, &half, None).await;
    inbox.refuses(&eve, NOW, &half).await;
    inbox.gets(&bob, NOW, &half, None).await;
    inbox.refuses(&carol, NOW, &half).await;
    inbox.gets(&alice, NOW, &half, None).await;
}

pub(crate) async fn a_copy_that_was_refused_comes_with_the_same_transaction(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let eve = account(store, "eve", Some(session("D", 2))).await;
    store.open_session(&alice, session("E", 3)).await.unwrap();
    let mut full = Inbox::new(store, &alice, "E");
    full.gets(&eve, NOW, "1", None).await;
    full.gets(&eve, NOW, "2", None).await;
    full.gets(&eve, NOW, "3", None).await;
    let send = async |number: u8| {
        let transaction = Transaction {
            device: DeviceId::new("D"),
            hash: [number; 32],
            at: NOW,
        };
        let message = Outgoing {
            user: alice.clone(),
            recipient: Recipient::Every,
            event: Bytes::from_static(b"all"),
            secret_request: None,
        };
        let sent = store.send(&eve, transaction, vec![message]).await.unwrap();
        (sent.copies, sent.refused)
    };
    assert_eq!(send(200).await, (2, 1));
    assert_eq!(send(200).await, (1, 1));
    let other = Inbox::new(store, &alice, "D");
    assert_eq!(other.reads().await, ["all"]);
    full.acknowledges_all().await;
    assert_eq!(send(200).await, (1, 0));
    assert_eq!(send(200).await, (0, 0));
    assert_eq!(full.reads().await, ["all"]);
    assert_eq!(other.reads().await, ["all"]);
}

//! Inboxes, as every store must keep them.

use bytes::Bytes;
use fourfold_server::store::{
    DeviceId, Outgoing, Position, Recipient, Store, Timestamp, Transaction, UserId,
};

use crate::{account, session};

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

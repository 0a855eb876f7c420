//! What is to be sent is sent once, in order, and the same way each time.

use std::collections::BTreeMap;

use super::*;
use crate::local_state::Table;
use crate::testing::{Reply, Server, once};

#[tokio::test]
async fn nothing_leaves_before_it_is_kept() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    let contents = BTreeMap::from([("OTHER".to_owned(), Content::default())]);
    device.enqueue("m.dummy", &contents).unwrap();
    device.send_waiting(&account).await.unwrap();
    assert!(server.received().is_empty());
    device.commit().unwrap();
    device.send_waiting(&account).await.unwrap();
    assert_eq!(server.received().len(), 1);
}

fn enqueue(device: &mut Device, value: &str) {
    let mut content = Content::default();
    content.insert("value", value);
    let contents = BTreeMap::from([("OTHER".to_owned(), content)]);
    device.enqueue("m.dummy", &contents).unwrap();
    device.rows.commit().unwrap();
}

// shows: AGT-11
#[tokio::test]
async fn a_retry_after_a_restart_sends_the_same_bytes() {
    let server = Server::scripted([
        Reply::Drop,
        Reply::json(500, "{}"),
        Reply::json(200, "{}"),
        Reply::json(200, "{}"),
    ])
    .await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    for value in ["one", "two"] {
        enqueue(&mut device, value);
    }
    device.send_waiting(&account).await.unwrap_err();
    drop(device);
    let mut device = Device::open(&mut machine.state, &key(1)).unwrap();
    device.send_waiting(&account).await.unwrap_err();
    device.send_waiting(&account).await.unwrap();
    assert!(device.rows.names(Table::Outbox, "").unwrap().is_empty());
    device.send_waiting(&account).await.unwrap();

    let received = server.received();
    assert_eq!(received.len(), 4);
    for retry in &received[1..3] {
        assert_eq!(retry.target, received[0].target);
        assert_eq!(retry.body, received[0].body);
    }
    assert_ne!(received[3].target, received[0].target);
    assert_eq!(
        received[0].body,
        r#"{"messages":{"@alice:example.org":{"OTHER":{"value":"one"}}}}"#
    );
    assert!(received[3].body.contains("two"));
}

#[tokio::test]
async fn what_is_refused_for_good_holds_nothing_up() {
    let server = Server::scripted([Reply::error(413, "M_TOO_LARGE"), Reply::json(200, "{}")]).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    for value in ["one", "two"] {
        enqueue(&mut device, value);
    }
    device.send_waiting(&account).await.unwrap();
    assert!(device.rows.names(Table::Outbox, "").unwrap().is_empty());
    assert!(server.received()[1].body.contains("two"));
}

#[tokio::test]
async fn a_full_inbox_holds_nothing_up_and_a_full_disk_does() {
    let server = Server::scripted([
        Reply::error(507, "M_RESOURCE_LIMIT_EXCEEDED"),
        Reply::error(507, "M_UNKNOWN"),
    ])
    .await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    for value in ["one", "two"] {
        enqueue(&mut device, value);
    }
    device.send_waiting(&account).await.unwrap_err();
    assert_eq!(device.rows.names(Table::Outbox, "").unwrap().len(), 1);
    assert!(server.received()[1].body.contains("two"));
}

#[tokio::test]
async fn the_order_is_that_of_the_queue() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    for number in 0..12 {
        enqueue(&mut device, &number.to_string());
    }
    device.send_waiting(&account).await.unwrap();
    for (number, request) in server.received().iter().enumerate() {
        assert!(request.body.contains(&format!(r#""value":"{number}""#)));
    }
}

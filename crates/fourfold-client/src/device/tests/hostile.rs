//! Answers, requests and servers that are not what they should be, each wrong by itself.

use std::collections::BTreeMap;

use fourfold::identity::TombstoneReason;
use fourfold::sharing::{Outcome, Recipients, RequestId};
use serde_json::json;

use super::household::{Household, token};
use super::*;
use crate::device::wedged::claim;
use crate::local_state::Table;
use crate::testing::{Reply, Server, once};

/// TWO asked ONE, and ONE has not answered yet.
async fn asked() -> (Household, RequestId) {
    let mut household = Household::new(&["ONE", "TWO", "THREE"]).await;
    household.give("ONE", &token(), "s3cret");
    let two = household.device("TWO");
    let recipients = Recipients::Devices(vec!["ONE".to_owned()]);
    let id = two.request_secret(token(), recipients).unwrap();
    household.flush("TWO").await.unwrap();
    (household, id)
}

/// An answer of a device, honest or not, sent over Olm.
async fn answer(household: &mut Household, from: &str, id: &RequestId, secret: &str) {
    let account = household.fake.account(from);
    let to = peer(household.device("TWO"));
    let device = household.device(from);
    if !device.has_session(&to).unwrap() {
        let to = std::slice::from_ref(&to);
        let claimed = claim(&account, to).await.unwrap();
        device.begin_outbound_with(to, &claimed).unwrap();
    }
    let content = json!({"request_id": id.as_str(), "secret": secret}).to_string();
    let content = RawValue::from_string(content).unwrap();
    let event = device.encrypt(&to, "m.secret.send", &content).unwrap();
    let contents = BTreeMap::from([("TWO".to_owned(), event.unwrap())]);
    device.enqueue("m.room.encrypted", &contents).unwrap();
    device.commit().unwrap();
    device.send_waiting(&account).await.unwrap();
}

/// What TWO has now, and whether the honest answer still comes through.
async fn dropped_and_still_open(mut household: Household) {
    household.sync("TWO").await.unwrap();
    assert!(household.received("TWO").is_empty());
    household.settle().await;
    let received = household.received("TWO");
    assert_eq!(received, [("org.example.token".into(), "s3cret".into())]);
}

#[tokio::test]
async fn an_answer_of_a_device_that_nobody_signed_is_dropped() {
    let (mut household, id) = asked().await;
    household.add("FOUR").await;
    household.sync("TWO").await.unwrap();
    answer(&mut household, "FOUR", &id, "forged").await;
    dropped_and_still_open(household).await;
}

#[tokio::test]
async fn an_answer_of_a_device_that_was_not_asked_is_dropped() {
    let (mut household, id) = asked().await;
    answer(&mut household, "THREE", &id, "forged").await;
    dropped_and_still_open(household).await;
}

#[tokio::test]
async fn an_answer_to_another_request_is_dropped() {
    let (mut household, _) = asked().await;
    let other = RequestId::new("another").unwrap();
    answer(&mut household, "ONE", &other, "forged").await;
    dropped_and_still_open(household).await;
}

#[tokio::test]
async fn a_device_that_is_blocked_meanwhile_is_not_heard() {
    let (mut household, id) = asked().await;
    answer(&mut household, "ONE", &id, "late").await;
    let two = household.device("TWO");
    two.distrust("ONE", TombstoneReason::Blocked).unwrap();
    household.settle().await;
    assert!(household.received("TWO").is_empty());
}

#[tokio::test]
async fn a_second_answer_with_another_value_changes_nothing() {
    let (mut household, id) = asked().await;
    answer(&mut household, "ONE", &id, "first").await;
    answer(&mut household, "ONE", &id, "second").await;
    household.sync("TWO").await.unwrap();
    let received = household.received("TWO");
    assert_eq!(received, [("org.example.token".into(), "first".into())]);
}

#[tokio::test]
async fn an_answer_while_locked_is_taken_after_that() {
    let (mut household, id) = asked().await;
    household.device("TWO").lock_sharing().unwrap();
    answer(&mut household, "ONE", &id, "s3cret").await;
    let other = RequestId::new("another").unwrap();
    answer(&mut household, "ONE", &other, "of no use").await;
    household.sync("TWO").await.unwrap();
    household.flush("TWO").await.unwrap();
    assert!(household.received("TWO").is_empty());
    household.restart("TWO");
    household.flush("TWO").await.unwrap();
    assert!(household.received("TWO").is_empty());
    household.device("TWO").unlock_sharing().unwrap();
    household.flush("TWO").await.unwrap();
    let received = household.received("TWO");
    assert_eq!(received, [("org.example.token".into(), "s3cret".into())]);
    let two = household.device("TWO");
    assert!(two.rows.names(Table::Held, "").unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_while_locked_is_checked_by_what_holds_after_that() {
    let hours = std::time::Duration::from_secs(60 * 60);
    for is_blocked in [true, false] {
        let (mut household, id) = asked().await;
        household.device("TWO").lock_sharing().unwrap();
        answer(&mut household, "ONE", &id, "s3cret").await;
        household.sync("TWO").await.unwrap();
        if is_blocked {
            let two = household.device("TWO");
            two.distrust("ONE", TombstoneReason::Blocked).unwrap();
        } else {
            // The request is over by then.
            household.advance(hours);
        }
        household.device("TWO").unlock_sharing().unwrap();
        household.flush("TWO").await.unwrap();
        assert!(household.received("TWO").is_empty());
        let two = household.device("TWO");
        assert!(two.rows.names(Table::Held, "").unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_is_kept_while_locked_is_bounded() {
    let (mut household, id) = asked().await;
    household.device("TWO").lock_sharing().unwrap();
    for number in 0..70 {
        answer(&mut household, "ONE", &id, &format!("s3cret {number}")).await;
    }
    household.sync("TWO").await.unwrap();
    let two = household.device("TWO");
    assert_eq!(two.rows.names(Table::Held, "").unwrap().len(), 64);
    two.unlock_sharing().unwrap();
    household.flush("TWO").await.unwrap();
    // The first one counts, as ever.
    let received = household.received("TWO");
    assert_eq!(received, [("org.example.token".into(), "s3cret 0".into())]);
}

// shows: SHR-06
#[tokio::test]
async fn a_value_that_differs_from_the_one_held_is_kept_apart() {
    let (mut household, _) = asked().await;
    household
        .held
        .get_mut("TWO")
        .unwrap()
        .insert(token(), fourfold::Secret::new("another"));
    household.settle().await;
    let received = household.device("TWO").received_secrets().unwrap();
    assert_eq!(received.len(), 1);
    assert!(received[0].is_conflict);
    assert!(!format!("{received:?}").contains("s3cret"));
}

#[tokio::test]
async fn without_a_list_of_devices_nothing_is_shared() {
    let (mut household, _) = asked().await;
    household.fake.with(|world| {
        world.is_query_broken = true;
        world.changed();
    });
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    let sent = household.fake.with(|world| world.delivered.len());
    assert_eq!(sent, 1, "only the request");
    household.fake.with(|world| {
        world.is_query_broken = false;
        world.changed();
    });
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1);
}

// shows: SHR-11
#[tokio::test]
async fn while_the_list_of_devices_does_not_come_nothing_is_shared() {
    let (mut household, _) = asked().await;
    household.fake.with(|world| {
        world.is_query_silent = true;
        world.changed();
    });
    let mut impatient = once();
    impatient.read_timeout = std::time::Duration::from_millis(50);
    for _ in 0..2 {
        let error = household.sync_with("ONE", &impatient).await.unwrap_err();
        assert!(matches!(error, DeviceError::Server(_)), "{error}");
        household.flush("ONE").await.unwrap();
    }
    let sent = household.fake.with(|world| world.delivered.len());
    assert_eq!(sent, 1, "only the request");
    household.fake.with(|world| world.is_query_silent = false);
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1);
}

#[tokio::test]
async fn a_device_with_a_forged_one_time_key_gets_nothing() {
    let (mut household, _) = asked().await;
    household
        .fake
        .with(|world| world.forge_one_time_keys("TWO"));
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    let sent = household.fake.with(|world| world.delivered.len());
    assert_eq!(sent, 1, "only the request");
}

// shows: SHR-21
#[tokio::test]
async fn a_session_that_does_not_work_is_replaced_once_an_hour() {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    household.give("ONE", &token(), "s3cret");
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified).unwrap();
    household.settle().await;
    let dummies = |household: &Household| {
        let log = household.fake.with(|world| world.log.clone());
        let claims = log
            .iter()
            .filter(|(device, path)| device == "TWO" && path == "keys/claim");
        claims.count()
    };
    assert_eq!(dummies(&household), 0);
    // TWO loses its sessions.
    let two = household.device("TWO");
    for name in two.rows.names(Table::Session, "").unwrap() {
        two.rows.delete(Table::Session, &name);
    }
    two.commit().unwrap();
    for _ in 0..3 {
        // ONE sends in a session that TWO does not have.
        let id = RequestId::new("x").unwrap();
        answer_on_normal_session(&mut household, &id).await;
        household.sync("TWO").await.unwrap();
        assert_eq!(dummies(&household), 1);
    }
    // The new session is the one that ONE uses from now on.
    household.settle().await;
    let two = household.device("TWO");
    two.discard_received(&two.received_secrets().unwrap()[0].id)
        .unwrap();
    two.request_secret(token(), Recipients::Verified).unwrap();
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1);
}

/// ONE sends something that TWO cannot decrypt.
async fn answer_on_normal_session(household: &mut Household, id: &RequestId) {
    let to = peer(household.device("TWO"));
    let one = household.device("ONE");
    let content = RawValue::from_string(json!({"request_id": id.as_str()}).to_string()).unwrap();
    let event = one
        .encrypt(&to, "m.secret.send", &content)
        .unwrap()
        .unwrap();
    one.commit().unwrap();
    // As of a session that never was: the receiver has none of this ratchet.
    let mut value: serde_json::Value = serde_json::from_str(&event.to_json()).unwrap();
    let message = value["ciphertext"][to.name()].clone();
    let parsed: vodozemac::olm::OlmMessage = serde_json::from_value(message).unwrap();
    let inner = match parsed {
        vodozemac::olm::OlmMessage::Normal(inner) => inner,
        vodozemac::olm::OlmMessage::PreKey(outer) => outer.message().clone(),
    };
    let normal = vodozemac::olm::OlmMessage::Normal(inner);
    value["ciphertext"][to.name()] = serde_json::to_value(&normal).unwrap();
    household
        .fake
        .with(|world| world.deliver("TWO", "m.room.encrypted", USER, &value));
}

#[tokio::test]
async fn a_request_that_is_given_up_is_over() {
    let (mut household, id) = asked().await;
    household.device("TWO").abort_request(id.clone()).unwrap();
    answer(&mut household, "ONE", &id, "late").await;
    household.settle().await;
    assert!(household.received("TWO").is_empty());
    let ended = household.told["TWO"].iter().any(|event| {
        matches!(
            event,
            DeviceEvent::Ended {
                outcome: Outcome::Aborted,
                ..
            }
        )
    });
    assert!(ended);
}

// shows: AGT-13
#[tokio::test]
async fn an_older_copy_is_noticed_and_works_again() {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    household.give("ONE", &token(), "s3cret");
    let copy = household.copy("TWO");
    // Devices begin sessions with TWO until it uploads new keys.
    household.fake.with(|world| world.use_up("TWO", 30));
    household.settle().await;
    household.put_back("TWO", &copy);
    household.settle().await;
    // The keys whose private halves are there are used up first, and then new ones do not fit in.
    household.fake.with(|world| world.use_up("TWO", 30));
    household.settle().await;
    let restored = household.told["TWO"]
        .iter()
        .filter(|event| matches!(event, DeviceEvent::Restored))
        .count();
    assert_eq!(restored, 1);
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified).unwrap();
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1);
    household.assert_no_message_key_was_used_twice();
}

// shows: AGT-15
#[tokio::test]
async fn staying_in_sync_ends_when_the_session_does() {
    let mut rounds = 0;
    let server = Server::start(move |request| {
        if !request.target.contains("/sync") {
            return Reply::error(404, "M_UNRECOGNIZED");
        }
        rounds += 1;
        match rounds {
            1 => Reply::json(
                200,
                json!({"next_batch": "1", "to_device": {"events": [
                    {}, 7, null, {"type": "m.x"}, {"type": 7, "sender": [], "content": {}},
                    {"type": "m.room.encrypted", "sender": USER, "content": 7},
                    {"type": "m.secret.request", "sender": USER, "content": {}},
                    {"type": "m.key.verification.request", "sender": USER, "content": {}},
                ]}})
                .to_string(),
            ),
            // Cut off, and then the end.
            2 => Reply::json(200, r#"{"next_batch": "2", "to_dev"#),
            _ => Reply::error(401, "M_UNKNOWN_TOKEN"),
        }
    })
    .await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    let mut secrets = NoSecrets::new();
    let error = device.run(&account, &mut secrets, |_| {}).await;
    assert!(matches!(error, DeviceError::Server(error) if error.is_logged_out()));
    let syncs: Vec<_> = server
        .received()
        .iter()
        .filter(|request| request.target.contains("/sync"))
        .map(|request| request.target.contains("since=1"))
        .collect();
    // What was cut off is asked for again.
    assert_eq!(syncs, [false, true, true]);
}

#[test]
fn a_device_can_be_used_by_any_thread() {
    fn is_send<T: Send>(_: &T) {}
    let mut machine = Machine::new("https://h");
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    let homeserver = crate::Homeserver::new("http://localhost:1", &crate::Options::default());
    let account = homeserver
        .unwrap()
        .account(session("http://localhost:1"))
        .unwrap();
    let mut secrets = NoSecrets::new();
    is_send(&device.sync_once(&account, std::time::Duration::ZERO, &mut secrets));
    is_send(&device.flush(&account, &mut secrets));
    is_send(&device.run(&account, &mut secrets, |_| {}));
    is_send(&device.refresh(&account));
}

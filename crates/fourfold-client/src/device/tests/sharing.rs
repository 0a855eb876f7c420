//! Two devices of a user share a secret, whatever ends the programs at whatever moment.

use std::time::Duration;

use fourfold::sharing::{AuditDecision, Origin, Outcome, Recipients};

use super::homeserver::Failure;
use super::household::{Household, request, token};
use super::*;

async fn pair() -> Household {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    household.give("ONE", &token(), "s3cret");
    household
}

#[tokio::test]
async fn a_secret_goes_from_one_device_to_the_other() {
    let mut household = pair().await;
    let two = household.device("TWO");
    let request_id = two.request_secret(token(), Recipients::Verified).unwrap();
    household.settle().await;

    let received = household.received("TWO");
    assert_eq!(received, [("org.example.token".into(), "s3cret".into())]);
    assert!(household.told["TWO"].iter().any(|event| matches!(
        event,
        DeviceEvent::Ended { request_id: ended, outcome: Outcome::Received, .. }
            if *ended == request_id
    )));
    let shared = |event: &&DeviceEvent| matches!(event, DeviceEvent::Audit(audit) if audit.decision == AuditDecision::Shared);
    assert_eq!(household.told["ONE"].iter().filter(shared).count(), 1);
    // It is kept until it is taken.
    household.restart("TWO");
    assert_eq!(household.received("TWO").len(), 1);
    let id = household.device("TWO").received_secrets().unwrap()[0]
        .id
        .clone();
    household.device("TWO").discard_received(&id).unwrap();
    household.restart("TWO");
    assert_eq!(household.received("TWO").len(), 0);
    household.assert_no_message_key_was_used_twice();
    // Not a byte of it crossed the network in the clear.
    let delivered = household.fake.with(|world| world.delivered.clone());
    assert!(!format!("{delivered:?}").contains("s3cret"));
}

#[tokio::test]
async fn what_is_held_already_is_told_and_not_kept_twice() {
    let mut household = pair().await;
    household.give("TWO", &token(), "s3cret");
    let two = household.device("TWO");
    let asked = two.request_secret(token(), Recipients::Verified).unwrap();
    household.settle().await;
    assert_eq!(household.received("TWO"), []);
    let mut told = household.told["TWO"].iter();
    let is_told = told.any(|event| {
        matches!(
            event,
            DeviceEvent::ReceivedSame { origin: Origin::Requested(id), from, secret, .. }
                if *id == asked && from.device_id == "ONE" && secret.expose_secret() == "s3cret"
        )
    });
    assert!(is_told);
    assert!(!format!("{:?}", household.told["TWO"]).contains("s3cret"));
}

/// The whole story, with one request that fails. How many requests it took.
async fn story(mut household: Household, fail: Option<Failure>) -> usize {
    let before = household.fake.with(|world| world.requests);
    household.fake.with(|world| {
        world.fail = fail.map(|fail| Failure {
            at: before + fail.at,
            ..fail
        });
    });
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified).unwrap();
    let kill = household.fake.kill();
    let mut rounds_after = 0;
    while rounds_after < 2 {
        for id in ["TWO", "ONE"] {
            let was_killed = tokio::select! {
                biased;
                () = kill.notified() => true,
                // An error is tried again in the next round.
                _ = async {
                    let _ = household.flush(id).await;
                    household.sync(id).await
                } => false,
            };
            if was_killed {
                household.restart(id);
            }
        }
        household.advance(Duration::from_secs(40));
        let has_come = !household.received("TWO").is_empty();
        rounds_after += usize::from(has_come);
        let requests = household.fake.with(|world| world.requests) - before;
        assert!(requests < 200, "{fail:?}: it never comes");
    }
    let received = household.received("TWO");
    assert_eq!(
        received,
        [("org.example.token".to_owned(), "s3cret".to_owned())],
        "{fail:?}"
    );
    let audited = |id: &str, wanted: AuditDecision| {
        let told = household.told.get(id).into_iter().flatten();
        told.filter(|event| matches!(event, DeviceEvent::Audit(audit) if audit.decision == wanted))
            .count()
    };
    assert!(audited("ONE", AuditDecision::Shared) >= 1, "{fail:?}");
    assert!(audited("TWO", AuditDecision::Received) >= 1, "{fail:?}");
    household.assert_no_message_key_was_used_twice();
    // What was sent again was the same, so that the server passed it on once.
    let delivered = household.fake.with(|world| world.delivered.clone());
    let to = |id: &str| delivered.iter().filter(|(_, to, _)| to == id).count();
    assert_eq!((to("ONE"), to("TWO")), (1, 1), "{fail:?}");
    household.fake.with(|world| world.requests) - before
}

// shows: AGT-11
#[tokio::test]
async fn whichever_request_fails_the_secret_comes_once_and_no_key_is_used_twice() {
    let household = pair().await;
    let requests = story(household.copied().await, None).await;
    assert!(requests > 8, "{requests}");
    for at in 1..=requests {
        for after in [false, true] {
            for kills in [false, true] {
                let fail = Failure { at, after, kills };
                story(household.copied().await, Some(fail)).await;
            }
        }
    }
}

// shows: SHR-16
#[tokio::test]
async fn nothing_of_other_users_costs_anything() {
    let mut household = pair().await;
    household.sync("ONE").await.unwrap();
    household.fake.with(|world| {
        world.log.clear();
        for number in 0..300 {
            let sender = format!("@mallory{number}:example.org");
            let content = request("org.example.token", &number.to_string(), "TWO");
            world.deliver("ONE", "m.secret.request", &sender, &content);
            let content = serde_json::json!({
                "algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": "x", "ciphertext": {},
            });
            world.deliver("ONE", "m.room.encrypted", &sender, &content);
        }
    });
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    let log = household.fake.with(|world| world.log.clone());
    assert_eq!(log, [("ONE".to_owned(), "sync".to_owned())]);
}

// shows: SHR-09, SHR-18
#[tokio::test]
async fn a_device_that_is_not_signed_gets_nothing_and_is_not_told_apart() {
    let mut household = pair().await;
    household.add("THREE").await;
    household.settle().await;
    household.fake.with(|world| {
        world.log.clear();
        let content = request("org.example.token", "1", "THREE");
        world.deliver("ONE", "m.secret.request", USER, &content);
        let content = request("org.example.unknown", "2", "TWO");
        world.deliver("ONE", "m.secret.request", USER, &content);
    });
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    let log = household.fake.with(|world| world.log.clone());
    assert_eq!(log, [("ONE".to_owned(), "sync".to_owned())]);
}

#[tokio::test]
async fn a_replayed_request_is_answered_once() {
    let mut household = pair().await;
    for _ in 0..3 {
        household.fake.with(|world| {
            let content = request("org.example.token", "1", "TWO");
            world.deliver("ONE", "m.secret.request", USER, &content);
        });
        household.sync("ONE").await.unwrap();
    }
    let answers = household.fake.with(|world| world.delivered.len());
    assert_eq!(answers, 1);
}

// shows: SHR-01
#[tokio::test]
async fn a_secret_in_the_clear_or_by_megolm_is_not_taken() {
    let mut household = pair().await;
    let two = household.device("TWO");
    let id = two.request_secret(token(), Recipients::Verified).unwrap();
    household.flush("TWO").await.unwrap();
    household.fake.with(|world| {
        let content = serde_json::json!({"request_id": id.as_str(), "secret": "forged"});
        world.deliver("TWO", "m.secret.send", USER, &content);
        let megolm = serde_json::json!({
            "algorithm": "m.megolm.v1.aes-sha2", "sender_key": "x", "ciphertext": "AwgA",
            "session_id": "x", "device_id": "ONE",
        });
        world.deliver("TWO", "m.room.encrypted", USER, &megolm);
    });
    household.sync("TWO").await.unwrap();
    assert!(household.received("TWO").is_empty());
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1, "the request stays open");
}

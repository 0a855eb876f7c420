//! A future that is dropped while the server does not answer, and an answer of the server that fails
//! in the middle.

use std::future::Future;
use std::pin::pin;

use fourfold::identity::TrustChange;
use fourfold::sharing::Recipients;
use serde_json::json;

use super::homeserver::Failure;
use super::household::{Household, request, token};
use super::*;

async fn pair() -> Household {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    household.give("ONE", &token(), "s3cret");
    household
}

/// Lets the server be silent at the first request for this path from now on, and drops the future
/// then.
async fn drop_at(household: &mut Household, path: &str, of: &str, call: Call) {
    household
        .fake
        .with(|world| world.silent_at = Some(path.to_owned()));
    let silence = household.fake.kill();
    {
        let called = async {
            match call {
                Call::Flush => household.flush(of).await,
                Call::Sync => household.sync(of).await,
            }
        };
        until(called, silence.notified()).await;
    }
    household.fake.with(|world| world.silent_at = None);
}

#[derive(Clone, Copy)]
enum Call {
    Flush,
    Sync,
}

/// Polls a future until something happens, which it does not survive.
pub(super) async fn until<T: std::fmt::Debug>(
    future: impl Future<Output = T>,
    event: impl Future<Output = ()>,
) {
    let (future, event) = (pin!(future), pin!(event));
    tokio::select! {
        biased;
        () = event => {}
        ended = future => panic!("the server was never asked: {ended:?}"),
    }
}

/// The answer lies in the inbox of TWO.
pub(super) async fn answered() -> Household {
    let mut household = pair().await;
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified).unwrap();
    household.flush("TWO").await.unwrap();
    household.sync("ONE").await.unwrap();
    household
}

fn came(household: &mut Household) -> Vec<String> {
    let received = household.received("TWO");
    received.into_iter().map(|(_, secret)| secret).collect()
}

#[tokio::test]
async fn an_answer_outlives_the_future_that_took_it_in() {
    let mut household = answered().await;
    drop_at(&mut household, "room_keys/version", "TWO", Call::Sync).await;
    // Whatever keeps something next keeps nothing of it by accident.
    household.flush("TWO").await.unwrap();
    assert!(came(&mut household).is_empty());
    household.sync("TWO").await.unwrap();
    assert_eq!(came(&mut household), ["s3cret"]);
}

#[tokio::test]
async fn an_answer_that_was_held_outlives_the_future_that_looks_at_it() {
    let mut household = answered().await;
    household.device("TWO").lock_sharing().unwrap();
    household.sync("TWO").await.unwrap();
    household.device("TWO").unlock_sharing().unwrap();
    drop_at(&mut household, "room_keys/version", "TWO", Call::Flush).await;
    household.device("TWO").set_shareable(Vec::new()).unwrap();
    household.sync("TWO").await.unwrap();
    household.flush("TWO").await.unwrap();
    assert_eq!(came(&mut household), ["s3cret"]);
}

#[tokio::test]
async fn a_share_outlives_the_future_that_was_to_share_it() {
    let mut household = pair().await;
    let content = request(token().as_str(), "1", "TWO");
    household
        .fake
        .with(|world| world.deliver("ONE", "m.secret.request", USER, &content));
    drop_at(&mut household, "keys/claim", "ONE", Call::Sync).await;
    household.flush("ONE").await.unwrap();
    let delivered = household.fake.with(|world| world.delivered.clone());
    assert_eq!(delivered.iter().filter(|(_, to, _)| to == "TWO").count(), 1);
}

/// What could not be taken back when the future was dropped is taken back before anything is kept.
#[tokio::test]
async fn nothing_is_kept_before_the_device_could_go_back() {
    let mut household = answered().await;
    let file = household.file("TWO");
    let trust = "SELECT blob FROM sealed WHERE kind = 'trust'";
    let database = rusqlite::Connection::open(file).unwrap();
    let whole: Vec<u8> = database.query_row(trust, [], |row| row.get(0)).unwrap();
    let put = |blob: &[u8]| {
        let put = "UPDATE sealed SET blob = ?1 WHERE kind = 'trust'";
        database.execute(put, [blob]).unwrap();
    };
    put(b"damaged");
    drop_at(&mut household, "room_keys/version", "TWO", Call::Sync).await;
    let two = household.device("TWO");
    assert!(matches!(
        two.set_shareable(vec![token()]),
        Err(DeviceError::Damaged)
    ));
    assert!(matches!(
        two.set_shareable(vec![token()]),
        Err(DeviceError::Damaged)
    ));
    put(&whole);
    assert!(two.set_shareable(vec![token()]).is_err());
    two.set_shareable(vec![token()]).unwrap();
    household.sync("TWO").await.unwrap();
    assert_eq!(came(&mut household), ["s3cret"]);
}

/// A change that fails in the middle is taken back as one whose commit fails.
#[tokio::test]
async fn nothing_is_left_of_a_change_that_fails_in_the_middle() {
    let mut household = pair().await;
    let database = rusqlite::Connection::open(household.file("TWO")).unwrap();
    let rename = |from, to| {
        let rename = format!("ALTER TABLE {from} RENAME TO {to}");
        database.execute_batch(&rename).unwrap();
    };
    rename("sealed", "gone");
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified)
        .unwrap_err();
    rename("gone", "sealed");
    // It goes back before anything is kept.
    two.set_shareable(Vec::new()).unwrap_err();
    two.set_shareable(Vec::new()).unwrap();
    assert_eq!(two.open_request(&token()), None);
    household.restart("TWO");
    assert_eq!(household.device("TWO").open_request(&token()), None);
}

/// A server cannot keep quiet about a device by failing afterwards.
#[tokio::test]
async fn a_new_device_is_told_although_the_rest_fails() {
    let mut household = answered().await;
    household.add("THREE").await;
    let at = household.fake.with(|world| {
        world.deliver(
            "TWO",
            "m.secret.send",
            USER,
            &json!({"request_id": "1", "secret": "x"}),
        );
        world.log.clear();
        world.requests
    });
    let fail = |at| {
        Some(Failure {
            at,
            after: false,
            kills: false,
        })
    };
    // The sync, the query, who is logged in, and the version of the backup.
    household.fake.with(|world| world.fail = fail(at + 4));
    household.sync("TWO").await.unwrap_err();
    let log = household.fake.with(|world| world.log.clone());
    assert_eq!(log.last().unwrap().1, "room_keys/version");
    household.sync("TWO").await.unwrap();
    let told = household.told["TWO"].iter().filter(|event| {
        matches!(event, DeviceEvent::Trust(TrustChange::Appeared { device_id, .. }) if device_id == "THREE")
    });
    assert_eq!(told.count(), 1);
    assert_eq!(came(&mut household), ["s3cret"]);
}

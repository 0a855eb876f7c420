//! The list of devices: when it is queried, and that nothing is shared before it is.

use std::time::Duration;

use super::{
    household::{Household, request, token},
    *,
};

/// ONE shares a secret with every verified device, and TWO is one.
async fn household() -> Household {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    household.give("ONE", &token(), "s3cret");
    household.settle().await;
    household.fake.with(|world| world.log.clear());
    household
}

/// TWO asks ONE.
fn ask(household: &Household, id: &str) {
    household.fake.with(|world| {
        let content = request(token().as_str(), id, "TWO");
        world.deliver("ONE", "m.secret.request", USER, &content);
    });
}

/// What ONE asked the server for since the log was cleared, in order.
fn requests(household: &Household) -> Vec<String> {
    let log = household.fake.with(|world| world.log.clone());
    let of_one = log.into_iter().filter(|(device, _)| device == "ONE");
    of_one
        .map(|(_, path)| path.split('/').take(2).collect::<Vec<_>>().join("/"))
        .collect()
}

/// The secrets that left ONE.
fn shared(household: &Household) -> usize {
    let delivered = household.fake.with(|world| world.delivered.clone());
    delivered.iter().filter(|(_, to, _)| to == "TWO").count()
}

#[tokio::test]
async fn every_run_queries_once() {
    let mut household = household().await;
    for _ in 0..3 {
        household.sync("ONE").await.unwrap();
    }
    assert_eq!(requests(&household), ["sync", "sync", "sync"]);
    for _ in 0..2 {
        household.fake.with(|world| world.log.clear());
        household.restart("ONE");
        for _ in 0..3 {
            household.sync("ONE").await.unwrap();
        }
        assert_eq!(requests(&household), ["sync", "keys/query", "sync", "sync"]);
    }
}

#[tokio::test]
async fn a_change_that_could_not_be_queried_is_queried_after_a_restart() {
    let mut household = household().await;
    household.fake.with(|world| {
        world.is_query_broken = true;
        world.changed();
    });
    household.sync("ONE").await.unwrap();
    // What the server told once, it does not tell again.
    household.restart("ONE");
    ask(&household, "1");
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 0);
    household.fake.with(|world| {
        world.is_query_broken = false;
        world.log.clear();
    });
    household.restart("ONE");
    household.sync("ONE").await.unwrap();
    assert_eq!(requests(&household)[..2], ["sync", "keys/query"]);
    household.settle().await;
    assert_eq!(shared(&household), 1);
}

// shows: SHR-11, SHR-12
#[tokio::test]
async fn a_device_that_goes_while_the_program_is_ended_gets_nothing() {
    let mut household = household().await;
    ask(&household, "1");
    household.fake.with(|world| {
        world.device_keys.remove("TWO");
        world.changed();
    });
    household.restart("ONE");
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 0);
}

#[tokio::test]
async fn a_server_that_does_not_tell_a_change_is_asked_all_the_same() {
    let mut household = household().await;
    ask(&household, "1");
    // Without `changed`: neither `device_lists` nor `/keys/changes` would say so.
    household.fake.with(|world| world.device_keys.remove("TWO"));
    household.restart("ONE");
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 0);
}

// shows: SHR-11
#[tokio::test]
async fn after_a_silence_of_the_server_nothing_is_shared_before_it_is_asked() {
    let mut household = household().await;
    household.sync("ONE").await.unwrap();
    household.advance(Duration::from_secs(89));
    household.device("ONE").push_secret(token()).unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 1, "a long poll may take that long");

    household.sync("ONE").await.unwrap();
    household.advance(Duration::from_secs(91));
    household.device("ONE").push_secret(token()).unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 1, "nobody knows what happened since");
    household.fake.with(|world| world.log.clear());
    household.sync("ONE").await.unwrap();
    assert_eq!(requests(&household)[..2], ["sync", "keys/query"]);
    household.settle().await;
    assert_eq!(shared(&household), 2);
}

#[tokio::test]
async fn a_device_that_goes_while_the_server_is_silent_gets_nothing() {
    let mut household = household().await;
    household.sync("ONE").await.unwrap();
    household.fake.with(|world| {
        world.device_keys.remove("TWO");
        world.changed();
    });
    household.advance(Duration::from_secs(91));
    household.device("ONE").push_secret(token()).unwrap();
    household.flush("ONE").await.unwrap();
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 0);
}

#[tokio::test]
async fn an_answer_that_lay_about_confirms_nothing() {
    let mut household = household().await;
    let account = household.fake.account("ONE");
    let one = household.device("ONE");
    let batch = one.wait(&account, Duration::ZERO).unwrap().await.unwrap();
    household.advance(Duration::from_secs(91));
    let one = household.device("ONE");
    let mut held = household::Held::from([(token(), fourfold::Secret::new("s3cret"))]);
    one.take(&account, batch, &mut held).await.unwrap();
    one.push_secret(token()).unwrap();
    one.flush(&account, &mut held).await.unwrap();
    assert_eq!(shared(&household), 0);
}

//! The list of devices: when it is queried, and that nothing is shared before it is.

use std::time::Duration;

use fourfold::identity::{DeviceTrust, TrustChange};
use serde_json::json;

use super::household::{Household, request, token, value};
use super::*;

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
        let expected = ["sync", "keys/query", "devices", "sync", "sync"];
        assert_eq!(requests(&household), expected);
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

// shows: SHR-11
#[tokio::test]
async fn a_device_that_is_not_logged_in_gets_nothing() {
    let mut household = household().await;
    household.fake.with(|world| {
        world.logged_out.insert("TWO".to_owned());
        world.changed();
    });
    ask(&household, "1");
    household.settle().await;
    assert_eq!(shared(&household), 0);
    let verdict = household.device("ONE").trust().verdict("TWO");
    assert_eq!(verdict, DeviceTrust::NotLoggedIn);
    let error = household.device("ONE").verify(Some(&["TWO"])).unwrap_err();
    assert!(matches!(error, DeviceError::NoUseToVerify(_)), "{error}");
    assert!(household.device("ONE").verify(None).is_err());
}

#[tokio::test]
async fn a_server_that_does_not_say_who_is_logged_in_is_asked_again_after_growing_pauses() {
    let mut household = household().await;
    household.fake.with(|world| {
        world.devices_answer = Some((500, json!({})));
        world.changed();
    });
    household.add("THREE").await;
    household.sign("THREE");
    household.sync("ONE").await.unwrap();
    household.device("ONE").push_secret(token()).unwrap();
    household.flush("ONE").await.unwrap();
    assert_eq!(shared(&household), 1, "what worked goes on");
    let to_three = |household: &Household| {
        let delivered = household.fake.with(|world| world.delivered.clone());
        delivered.iter().any(|(_, to, _)| to == "THREE")
    };
    assert!(!to_three(&household));
    let told = household.told["ONE"].iter();
    let told = told.filter(|one| matches!(one, DeviceEvent::Trust(TrustChange::LogInsUnknown)));
    assert_eq!(told.count(), 1);
    // A minute, two, four …
    for pause in [60, 120, 240] {
        household.fake.with(|world| world.log.clear());
        household.advance(Duration::from_secs(pause - 1));
        household.sync("ONE").await.unwrap();
        assert!(!requests(&household).contains(&"devices".to_owned()));
        household.advance(Duration::from_secs(1));
        household.sync("ONE").await.unwrap();
        household.sync("ONE").await.unwrap();
        let asked = requests(&household);
        let asked = asked.iter().filter(|path| *path == "devices");
        assert_eq!(asked.count(), 1);
    }
    household.fake.with(|world| {
        world.devices_answer = None;
        let content = request(token().as_str(), "1", "THREE");
        world.deliver("ONE", "m.secret.request", USER, &content);
    });
    household.advance(Duration::from_secs(480));
    household.settle().await;
    assert!(to_three(&household), "it asked, and waited");
}

#[tokio::test]
async fn a_session_that_ends_while_the_devices_are_asked_for_is_over() {
    let mut household = household().await;
    household.fake.with(|world| {
        let answer = json!({"errcode": "M_UNKNOWN_TOKEN", "error": "gone"});
        world.devices_answer = Some((401, answer));
        world.changed();
    });
    let error = household.sync("ONE").await.unwrap_err();
    let DeviceError::Server(error) = error else {
        panic!("{error}");
    };
    assert!(error.is_logged_out());
}

// Anyone who holds none of these keys claims the one of the device that answers.
#[tokio::test]
async fn a_device_that_claims_the_key_of_another_one_does_not_deafen_it() {
    let mut household = household().await;
    household.add("ROGUE").await;
    let stolen = household.device("TWO").curve25519().to_owned();
    let mut keys = household.device("ROGUE").device_keys().clone();
    let mut inner = keys.object("keys").unwrap().unwrap();
    inner.insert("curve25519:ROGUE", &stolen);
    keys.insert("keys", &inner);
    keys.remove("signatures");
    forge_by(household.device("ROGUE"), &mut keys);
    household.fake.with(|world| {
        world.device_keys.insert("ROGUE".to_owned(), value(&keys));
        world.changed();
    });
    let wanted = fourfold::SecretName::new("org.example.wanted").unwrap();
    household.give("TWO", &wanted, "of TWO");
    household.sync("ONE").await.unwrap();
    let recipients = fourfold::sharing::Recipients::Verified;
    household
        .device("ONE")
        .request_secret(wanted, recipients)
        .unwrap();
    household.settle().await;
    let received = household.received("ONE");
    assert_eq!(
        received,
        [("org.example.wanted".to_owned(), "of TWO".to_owned())]
    );
}

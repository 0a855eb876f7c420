//! Asking for a secret and waiting for it, in one call.

use std::time::Duration;

use fourfold::identity::TrustChange;
use fourfold::sharing::{Outcome, Recipients};
use fourfold::{Secret, SecretName};

use super::dropped::{answered, until};
use super::homeserver::Failure;
use super::household::{Household, token};
use super::*;
use crate::Options;
use crate::testing::once;

async fn request(
    household: &mut Household,
    options: &Options,
) -> Result<Result<Secret, Outcome>, DeviceError> {
    let (account, _) = household.fake.account_without_pauses("TWO", options);
    let two = household.device("TWO");
    two.request_and_wait(&account, &token()).await
}

fn text(answer: Result<Result<Secret, Outcome>, DeviceError>) -> String {
    answer.unwrap().unwrap().expose_secret().to_owned()
}

/// The request that comes next, or so many later, fails.
fn fail(household: &mut Household, later: usize, kills: bool) {
    household.fake.with(|world| {
        world.fail = Some(Failure {
            at: world.requests + 1 + later,
            after: false,
            kills,
        });
    });
}

#[tokio::test]
async fn what_else_happens_meanwhile_is_told_later() {
    let mut household = answered().await;
    household.add("THREE").await;
    assert_eq!(text(request(&mut household, &once()).await), "s3cret");
    household.sync("TWO").await.unwrap();
    let told = &household.told["TWO"];
    assert!(told.iter().any(|event| {
        matches!(event, DeviceEvent::Trust(TrustChange::Appeared { device_id, .. }) if device_id == "THREE")
    }));
    // That the secret came was said by giving it.
    assert!(!told.iter().any(|event| {
        matches!(
            event,
            DeviceEvent::Ended { .. } | DeviceEvent::Received { .. }
        )
    }));
    assert!(household.received("TWO").is_empty());
}

/// The homeserver fails to say which key backup there is: the other secrets come all the same, and the
/// private key of the backup, which must be compared with it, waits.
#[tokio::test]
async fn an_answer_does_not_wait_for_a_backup_that_is_broken() {
    let mut household = answered().await;
    household.fake.with(|world| world.is_backup_broken = true);
    let backup_key = SecretName::backup_key();
    let two = household.device("TWO");
    let asked = two
        .request_secret(backup_key, Recipients::Verified)
        .unwrap();
    let waiting = request(&mut household, &once()).await.unwrap_err();
    assert!(matches!(waiting, DeviceError::Server(_)), "{waiting}");
    household.device("TWO").abort_request(asked).unwrap();
    assert_eq!(text(request(&mut household, &once()).await), "s3cret");
}

#[tokio::test]
async fn an_answer_that_is_kept_is_taken_without_asking() {
    let mut household = answered().await;
    household.sync("TWO").await.unwrap();
    household.restart("TWO");
    household.fake.with(|world| world.log.clear());
    assert_eq!(text(request(&mut household, &once()).await), "s3cret");
    assert!(household.fake.with(|world| world.log.is_empty()));
    assert_eq!(household.device("TWO").open_request(&token()), None);
    assert!(household.received("TWO").is_empty());
}

/// What was held already when it came is nowhere but among what is told.
#[tokio::test]
async fn an_answer_that_was_held_and_not_told_is_taken_without_asking() {
    let mut household = answered().await;
    let (account, _) = household.fake.account_without_pauses("TWO", &once());
    let mut held = BTreeMap::from([(token(), Secret::new("s3cret"))]);
    let two = household.device("TWO");
    let batch = two.wait(&account, Duration::ZERO).unwrap().await.unwrap();
    two.take_untold(&account, batch, &mut held).await.unwrap();
    household.fake.with(|world| world.log.clear());
    assert_eq!(text(request(&mut household, &once()).await), "s3cret");
    assert!(household.fake.with(|world| world.log.is_empty()));
    let told = household.device("TWO").events().unwrap();
    assert!(
        told.iter()
            .all(|event| matches!(event, DeviceEvent::Audit(_)))
    );
}

#[tokio::test]
async fn a_server_that_answers_at_once_is_not_asked_at_once() {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    let (account, pauses) = household.fake.account_without_pauses("TWO", &once());
    fail(&mut household, 12, true);
    let kill = household.fake.kill();
    household.fake.with(|world| world.log.clear());
    let two = household.device("TWO");
    until(two.request_and_wait(&account, &token()), kill.notified()).await;
    let is_sync = |(_, path): &&(String, String)| path == "sync";
    let syncs = household
        .fake
        .with(|world| world.log.iter().filter(is_sync).count());
    assert!(syncs > 8);
    // The last one was not answered.
    let pauses = pauses.all();
    assert_eq!(pauses.len(), syncs - 1);
    assert!(
        pauses
            .iter()
            .any(|pause| *pause >= Duration::from_millis(250))
    );
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_after_a_pause_and_not_for_ever() {
    let mut household = answered().await;
    let mut options = once();
    options.attempts = 2;
    let (account, pauses) = household.fake.account_without_pauses("TWO", &options);
    fail(&mut household, 0, false);
    let two = household.device("TWO");
    let answer = two.request_and_wait(&account, &token()).await;
    assert_eq!(text(answer), "s3cret");
    assert!(pauses.all()[0] >= Duration::from_millis(250));

    let mut household = answered().await;
    fail(&mut household, 0, false);
    let failed = request(&mut household, &once()).await;
    assert!(matches!(failed, Err(DeviceError::Server(_))));
    assert!(household.device("TWO").open_request(&token()).is_some());
    assert_eq!(text(request(&mut household, &once()).await), "s3cret");
}

#[tokio::test]
async fn a_request_ends_although_the_server_cannot_be_reached() {
    let mut household = Household::new(&["ONE", "TWO"]).await;
    let two = household.device("TWO");
    two.request_secret(token(), Recipients::Verified).unwrap();
    household.flush("TWO").await.unwrap();
    household.advance(Duration::from_secs(16 * 60));
    fail(&mut household, 0, false);
    let ended = request(&mut household, &once()).await.unwrap();
    assert_eq!(ended.unwrap_err(), Outcome::TimedOut);
}

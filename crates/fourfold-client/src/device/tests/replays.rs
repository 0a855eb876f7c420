//! A server that gives everything again and again, in another order, much later, or not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use fourfold::SecretName;
use fourfold::sharing::{Recipients, Rule};
use serde_json::Value;

use super::household::{Household, token};
use super::*;

fn asked_about() -> SecretName {
    SecretName::new("org.example.asked").unwrap()
}

/// ONE shares one secret with anyone who asks, and asks its user about another one.
async fn household() -> Household {
    let mut household = Household::new(&["ONE", "TWO", "THREE"]).await;
    household.give("ONE", &token(), "s3cret");
    household.give("ONE", &asked_about(), "another");
    let one = household.device("ONE");
    let policy = one.policy().clone().with_rule(asked_about(), Rule::Ask);
    one.set_policy(policy).unwrap();
    household.settle().await;
    household
}

/// Asks, without anybody hearing of it yet: what was sent.
async fn ask(household: &mut Household, from: &str, names: &[SecretName]) -> Vec<Value> {
    let before = household.fake.with(|world| world.delivered.len());
    for name in names {
        let device = household.device(from);
        let recipients = Recipients::Devices(vec!["ONE".to_owned()]);
        device.request_secret(name.clone(), recipients).unwrap();
    }
    household.flush(from).await.unwrap();
    household.fake.with(|world| {
        let sent = world.delivered[before..].iter();
        sent.map(|(_, _, content)| content.clone()).collect()
    })
}

/// Gives these to ONE, three times, each time the other way round.
async fn give_three_times(household: &mut Household, requests: &[Value]) {
    household.fake.with(|world| {
        world.inbox.remove("ONE");
        let forward = requests.iter();
        let all = forward.clone().chain(forward.clone().rev()).chain(forward);
        for content in all {
            world.deliver("ONE", "m.secret.request", USER, content);
        }
    });
    household.sync("ONE").await.unwrap();
    household.flush("ONE").await.unwrap();
}

/// How many answers ONE has sent to a device, and how often it has asked its user.
fn counts(household: &Household, to: &str) -> (usize, usize) {
    let answers = household.fake.with(|world| {
        let delivered = world.delivered.iter();
        let answers = delivered
            .filter(|(_, receiver, content)| receiver == to && content["ciphertext"].is_object());
        let transactions: BTreeSet<_> = answers.map(|(transaction, ..)| transaction).collect();
        transactions.len()
    });
    let told = household.told.get("ONE").into_iter().flatten();
    let prompts = told.filter(|event| matches!(event, DeviceEvent::Prompt(_)));
    (answers, prompts.count())
}

#[tokio::test]
async fn each_request_is_answered_once_and_asked_about_once() {
    let mut household = household().await;
    let of_two = ask(&mut household, "TWO", &[token(), asked_about()]).await;
    let of_three = ask(&mut household, "THREE", &[token()]).await;
    let all = [of_two, of_three].concat();
    assert_eq!(all.len(), 3);
    give_three_times(&mut household, &all).await;
    assert_eq!(counts(&household, "TWO"), (1, 1));
    assert_eq!(counts(&household, "THREE"), (1, 1));
    // The same within the hour, and much later.
    for minutes in [10, 50, 24 * 60] {
        household.advance(Duration::from_secs(minutes * 60));
        give_three_times(&mut household, &all).await;
        assert_eq!(counts(&household, "TWO"), (1, 1), "after {minutes} minutes");
        assert_eq!(
            counts(&household, "THREE"),
            (1, 1),
            "after {minutes} minutes"
        );
    }
    household.restart("ONE");
    give_three_times(&mut household, &all).await;
    assert_eq!(counts(&household, "TWO"), (1, 1), "after a restart");
}

#[tokio::test]
async fn a_request_that_comes_an_hour_late_is_answered_once_and_helps_nobody() {
    let mut household = household().await;
    let requests = ask(&mut household, "TWO", &[token()]).await;
    household.advance(Duration::from_secs(60 * 60));
    for _ in 0..3 {
        give_three_times(&mut household, &requests).await;
    }
    assert_eq!(counts(&household, "TWO"), (1, 0));
    // The side that asked has given up long ago.
    household.sync("TWO").await.unwrap();
    assert!(household.received("TWO").is_empty());
}

#[tokio::test]
async fn half_of_the_requests_and_of_the_answers_may_be_lost() {
    let mut household = household().await;
    let requests = ask(&mut household, "TWO", &[token(), asked_about()]).await;
    // The second one is lost.
    give_three_times(&mut household, &requests[..1]).await;
    assert_eq!(counts(&household, "TWO"), (1, 0));
    // The answer to THREE is lost.
    let requests = ask(&mut household, "THREE", &[token()]).await;
    give_three_times(&mut household, &requests).await;
    household.fake.with(|world| world.inbox.remove("THREE"));
    household.settle().await;
    assert_eq!(household.received("TWO").len(), 1);
    assert!(household.received("THREE").is_empty());
    // It asks once more, when it has given up on that.
    household.advance(Duration::from_secs(60 * 60));
    household.settle().await;
    let requests = ask(&mut household, "THREE", &[token()]).await;
    give_three_times(&mut household, &requests).await;
    household.settle().await;
    assert_eq!(household.received("THREE").len(), 1);
    household.assert_no_message_key_was_used_twice();
}

//! What bounds the answers: how many there are in an hour, and how many requests wait.

use fourfold::Secret;
use fourfold::sharing::{Alert, Output, Policy, Rule};

use crate::story::{Story, name};

const TOKEN: &str = "org.example.token";

fn allowing() -> Policy {
    Policy::default().with_rule(name(TOKEN), Rule::Allow)
}

// shows: AGT-06
#[test]
fn the_fourth_answer_in_an_hour_is_an_alert() {
    let mut story = Story::new(allowing());
    for number in 0..3 {
        story.request("B", TOKEN, &format!("{number}"));
        let share = story.shares()[0].id;
        assert!(story.authorise(share).is_ok());
    }
    // Over a restart, too.
    story.restart();
    story.request("B", TOKEN, "3");
    story.request("B", TOKEN, "4");
    let outputs = story.poll();
    assert!(
        matches!(&outputs[..], [Output::Alert(Alert::RateLimited { .. })]),
        "{outputs:?}"
    );
    // Not queued: nothing comes when the hour is over, but a new request is answered.
    story.pass(3600);
    assert!(story.poll().is_empty());
    story.request("B", TOKEN, "5");
    assert_eq!(story.shares().len(), 1);
}

#[test]
fn answers_that_are_under_way_count_when_they_are_authorised() {
    let mut story = Story::new(allowing());
    story.request("B", TOKEN, "first");
    let first = story.shares()[0].id;
    for number in 0..2 {
        story.request("B", TOKEN, &format!("{number}"));
    }
    assert!(story.authorise(first).is_ok());
    story.request("B", TOKEN, "last");
    let shares = story.shares();
    assert_eq!(shares.len(), 3);
    let authorised = shares.iter().filter(|one| story.authorise(one.id).is_ok());
    assert_eq!(authorised.count(), 2);
}

// shows: AGT-06, SHR-17
#[test]
fn a_flood_is_bounded_and_says_one_thing() {
    let mut story = Story::new(allowing());
    for number in 0..20_000 {
        story.request("B", TOKEN, &format!("{number}"));
        story.request(&format!("Z{number}"), TOKEN, "1");
    }
    let outputs = story.poll();
    assert_eq!(
        outputs.len(),
        4,
        "three are answered in an hour, and one alert"
    );
    let authorised: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Share(share) => story.authorise(share.id).ok(),
            _ => None,
        })
        .collect();
    assert_eq!(authorised.len(), 3);
    assert!(serde_json::to_string(&story.sharing).unwrap().len() < 100_000);
    for number in 0..100 {
        story.request("B", TOKEN, &format!("more{number}"));
    }
    assert!(story.poll().is_empty(), "it was said");
    // A real device is served all the same.
    story.request("C", TOKEN, "1");
    assert_eq!(story.shares().len(), 1);
}

#[test]
fn a_flood_in_the_name_of_a_device_does_not_shut_out_what_it_really_asks_for() {
    // The server forges requests for everything that the user would have to be asked about.
    let asked_about = [
        "org.example.other",
        "org.example.third",
        "m.cross_signing.self_signing",
        "m.cross_signing.user_signing",
        "m.megolm_backup.v1",
    ];
    let rules = asked_about.map(|secret| (name(secret), Rule::Ask));
    let ask = |policy: Policy, (name, rule)| policy.with_rule(name, rule);
    let mut story = Story::new(rules.into_iter().fold(allowing(), ask));
    let flood = |story: &mut Story, device: &str, round: u32| {
        for number in 0..100 {
            for secret in asked_about {
                story.request(device, secret, &format!("{round}.{number}"));
            }
        }
    };
    flood(&mut story, "B", 0);
    let prompts = |outputs: Vec<Output>| {
        let is_prompt = |output: &Output| matches!(output, Output::Prompt(_));
        outputs.iter().filter(|output| is_prompt(output)).count()
    };
    assert_eq!(prompts(story.poll()), 1);
    for round in 1..10 {
        flood(&mut story, "B", round);
        flood(&mut story, "C", round);
    }
    assert_eq!(prompts(story.poll()), 1, "about C, once");
    story.request("B", TOKEN, "genuine");
    let [share] = &story.shares()[..] else {
        panic!("it is not shared")
    };
    let authorised = story.authorise(share.id).unwrap();
    let sent = authorised.content(&Secret::new("s3cret"));
    assert!(sent.contains(r#""request_id":"genuine""#));
}

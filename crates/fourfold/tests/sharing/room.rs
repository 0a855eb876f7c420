//! How many requests wait at once, and which give way to others.

use fourfold::SecretName;
use fourfold::sharing::{AuditDecision, Ignored, Input, Output, Policy, Rule};

use crate::own_devices::{Account, USER};
use crate::story::{Story, name};

const TOKEN: &str = "org.example.token";

/// All names that the story can share but the master key.
fn names() -> [SecretName; 6] {
    [
        name(TOKEN),
        name("org.example.other"),
        name("org.example.third"),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
        SecretName::backup_key(),
    ]
}

/// Devices `A` (this one) to `H`, of which these are verified.
fn story(rule: Rule, verified: &[&str]) -> Story {
    let policy = Policy::default();
    let policy = names()
        .into_iter()
        .fold(policy, |policy, name| policy.with_rule(name, rule));
    let mut story = Story::new(policy);
    story.account = Account::new(8);
    for (id, device) in &mut story.account.devices {
        device.signed = id == "A" || verified.contains(&id.as_str());
    }
    story.query();
    story
}

/// So many requests of a device, at most three for each name.
fn ask(story: &mut Story, device: &str, requests: usize) {
    for number in 0..requests {
        let secret = &names()[number / 3];
        story.request(device, secret.as_str(), &format!("{number}"));
    }
}

fn shared(story: &mut Story, device: &str) -> usize {
    let shares = story.shares();
    let of_device = shares
        .iter()
        .filter(|share| share.device.device_id == device);
    of_device.count()
}

// shows: SHR-17
#[test]
fn sixteen_requests_of_a_device_wait() {
    let mut story = story(Rule::Allow, &["B", "C"]);
    story.handle(Input::Locked);
    ask(&mut story, "B", 18);
    assert_eq!(story.sharing.ignored(Ignored::QueueFull), 2);
    ask(&mut story, "C", 1);
    assert_eq!(story.sharing.ignored(Ignored::QueueFull), 2);
    story.handle(Input::Unlocked);
    let shares = story.shares();
    assert_eq!(shares.len(), 17);
}

#[test]
fn what_waits_for_a_signature_gives_way_to_a_verified_device() {
    let mut story = story(Rule::Allow, &["B", "H"]);
    story.handle(Input::Locked);
    ask(&mut story, "B", 1);
    for device in ["C", "D", "E"] {
        ask(&mut story, device, 16);
    }
    ask(&mut story, "F", 15);
    assert_eq!(story.sharing.ignored(Ignored::QueueFull), 0);
    // Sixty-four are enough for those that may never be trusted.
    ask(&mut story, "G", 1);
    assert_eq!(story.sharing.ignored(Ignored::QueueFull), 1);
    ask(&mut story, "H", 3);
    assert_eq!(story.sharing.ignored(Ignored::QueueFull), 1);
    story.handle(Input::Unlocked);
    let shares = story.shares();
    let of = |device: &str| {
        let of_device = shares
            .iter()
            .filter(|share| share.device.device_id == device);
        of_device.count()
    };
    assert_eq!((of("B"), of("H"), shares.len()), (1, 3, 4));
    // Three of those that came first are gone.
    story.account.devices.get_mut("C").unwrap().signed = true;
    story.query();
    assert_eq!(shared(&mut story, "C"), 13);
}

#[test]
fn what_the_user_sees_does_not_give_way() {
    let mut story = story(Rule::Ask, &["B", "C", "D", "E", "F"]);
    let mut seen = Vec::new();
    for device in ["B", "C", "D", "E"] {
        story.request(device, TOKEN, "seen");
        let outputs = story.poll();
        let [Output::Prompt(prompt)] = &outputs[..] else {
            panic!("{device}: {outputs:?}")
        };
        seen.push(prompt.id);
    }
    for device in ["B", "C", "D", "E"] {
        for number in 0..15 {
            let secret = &names()[1 + number / 3];
            story.request(device, secret.as_str(), &format!("{number}"));
        }
    }
    // The queue is full, of one device and of all.
    story.request("B", TOKEN, "more");
    story.request("F", TOKEN, "1");
    let outputs = story.poll();
    let [Output::Prompt(of_f)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(of_f.device.device_id, "F");
    for prompt in seen {
        story.handle(Input::PromptAnswered {
            prompt,
            allowed: vec![name(TOKEN)],
        });
        assert_eq!(story.shares().len(), 1);
    }
}

// shows: SHR-17
#[test]
fn a_copy_of_what_waits_is_a_copy() {
    let mut story = story(Rule::Allow, &["B", "C"]);
    story.handle(Input::Locked);
    for (device, id) in [("B", "1"), ("B", "1"), ("B", "2"), ("C", "1")] {
        story.request(device, TOKEN, id);
    }
    assert_eq!(story.sharing.ignored(Ignored::Duplicate), 1);
    story.handle(Input::Unlocked);
    assert_eq!(story.shares().len(), 3);
}

#[test]
fn what_the_policy_denies_is_written_down() {
    let mut story = story(Rule::Deny, &["B"]);
    story.request("B", TOKEN, "1");
    let audits = story.audits();
    let [audit] = &audits[..] else {
        panic!("{audits:?}")
    };
    assert_eq!(audit.decision, AuditDecision::Denied);
    assert_eq!(audit.device.as_ref().unwrap().device_id, "B");
    assert_eq!(story.trust.user_id(), USER);
}

//! Requests that wait for an answer, and how they cease to.

use fourfold::sharing::{AuditDecision, Ignored, Input, Output, Policy, RequestId, Rule};
use fourfold::{SecretName, Timestamp};

use crate::story::{Story, name};

const TOKEN: &str = "org.example.token";

/// Everything is allowed, and waits: the machine is locked.
fn locked() -> Story {
    let policy = Policy::default()
        .with_rule(name(TOKEN), Rule::Allow)
        .with_rule(SecretName::backup_key(), Rule::Allow);
    let mut story = Story::new(policy);
    story.handle(Input::Locked);
    story
}

/// The devices that are to get an answer, once the machine is unlocked.
fn answered(story: &mut Story) -> Vec<String> {
    story.handle(Input::Unlocked);
    let shares = story.shares();
    let devices = shares.iter().map(|share| {
        let authorised = story.authorise(share.id).unwrap();
        authorised.device().device_id.clone()
    });
    let mut devices: Vec<_> = devices.collect();
    devices.sort();
    devices
}

// shows: SHR-17
#[test]
fn a_cancellation_takes_one_request_of_one_device_back() {
    let mut story = locked();
    story.request("B", TOKEN, "1");
    story.request("B", TOKEN, "2");
    story.request("C", TOKEN, "1");
    story.cancel("B", "1");
    assert_eq!(answered(&mut story), ["B", "C"]);
}

#[test]
fn a_cancellation_does_not_stop_a_push() {
    let mut story = locked();
    let push_id = RequestId::new("1").unwrap();
    story.handle(Input::Push {
        name: SecretName::backup_key(),
        push_id,
    });
    story.cancel("B", "1");
    assert_eq!(answered(&mut story), ["B", "C"]);
}

#[test]
fn a_push_waits_once() {
    let mut story = locked();
    for _ in 0..2 {
        let push_id = RequestId::new("1").unwrap();
        story.handle(Input::Push {
            name: SecretName::backup_key(),
            push_id,
        });
    }
    assert_eq!(answered(&mut story), ["B", "C"]);
    // Nor does it go out again.
    let push_id = RequestId::new("1").unwrap();
    story.handle(Input::Push {
        name: SecretName::backup_key(),
        push_id,
    });
    assert_eq!(answered(&mut story), Vec::<String>::new());
}

#[test]
fn a_share_that_the_driver_dropped_is_over() {
    let mut story = locked();
    story.request("B", TOKEN, "1");
    story.handle(Input::Unlocked);
    let id = story.shares()[0].id;
    story.handle(Input::ShareDropped { id });
    story.pass(60);
    assert!(story.shares().is_empty());
    assert!(story.authorise(id).is_err());
    story.request("B", TOKEN, "1");
    assert_eq!(story.sharing.ignored(Ignored::Duplicate), 1);
}

#[test]
fn a_request_that_nothing_can_make_right_does_not_wait() {
    let mut story = locked();
    story.account.devices.get_mut("B").unwrap().dehydrated = true;
    story.query();
    story.request("B", TOKEN, "1");
    assert_eq!(story.sharing.ignored(Ignored::NotTrusted), 1);
    story.account.devices.get_mut("B").unwrap().dehydrated = false;
    story.query();
    assert_eq!(answered(&mut story), Vec::<String>::new());
}

#[test]
fn a_prompt_stays_as_long_as_what_it_is_about() {
    let mut story = Story::new(Policy::default());
    story.request("B", TOKEN, "1");
    story.request("C", TOKEN, "1");
    let prompts = story.poll();
    assert!(
        matches!(&prompts[..], [Output::Prompt(_), Output::Prompt(_)]),
        "{prompts:?}"
    );
    story.handle(Input::Tick);
    assert!(story.poll().is_empty());
    let Output::Prompt(of_b) = &prompts[0] else {
        panic!("{prompts:?}")
    };
    story.cancel("B", "1");
    let outputs = story.poll();
    let [Output::PromptWithdrawn { prompt }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(*prompt, of_b.id);
}

#[test]
fn a_prompt_is_about_one_device() {
    let mut story = Story::new(Policy::default());
    story.request("B", TOKEN, "1");
    story.request("C", "org.example.other", "1");
    let mut asked: Vec<_> = story.poll().into_iter().map(about).collect();
    asked.sort();
    let expected = [("B", TOKEN), ("C", "org.example.other")];
    assert_eq!(
        asked,
        expected.map(|(device, secret)| (device.to_owned(), vec![name(secret)]))
    );
}

fn about(output: Output) -> (String, Vec<SecretName>) {
    match output {
        Output::Prompt(prompt) => (prompt.device.device_id, prompt.names),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_no_is_written_down_and_is_the_last_word() {
    let mut story = Story::new(Policy::default());
    story.request("B", TOKEN, "1");
    let outputs = story.poll();
    let [Output::Prompt(prompt)] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    story.handle(Input::PromptAnswered {
        prompt: prompt.id,
        allowed: Vec::new(),
    });
    let denied = story.audits();
    let [audit] = &denied[..] else {
        panic!("{denied:?}")
    };
    assert_eq!(audit.decision, AuditDecision::UserDenied);
    assert_eq!(story.sharing.next_deadline(), None);
}

#[test]
fn the_next_attempt_is_the_next_deadline() {
    let mut story = locked();
    story.request("B", TOKEN, "1");
    // Nothing to do before it expires, as long as the machine is locked.
    let expires = Timestamp::from_millis(story.now.as_millis() + 15 * 60 * 1000);
    assert_eq!(story.sharing.next_deadline(), Some(expires));
    story.handle(Input::Unlocked);
    let id = story.shares()[0].id;
    assert_eq!(story.sharing.next_deadline(), Some(expires));
    story.handle(Input::ShareFailed { id });
    let next = story.sharing.next_deadline().unwrap();
    assert!(story.now < next && next < expires);
    assert!(story.shares().is_empty());
    story.now = next;
    story.handle(Input::Tick);
    assert_eq!(story.shares().len(), 1);
}

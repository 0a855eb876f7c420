//! Every check before a secret is shared, each broken alone, and how requests wait.

use fourfold::identity::{DeviceTrust, PinnedBy, TombstoneReason};
use fourfold::sharing::{
    Alert, AuditDecision, Channel, Ignored, Input, Output, Policy, Prompt, RequestId, Rule,
    ShareRefusal,
};
use fourfold::{Secret, SecretName, Timestamp};

use crate::own_devices::{USER, key, observe};
use crate::story::{Story, name, plain};

const TOKEN: &str = "org.example.token";

fn allowing() -> Policy {
    Policy::default().with_rule(name(TOKEN), Rule::Allow)
}

#[test]
fn shares_with_a_verified_device() {
    for channel in [plain(), Story::new(allowing()).account.olm("C")] {
        let mut story = Story::new(allowing());
        // Two clients encrypt their requests; it says nothing about who sent them.
        let content = r#"{"action":"request","name":"org.example.token","requesting_device_id":"B","request_id":"1"}"#;
        story.event("m.secret.request", content, channel);
        let shares = story.shares();
        let [share] = &shares[..] else {
            panic!("{shares:?}")
        };
        let authorised = story.authorise(share.id).unwrap();
        let device = &story.account.devices["B"];
        assert_eq!(authorised.device().curve25519, device.curve25519());
        assert_eq!(authorised.device().ed25519, device.ed25519());
        assert_eq!(authorised.name().as_str(), TOKEN);
        assert_eq!(authorised.event_type(), "m.secret.send");
        assert_eq!(
            authorised.content(&Secret::new("s3cret")).as_str(),
            r#"{"request_id":"1","secret":"s3cret"}"#
        );
        assert!(
            story
                .audits()
                .iter()
                .any(|one| one.decision == AuditDecision::Shared)
        );
        // Once only.
        assert_eq!(story.authorise(share.id).unwrap_err(), ShareRefusal::Over);
        story.request("B", TOKEN, "1");
        assert!(story.shares().is_empty());
        assert_eq!(story.sharing.ignored(Ignored::Duplicate), 1);
    }
}

/// What goes wrong between the request and the encryption, and what the final word is then.
// shows: SHR-11, SHR-12
#[test]
fn the_final_word_is_no_when_one_thing_went_wrong() {
    type Fault = fn(&mut Story);
    let faults: [(&str, Fault, ShareRefusal); 14] = [
        (
            "locked",
            |story| story.handle(Input::Locked),
            ShareRefusal::Locked,
        ),
        (
            "stale",
            |story| story.trust.mark_stale(),
            ShareRefusal::Stale,
        ),
        (
            "blocked",
            |story| {
                let now = story.now;
                story.trust.tombstone("B", TombstoneReason::Blocked, now);
            },
            ShareRefusal::NotTrusted(DeviceTrust::Tombstoned(TombstoneReason::Blocked)),
        ),
        (
            "signature gone",
            |story| {
                story.account.devices.get_mut("B").unwrap().signed = false;
                observe(&mut story.trust, &story.account.keys(), story.now);
            },
            ShareRefusal::NotTrusted(DeviceTrust::NotSigned),
        ),
        (
            "device gone",
            |story| {
                story.account.devices.remove("B");
                observe(&mut story.trust, &story.account.keys(), story.now);
            },
            ShareRefusal::NotTrusted(DeviceTrust::Tombstoned(TombstoneReason::Disappeared)),
        ),
        (
            "identity changed",
            |story| {
                story.account.seed = 50;
                observe(&mut story.trust, &story.account.keys(), story.now);
            },
            ShareRefusal::NotTrusted(DeviceTrust::IdentityChanged),
        ),
        (
            "other keys, verified anew",
            |story| {
                story.account.devices.get_mut("B").unwrap().seed = 120;
                observe(&mut story.trust, &story.account.keys(), story.now);
                let now = story.now;
                assert!(story.trust.confirm("B", key(120).public_key(), now));
            },
            ShareRefusal::KeysChanged,
        ),
        (
            "no longer held",
            |story| {
                let names = vec![SecretName::backup_key()];
                story.sharing.handle(
                    Input::Shareable { names },
                    &fourfold::sharing::Context {
                        trust: &story.trust,
                        published_keys: &story.published_keys,
                        now: story.now,
                    },
                );
            },
            ShareRefusal::Over,
        ),
        (
            "denied since",
            |story| {
                let policy = Policy::default().with_rule(name(TOKEN), Rule::Deny);
                story.sharing.set_policy(policy);
            },
            ShareRefusal::Denied,
        ),
        (
            "to be asked since",
            |story| story.sharing.set_policy(Policy::default()),
            ShareRefusal::ConsentNeeded,
        ),
        (
            "cancelled",
            |story| story.cancel("B", "1"),
            ShareRefusal::Over,
        ),
        (
            "too late",
            |story| {
                let millis = story.now.as_millis() + 15 * 60 * 1000;
                story.now = Timestamp::from_millis(millis);
            },
            ShareRefusal::Over,
        ),
        ("dropped", |story| drop_share(story), ShareRefusal::Over),
        ("restarted", |story| story.restart(), ShareRefusal::Over),
    ];
    for (what, fault, refusal) in faults {
        let mut story = Story::new(allowing());
        story.request("B", TOKEN, "1");
        let share = story.shares()[0].id;
        fault(&mut story);
        assert_eq!(story.authorise(share).unwrap_err(), refusal, "{what}");
    }
}

/// Each of its two keys counts, even when the user verified the device anew.
// shows: SHR-11, SHR-12
#[test]
fn the_final_word_is_no_when_one_key_of_the_device_changed() {
    for (seed, session_seed) in [(120, Some(101)), (101, Some(120))] {
        let mut story = Story::new(allowing());
        story.request("B", TOKEN, "1");
        let share = story.shares()[0].id;
        let before = story.account.devices["B"].clone();
        let device = story.account.devices.get_mut("B").unwrap();
        (device.seed, device.session_seed) = (seed, session_seed);
        assert_ne!(
            device.ed25519() == before.ed25519(),
            device.curve25519() == before.curve25519(),
            "exactly one changed"
        );
        let now = story.now;
        observe(&mut story.trust, &story.account.keys(), now);
        assert!(story.trust.confirm("B", key(seed).public_key(), now));
        assert!(story.trust.verdict("B").is_verified());
        let refusal = story.authorise(share).unwrap_err();
        assert_eq!(refusal, ShareRefusal::KeysChanged, "{seed}");
    }
}

fn drop_share(story: &mut Story) {
    story.handle(Input::ShareFailed {
        id: serde_json::from_str("0").unwrap(),
    });
    story.pass(2);
    let share = story.shares()[0].id;
    story.handle(Input::ShareDropped { id: share });
    assert!(story.shares().is_empty());
}

#[test]
fn a_share_comes_again_when_what_was_wrong_has_passed() {
    let mut story = Story::new(allowing());
    story.request("B", TOKEN, "1");
    let first = story.shares()[0].id;
    story.trust.mark_stale();
    assert_eq!(story.authorise(first).unwrap_err(), ShareRefusal::Stale);
    story.handle(Input::Tick);
    assert!(story.shares().is_empty(), "the list is still stale");
    story.query();
    let second = story.shares()[0].id;
    // The session could not be made, and then the machine was restarted.
    story.handle(Input::ShareFailed { id: second });
    assert!(story.shares().is_empty(), "not at once");
    story.pass(1);
    let third = story.shares()[0].id;
    story.restart();
    let fourth = story.shares()[0].id;
    assert_ne!(third, fourth);
    assert!(story.authorise(fourth).is_ok());
}

#[test]
fn a_request_waits_for_the_signature_of_its_device() {
    let mut story = Story::new(allowing());
    story.account.devices.get_mut("B").unwrap().signed = false;
    story.query();
    story.request("B", TOKEN, "1");
    assert!(story.shares().is_empty());
    story.account.devices.get_mut("B").unwrap().signed = true;
    story.query();
    assert_eq!(story.shares().len(), 1);
}

// shows: SHR-11, SHR-16
#[test]
fn what_is_not_of_a_known_device_of_the_user_is_dropped() {
    for (device, reason) in [
        ("A", Ignored::ThisDevice),
        ("Z", Ignored::UnknownDevice),
        ("x", Ignored::UnknownDevice),
    ] {
        let mut story = Story::new(allowing());
        story.request(device, TOKEN, "1");
        assert_eq!(story.sharing.ignored(reason), 1);
        assert!(story.poll().is_empty());
    }
    let mut story = Story::new(allowing());
    let content = r#"{"action":"request","name":"org.example.token","requesting_device_id":"B","request_id":"1"}"#;
    let sender = "@mallory:example.org".to_owned();
    story.event("m.secret.request", content, Channel::Plain { sender });
    assert_eq!(story.sharing.ignored(Ignored::OtherUser), 1);
    assert!(story.poll().is_empty());
    let mut story = Story::new(allowing());
    story.account.devices.get_mut("B").unwrap().dehydrated = true;
    story.query();
    story.request("B", TOKEN, "1");
    assert!(story.poll().is_empty());
}

// shows: SHR-14
#[test]
fn a_device_that_is_back_gets_nothing_and_the_user_is_told() {
    let mut story = Story::new(allowing());
    let device = story.account.devices.remove("B").unwrap();
    story.query();
    story.account.devices.insert("B".to_owned(), device);
    story.query();
    story.request("B", TOKEN, "1");
    let outputs = story.poll();
    let [Output::Alert(Alert::GoneDevice { device_id, .. })] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(device_id, "B");
}

// shows: AGT-05
#[test]
fn every_rule_does_what_it_says() {
    for (rule, confirmed, shared, prompted) in [
        (Rule::Allow, None, true, false),
        (Rule::Deny, Some(0), false, false),
        (Rule::Ask, Some(0), false, true),
        (Rule::AllowJustConfirmed, None, false, true),
        (Rule::AllowJustConfirmed, Some(0), true, false),
        (Rule::AllowJustConfirmed, Some(599), true, false),
        (Rule::AllowJustConfirmed, Some(600), false, true),
    ] {
        let mut story = Story::new(Policy::default().with_rule(name(TOKEN), rule));
        if let Some(seconds) = confirmed {
            let (key, now) = (story.account.devices["B"].ed25519(), story.now);
            assert!(story.trust.confirm("B", key, now));
            story.pass(seconds);
        }
        story.request("B", TOKEN, "1");
        let outputs = story.poll();
        let has = |what: fn(&Output) -> bool| outputs.iter().any(what);
        assert_eq!(
            has(|one| matches!(one, Output::Share(_))),
            shared,
            "{rule:?}"
        );
        assert_eq!(
            has(|one| matches!(one, Output::Prompt(_))),
            prompted,
            "{rule:?}"
        );
        assert_eq!(
            outputs.len(),
            usize::from(shared || prompted),
            "{outputs:?}"
        );
    }
    // The master key is denied, unless the user says otherwise.
    let mut story = Story::new(Policy::default());
    story.request("B", "m.cross_signing.master", "1");
    assert!(story.poll().is_empty());
}

fn prompts(story: &mut Story) -> Vec<Prompt> {
    let prompt = |output| match output {
        Output::Prompt(prompt) => Some(prompt),
        _ => None,
    };
    story.poll().into_iter().filter_map(prompt).collect()
}

// shows: AGT-07
#[test]
fn one_prompt_asks_for_everything_and_the_next_comes_ten_minutes_later() {
    let mut story = Story::new(Policy::default());
    story.request("B", TOKEN, "1");
    story.request("B", "org.example.other", "2");
    let mut first = prompts(&mut story);
    let first = first.pop().unwrap();
    assert_eq!(first.names, [name("org.example.other"), name(TOKEN)]);
    story.request("B", "org.example.third", "3");
    assert!(story.poll().is_empty());
    let allowed = vec![name(TOKEN), name("org.example.third")];
    story.handle(Input::PromptAnswered {
        prompt: first.id,
        allowed,
    });
    let shares = story.shares();
    assert_eq!(shares.len(), 1, "only what was asked and allowed");
    assert_eq!(shares[0].name.as_str(), TOKEN);
    assert!(story.authorise(shares[0].id).is_ok());
    story.pass(599);
    assert!(story.poll().is_empty());
    assert_eq!(
        story.sharing.next_deadline(),
        Some(Timestamp::from_millis(story.now.as_millis() + 1000))
    );
    story.pass(1);
    assert_eq!(prompts(&mut story)[0].names, [name("org.example.third")]);
}

#[test]
fn a_prompt_that_waits_is_not_shown_about_a_device_that_is_no_longer_verified() {
    let mut story = Story::new(Policy::default());
    story.request("B", TOKEN, "1");
    assert_eq!(prompts(&mut story).len(), 1);
    story.pass(300);
    story.request("B", "org.example.other", "2");
    story.account.devices.get_mut("B").unwrap().signed = false;
    story.query();
    story.pass(300);
    assert!(prompts(&mut story).is_empty());
    story.account.devices.get_mut("B").unwrap().signed = true;
    story.query();
    assert_eq!(prompts(&mut story).len(), 1);
}

// shows: AGT-07
#[test]
fn no_answer_is_no() {
    // A restart, the lock, a cancellation and time close a prompt; a copy opens no second one.
    let endings: [fn(&mut Story); 4] = [
        Story::restart,
        |story| {
            story.handle(Input::Locked);
            story.handle(Input::Unlocked);
        },
        |story| story.cancel("B", "1"),
        |story| story.pass(15 * 60),
    ];
    for (number, ending) in endings.into_iter().enumerate() {
        let mut story = Story::new(Policy::default());
        story.request("B", TOKEN, "1");
        let prompt = prompts(&mut story).pop().unwrap();
        ending(&mut story);
        let outputs = story.poll();
        let withdrawn = matches!(&outputs[..], [Output::PromptWithdrawn { .. }]);
        assert_eq!(withdrawn, number != 0, "{number}: {outputs:?}");
        story.handle(Input::PromptAnswered {
            prompt: prompt.id,
            allowed: vec![name(TOKEN)],
        });
        story.request("B", TOKEN, "1");
        story.pass(20 * 60);
        assert!(story.poll().is_empty(), "{number}");
    }
}

// shows: SHR-17
#[test]
fn a_cancellation_counts_even_when_it_comes_first_and_only_for_its_device() {
    let mut story = Story::new(allowing());
    story.cancel("B", "1");
    story.cancel("Z", "2");
    story.restart();
    story.request("B", TOKEN, "1");
    assert!(story.shares().is_empty());
    story.request("C", TOKEN, "1");
    assert_eq!(story.shares().len(), 1);
    assert_eq!(
        story.sharing.ignored(Ignored::UnknownDevice),
        0,
        "counts begin anew"
    );
}

// shows: AGT-04, SHR-17, RQ-07
#[test]
fn a_locked_machine_answers_after_it_is_unlocked_unless_it_is_too_late() {
    for (seconds, shared) in [(15 * 60 - 1, 1), (15 * 60, 0)] {
        let mut story = Story::new(allowing());
        story.handle(Input::Locked);
        story.request("B", TOKEN, "1");
        story.pass(seconds);
        story.restart();
        assert!(story.sharing.is_locked());
        assert!(story.poll().is_empty());
        story.handle(Input::Unlocked);
        assert_eq!(story.shares().len(), shared);
    }
}

#[test]
fn nothing_is_shared_that_is_not_held_or_with_what_is_no_name() {
    let mut story = Story::new(Policy::default());
    for secret in [
        "org.example.unknown",
        "m.cross_signing",
        "m.secret_storage.key.x",
        "",
    ] {
        story.request("B", secret, "1");
        assert!(story.poll().is_empty(), "{secret}");
    }
}

#[test]
fn pushes_to_every_verified_device_and_not_by_the_rate() {
    let policy = Policy::default().with_rule(SecretName::backup_key(), Rule::Allow);
    let mut story = Story::new(policy);
    story.account.devices.get_mut("C").unwrap().signed = false;
    story.query();
    for number in 0..5 {
        let push_id = RequestId::new(format!("{number}")).unwrap();
        story.handle(Input::Push {
            name: SecretName::backup_key(),
            push_id,
        });
        let shares = story.shares();
        assert_eq!(shares.len(), 1);
        let authorised = story.authorise(shares[0].id).unwrap();
        assert_eq!(authorised.device().device_id, "B");
        assert_eq!(authorised.event_type(), "io.element.msc4385.secret.push");
        assert_eq!(
            authorised.content(&Secret::new("x")).as_str(),
            r#"{"name":"m.megolm_backup.v1","secret":"x"}"#
        );
    }
    // Nor do they take anything of the rate of the answers.
    story.request("B", "m.megolm_backup.v1", "asked");
    let share = story.shares()[0].id;
    assert!(story.authorise(share).is_ok());
    // What must not be shared must not be pushed.
    let push_id = RequestId::new("m").unwrap();
    story.handle(Input::Push {
        name: SecretName::master_key(),
        push_id,
    });
    assert!(story.shares().is_empty());
}

// shows: SHR-10
#[test]
fn an_alarm_is_lifted_by_the_user_only() {
    let mut story = Story::new(allowing());
    story.account.seed = 50;
    story.query();
    story.account.seed = 1;
    story.query();
    story.request("B", TOKEN, "1");
    assert!(story.shares().is_empty());
    let master = story.account.master().public_key();
    story.trust.pin(master, PinnedBy::PrivateKey);
    story.query();
    story.request("B", TOKEN, "2");
    assert_eq!(story.shares().len(), 1);
    assert_eq!(story.trust.user_id(), USER);
}

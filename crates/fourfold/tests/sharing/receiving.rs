//! Every check of a secret that arrives, each broken alone.

use fourfold::identity::{PinnedBy, TombstoneReason};
use fourfold::sharing::{
    Alert, Assurance, Channel, Ignored, Input, Origin, Output, Policy, Settled,
};
use fourfold::{BackupVersion, Content, Secret, SecretName};

use crate::own_devices::{Account, USER, backup_json, forge, key};
use crate::story::{Story, name, plain};

const TOKEN: &str = "org.example.token";

/// A machine that asked for the token, with the request sent.
fn asked(secret: &str) -> Story {
    let mut story = Story::new(Policy::default().with_requests_of_master_key());
    story.ask(secret, "1");
    story.poll();
    story
}

fn token() -> Secret {
    Secret::new("s3cret")
}

#[test]
fn takes_the_answer_of_a_verified_device_that_was_asked() {
    let mut story = asked(TOKEN);
    let olm = story.account.olm("B");
    story.answer("1", &token(), olm);
    let mut received = story.received();
    let received = received.pop().unwrap();
    assert_eq!(received.name, name(TOKEN));
    assert_eq!(received.from.device_id, "B");
    assert_eq!(received.standing, Assurance::Untyped);
    assert!(matches!(&received.origin, Origin::Requested(id) if id.as_str() == "1"));
    let Settled::New(value) = received.settle(None) else {
        panic!("nothing was held");
    };
    assert!(value.is_same(&token()));
}

#[test]
fn takes_the_longest_secret_that_there_may_be() {
    let mut story = asked(TOKEN);
    let olm = story.account.olm("B");
    let longest = Secret::new("x".repeat(Secret::MAX_BYTES));
    story.answer("1", &longest, olm);
    assert_eq!(story.received().len(), 1);
}

/// What is wrong with the answer, and why it must be ignored. After it, a right one is taken: the
/// wrong one did not use the request up.
// shows: SHR-04, SHR-05
#[test]
fn ignores_an_answer_with_one_thing_wrong() {
    type Fault = fn(&mut Story);
    let faults: [(&str, Fault, Ignored); 11] = [
        (
            "unencrypted",
            |story| story.answer("1", &token(), plain()),
            Ignored::NotEncrypted,
        ),
        (
            "another user",
            |story| {
                let Channel::Olm {
                    curve25519,
                    ed25519,
                    ..
                } = story.account.olm("B")
                else {
                    unreachable!()
                };
                let sender = "@mallory:example.org".to_owned();
                story.answer(
                    "1",
                    &token(),
                    Channel::Olm {
                        sender,
                        curve25519,
                        ed25519,
                    },
                );
            },
            Ignored::OtherUser,
        ),
        (
            "no such session key",
            |story| {
                let Channel::Olm { ed25519, .. } = story.account.olm("B") else {
                    unreachable!()
                };
                let curve25519 = fourfold::identity::Curve25519PublicKey::from_bytes([99; 32]);
                let curve25519 = curve25519.unwrap();
                let sender = USER.to_owned();
                story.answer(
                    "1",
                    &token(),
                    Channel::Olm {
                        sender,
                        curve25519,
                        ed25519,
                    },
                );
            },
            Ignored::UnknownDevice,
        ),
        (
            "another signing key than the device's",
            |story| {
                let Channel::Olm { curve25519, .. } = story.account.olm("B") else {
                    unreachable!()
                };
                let ed25519 = key(99).public_key();
                let sender = USER.to_owned();
                story.answer(
                    "1",
                    &token(),
                    Channel::Olm {
                        sender,
                        curve25519,
                        ed25519,
                    },
                );
            },
            Ignored::UnknownDevice,
        ),
        (
            "another request ID",
            |story| {
                let olm = story.account.olm("B");
                story.answer("2", &token(), olm);
            },
            Ignored::NotOpen,
        ),
        (
            "not a string",
            |story| {
                let olm = story.account.olm("B");
                story.event("m.secret.send", r#"{"request_id":"1","secret":7}"#, olm);
            },
            Ignored::Malformed,
        ),
        (
            "empty",
            |story| {
                let olm = story.account.olm("B");
                story.answer("1", &Secret::new(""), olm);
            },
            Ignored::Malformed,
        ),
        (
            "too long",
            |story| {
                let olm = story.account.olm("B");
                story.answer("1", &Secret::new("x".repeat(Secret::MAX_BYTES + 1)), olm);
            },
            Ignored::Malformed,
        ),
        (
            "not signed by the identity",
            |story| {
                story.account.devices.get_mut("B").unwrap().signed = false;
                story.query();
                let olm = story.account.olm("B");
                story.answer("1", &token(), olm);
                story.account.devices.get_mut("B").unwrap().signed = true;
                story.query();
            },
            Ignored::NotTrusted,
        ),
        (
            "of a device that was blocked",
            |story| {
                let now = story.now;
                story.trust.tombstone("B", TombstoneReason::Blocked, now);
                let olm = story.account.olm("B");
                story.answer("1", &token(), olm);
                let gone =
                    |output: &Output| matches!(output, Output::Alert(Alert::GoneDevice { .. }));
                assert!(story.poll().iter().any(gone));
                let key = story.account.devices["B"].ed25519();
                assert!(story.trust.confirm("B", key, now));
            },
            Ignored::NotTrusted,
        ),
        (
            "locked",
            |story| {
                story.handle(Input::Locked);
                let olm = story.account.olm("B");
                story.answer("1", &token(), olm);
                story.handle(Input::Unlocked);
            },
            Ignored::Locked,
        ),
    ];
    for (what, fault, reason) in faults {
        let mut story = asked(TOKEN);
        fault(&mut story);
        assert!(story.received().is_empty(), "{what}");
        assert_eq!(story.sharing.ignored(reason), 1, "{what}");
        let olm = story.account.olm("B");
        story.answer("1", &token(), olm);
        assert_eq!(story.received().len(), 1, "after: {what}");
    }
}

// shows: SHR-10
#[test]
fn ignores_answers_while_the_identity_is_not_the_pinned_one() {
    let mut story = asked(TOKEN);
    let pinned = story.account.master().public_key();
    story.account.seed = 50;
    story.query();
    story.account.seed = 1;
    // The alarm stays, whatever the server says afterwards, and over a restart.
    story.query();
    story.trust = serde_json::from_str(&serde_json::to_string(&story.trust).unwrap()).unwrap();
    let olm = story.account.olm("B");
    story.answer("1", &token(), olm.clone());
    assert!(story.received().is_empty());
    story.trust.pin(pinned, PinnedBy::Verified);
    story.answer("1", &token(), olm);
    assert_eq!(story.received().len(), 1);
}

// shows: SHR-04
#[test]
fn ignores_a_verified_device_that_was_not_asked() {
    let mut story = Story::new(Policy::default());
    story.handle(Input::Ask {
        name: name(TOKEN),
        request_id: fourfold::sharing::RequestId::new("1").unwrap(),
        recipients: fourfold::sharing::Recipients::Devices(vec!["C".to_owned()]),
    });
    let olm = story.account.olm("B");
    story.answer("1", &token(), olm);
    assert!(story.received().is_empty());
    assert_eq!(story.sharing.ignored(Ignored::NotAsked), 1);
}

// shows: SHR-02, SHR-04
#[test]
fn ignores_a_device_that_took_the_id_of_one_that_was_asked() {
    let mut story = asked(TOKEN);
    story.account.devices.get_mut("B").unwrap().seed = 120;
    story.query();
    let key = story.account.devices["B"].ed25519();
    let now = story.now;
    assert!(story.trust.confirm("B", key, now));
    let olm = story.account.olm("B");
    story.answer("1", &token(), olm);
    assert!(story.received().is_empty());
    assert_eq!(story.sharing.ignored(Ignored::NotAsked), 1);
}

// shows: SHR-04
#[test]
fn ignores_an_answer_that_comes_too_late() {
    for (seconds, taken) in [(15 * 60 - 1, 1), (15 * 60, 0)] {
        let mut story = asked(TOKEN);
        let olm = story.account.olm("B");
        // No tick in between: the answer itself brings the time.
        story.now = fourfold::Timestamp::from_millis(story.now.as_millis() + seconds * 1000);
        story.answer("1", &token(), olm);
        assert_eq!(story.received().len(), taken, "{seconds}");
    }
}

// shows: LIB-09, SHR-05
#[test]
fn compares_keys_with_what_is_pinned_or_published() {
    for secret in [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
        SecretName::backup_key(),
    ] {
        let mut story = asked(secret.as_str());
        let olm = story.account.olm("B");
        let wrong = Secret::new(fourfold::base64::encode([42; 32]));
        story.answer("1", &wrong, olm.clone());
        let outputs = story.poll();
        assert!(
            matches!(&outputs[..], [Output::Alert(Alert::InvalidValue { .. })]),
            "{secret}: {outputs:?}"
        );
        let right = story.account.secret(&secret);
        story.answer("1", &right, olm);
        let standing = &story.received()[0].standing;
        let is_backup = secret == SecretName::backup_key();
        assert_eq!(
            matches!(standing, Assurance::ServerBackup { version } if version == "1"),
            is_backup
        );
        assert_eq!(matches!(standing, Assurance::Pinned { .. }), !is_backup);
    }
}

// shows: SHR-08
#[test]
fn tells_a_backup_that_the_pinned_master_key_signed_from_any_other() {
    let secret = SecretName::backup_key();
    let users = Account::new(3);
    for (signers, tampers, is_signed) in [
        (vec![], false, false),
        (vec![50], false, false),
        // Devices come and go; the master key stands for the user.
        (vec![users.seed + 1], false, false),
        (vec![users.seed], true, false),
        (vec![50, users.seed], false, true),
    ] {
        let mut story = asked(secret.as_str());
        let mut body = Content::from_json(&backup_json()).unwrap();
        let mut auth_data = body.object("auth_data").unwrap().unwrap();
        for signer in &signers {
            forge(*signer, &mut auth_data);
        }
        if tampers {
            auth_data.insert("added", "later");
        }
        body.insert("auth_data", &auth_data);
        story.published_keys.backup = Some(BackupVersion::from_json(&body.to_json()).unwrap());
        let (olm, value) = (story.account.olm("B"), story.account.secret(&secret));
        story.answer("1", &value, olm);
        let standing = &story.received()[0].standing;
        let is_said = matches!(standing, Assurance::SignedBackup { version } if version == "1");
        assert_eq!(is_said, is_signed, "{} signers", signers.len());
        let is_not = matches!(standing, Assurance::ServerBackup { version } if version == "1");
        assert_eq!(is_not, !is_signed, "{} signers", signers.len());
    }
}

#[test]
fn takes_no_key_that_nothing_is_known_to_compare_with() {
    // The pinned keys are known whatever the server publishes; the others are not.
    for (secret, taken) in [
        (SecretName::master_key(), true),
        (SecretName::self_signing_key(), true),
        (SecretName::user_signing_key(), false),
        (SecretName::backup_key(), false),
    ] {
        let mut story = asked(secret.as_str());
        story.published_keys = fourfold::PublishedKeys::default();
        let (olm, value) = (story.account.olm("B"), story.account.secret(&secret));
        story.answer("1", &value, olm.clone());
        assert_eq!(!story.received().is_empty(), taken, "{secret}");
    }
    // PublishedKeys of another identity, which an honest driver would not have: the pin decides.
    for secret in [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
    ] {
        let mut story = asked(secret.as_str());
        let mut other = Account::new(3);
        other.seed = 50;
        story.published_keys = other.published_keys();
        let olm = story.account.olm("B");
        story.answer("1", &other.secret(&secret), olm);
        assert!(story.received().is_empty(), "{secret}");
    }
}

// shows: SHR-06
#[test]
fn the_first_valid_answer_wins_and_another_value_is_an_alert() {
    let mut story = asked(TOKEN);
    let (b, c) = (story.account.olm("B"), story.account.olm("C"));
    story.answer("1", &token(), b.clone());
    story.answer("1", &token(), b);
    story.answer("1", &token(), c.clone());
    assert_eq!(story.received().len(), 1);
    assert_eq!(story.sharing.ignored(Ignored::Late), 2);
    story.answer("1", &Secret::new("other"), c);
    assert!(matches!(
        &story.poll()[..],
        [Output::Alert(Alert::ConflictingAnswers { device_id, .. })] if device_id == "C"
    ));
}

// shows: SHR-06
#[test]
fn a_value_that_conflicts_with_the_held_one_is_kept_apart() {
    for (held, expected) in [("s3cret", "Same"), ("older", "Conflict")] {
        let mut story = asked(TOKEN);
        let olm = story.account.olm("B");
        story.answer("1", &token(), olm);
        let settled = story.received().remove(0).settle(Some(&Secret::new(held)));
        assert!(format!("{settled:?}").starts_with(expected));
    }
}

// shows: SHR-22
#[test]
fn takes_pushes_only_of_names_that_the_policy_lists() {
    let json = r#"{"name":"org.example.token","secret":"s3cret"}"#;
    for event_type in ["m.secret.push", "io.element.msc4385.secret.push"] {
        let mut story = Story::new(Policy::default());
        let olm = story.account.olm("B");
        story.event(event_type, json, olm.clone());
        assert!(story.received().is_empty());

        let mut story = Story::new(Policy::default().with_pushes_of(name(TOKEN)));
        story.event(event_type, json, plain());
        story.handle(Input::Locked);
        story.event(event_type, json, olm.clone());
        story.handle(Input::Unlocked);
        assert!(story.received().is_empty());
        story.event(event_type, json, olm.clone());
        let received = story.received();
        assert_eq!(received[0].origin, Origin::Pushed);
        // A flood is bounded.
        for _ in 0..100 {
            story.event(event_type, json, olm.clone());
        }
        assert_eq!(story.received().len(), 19);
    }
}

#[test]
fn a_pushed_key_is_compared_too() {
    let mut story = Story::new(Policy::default().with_pushes_of(SecretName::backup_key()));
    for (seed, taken) in [([42; 32], 0), ([7; 32], 1)] {
        let value = fourfold::base64::encode(seed);
        let json = format!(r#"{{"name":"m.megolm_backup.v1","secret":"{value}"}}"#);
        let olm = story.account.olm("B");
        story.event("m.secret.push", &json, olm);
        assert_eq!(story.received().len(), taken);
    }
}

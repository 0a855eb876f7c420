//! What is trusted, what a lying server can do about it, and what may be signed.

use fourfold::Content;
use fourfold::identity::{
    DeviceKeys, DeviceTrust, IdentityAlarm, PinnedBy, TombstoneReason, Trust, TrustChange,
    UserKeys, UserKeysError, check_same_device,
};

use crate::own_devices::{Account, Device, USER, at, forge, key, observe};

// shows: SHR-09
#[test]
fn a_device_is_verified_by_the_chain_from_the_pinned_master_key() {
    let account = Account::new(2);
    let mut trust = Trust::new(USER, "A");
    observe(&mut trust, &account.keys(), at(1));
    // What the server showed first is nothing.
    assert_eq!(trust.verdict("B"), DeviceTrust::NotPinned);
    trust.pin(key(77).public_key(), PinnedBy::Verified);
    assert_eq!(trust.verdict("B"), DeviceTrust::IdentityUnusable);
    trust.pin(account.master().public_key(), PinnedBy::Verified);
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    assert_eq!(trust.verdict("A"), DeviceTrust::ThisDevice);
    assert_eq!(trust.verdict("Z"), DeviceTrust::Unknown);
}

// shows: SHR-09
#[test]
fn only_the_pinned_identity_vouches_for_a_device() {
    for (signed, signer) in [
        (false, None),
        (true, Some(66)),
        (true, Some(1)),
        (true, Some(3)),
    ] {
        let mut account = Account::new(2);
        let device = account.devices.get_mut("B").unwrap();
        (device.signed, device.signer) = (signed, signer);
        assert_eq!(account.trust("A").verdict("B"), DeviceTrust::NotSigned);
    }
    let mut account = Account::new(2);
    account.devices.get_mut("B").unwrap().dehydrated = true;
    assert_eq!(account.trust("A").verdict("B"), DeviceTrust::Dehydrated);
}

// shows: SHR-10
#[test]
fn another_master_key_is_an_alarm_until_the_user_pins_again() {
    let mut account = Account::new(2);
    let mut trust = account.trust("A");
    let pinned = account.master().public_key();
    account.seed = 50;
    let alarm = IdentityAlarm::MasterKeyChanged {
        pinned,
        published: account.master().public_key(),
    };
    let changes = observe(&mut trust, &account.keys(), at(1));
    assert!(
        changes.contains(&TrustChange::IdentityChanged(alarm)),
        "{changes:?}"
    );
    account.seed = 1;
    assert!(observe(&mut trust, &account.keys(), at(2)).is_empty());
    let json = serde_json::to_string(&trust).unwrap();
    let mut trust: Trust = serde_json::from_str(&json).unwrap();
    assert_eq!(trust.alarm(), Some(&alarm));
    assert_eq!(trust.verdict("B"), DeviceTrust::IdentityChanged);
    trust.pin(pinned, PinnedBy::Verified);
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
}

// shows: SHR-10
#[test]
fn only_the_user_puts_another_identity_in_the_place_of_the_pinned_one() {
    let mut account = Account::new(2);
    let mut trust = account.trust("A");
    let pinned = account.master().public_key();
    account.seed = 50;
    let master = account.master().public_key();
    observe(&mut trust, &account.keys(), at(1));
    for how in [PinnedBy::PrivateKey, PinnedBy::Verified] {
        let other = trust.hold_on(master, how).unwrap_err();
        assert_eq!((other.pinned, other.master), (pinned, master));
        assert_eq!(trust.pinned().map(|(key, _)| key), Some(pinned));
        assert!(trust.alarm().is_some());
    }
    trust.hold_on(pinned, PinnedBy::Verified).unwrap();
    trust.pin(master, PinnedBy::Verified);
    assert_eq!(trust.pinned(), Some((master, PinnedBy::Verified)));
    let mut new = Trust::new(account.keys().user_id(), "A");
    new.hold_on(master, PinnedBy::PrivateKey).unwrap();
}

/// The master key stays and the self-signing key is replaced, well signed by the master or not.
// shows: SHR-10
#[test]
fn another_self_signing_key_is_an_alarm_even_when_the_master_key_signed_it() {
    for signed in [true, false] {
        let account = Account::new(2);
        let mut trust = account.trust("A");
        let body = Content::from_json(&account.keys_query()).unwrap();
        let other = key(66).public_key();
        let mut content = Content::from_json(&format!(
            r#"{{"user_id":"{USER}","usage":["self_signing"],"keys":{{"{}":"{other}"}}}}"#,
            other.key_id()
        ))
        .unwrap();
        if signed {
            forge(account.seed, &mut content);
        }
        let mut of_user = Content::default();
        of_user.insert(USER, &content);
        let mut changed = body.clone();
        changed.insert("self_signing_keys", &of_user);
        let keys = UserKeys::from_keys_query(USER, &changed.to_json()).unwrap();
        observe(&mut trust, &keys, at(1));
        let pinned = account.self_signing().public_key();
        let published = other;
        assert_eq!(
            trust.alarm(),
            Some(&IdentityAlarm::SelfSigningKeyChanged { pinned, published })
        );
        // The user looks at it and agrees: the new key is pinned, if the master key signed it.
        trust.pin(account.master().public_key(), PinnedBy::Verified);
        assert_eq!(trust.pinned_self_signing_key(), signed.then_some(other));
        assert!(!trust.verdict("B").is_verified());
    }
}

#[test]
fn an_identity_that_is_not_published_is_no_alarm_but_vouches_for_nobody() {
    let account = Account::new(2);
    for member in ["master_keys", "self_signing_keys"] {
        let mut trust = account.trust("A");
        let mut body = Content::from_json(&account.keys_query()).unwrap();
        body.remove(member);
        let keys = UserKeys::from_keys_query(USER, &body.to_json()).unwrap();
        assert!(observe(&mut trust, &keys, at(1)).contains(&TrustChange::IdentityUnusable));
        assert_eq!(trust.verdict("B"), DeviceTrust::IdentityUnusable);
        observe(&mut trust, &account.keys(), at(2));
        assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    }
}

// shows: SHR-14
#[test]
fn a_device_that_went_or_changed_stays_untrusted_until_the_user_verifies_it() {
    type Change = fn(&mut Account, &mut Trust);
    let changes: [(Change, TombstoneReason); 4] = [
        (
            |account, trust| {
                let device = account.devices.remove("B").unwrap();
                observe(trust, &account.keys(), at(1));
                account.devices.insert("B".to_owned(), device);
            },
            TombstoneReason::Disappeared,
        ),
        (
            |account, _| account.devices.get_mut("B").unwrap().seed = 120,
            TombstoneReason::KeysChanged,
        ),
        (
            |_, trust| trust.tombstone("B", TombstoneReason::Blocked, at(1)),
            TombstoneReason::Blocked,
        ),
        (
            |_, trust| trust.tombstone("B", TombstoneReason::LoggedOut, at(1)),
            TombstoneReason::LoggedOut,
        ),
    ];
    for (change, reason) in changes {
        let mut account = Account::new(2);
        let mut trust = account.trust("A");
        change(&mut account, &mut trust);
        observe(&mut trust, &account.keys(), at(2));
        let json = serde_json::to_string(&trust).unwrap();
        let mut trust: Trust = serde_json::from_str(&json).unwrap();
        observe(&mut trust, &account.keys(), at(3));
        assert_eq!(trust.verdict("B"), DeviceTrust::Tombstoned(reason));
        assert!(!trust.confirm("B", key(99).public_key(), at(4)));
        assert_eq!(trust.verdict("B"), DeviceTrust::Tombstoned(reason));
        assert!(trust.confirm("B", account.devices["B"].ed25519(), at(4)));
        assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    }
}

/// Devices that were signed once are never forgotten, so that is what must be remembered of them.
// shows: SHR-14
#[test]
fn a_device_that_was_signed_once_counts_as_that_when_it_goes() {
    let shown = |trust: &mut Trust, signed: &[Option<bool>]| {
        for (second, signed) in (1..).zip(signed) {
            let mut account = Account::new(2);
            if let Some(signed) = signed {
                account.devices.get_mut("B").unwrap().signed = *signed;
            } else {
                account.devices.remove("B");
            }
            observe(trust, &account.keys(), at(second));
        }
    };
    for (signed, was_signed) in [
        (vec![Some(false), None], false),
        (vec![Some(true), None], true),
        // The server leaves the signature out before it lets the device go, or shows it late.
        (vec![Some(true), Some(false), None], true),
        (vec![Some(false), Some(true), None], true),
        // It went already, and comes again.
        (vec![Some(false), None, Some(true), None], true),
        (vec![Some(true), None, Some(false), None], true),
    ] {
        let mut trust = Account::new(1).trust("A");
        shown(&mut trust, &signed);
        let tombstone = trust.tombstone_of("B").unwrap();
        assert_eq!(tombstone.was_signed, was_signed, "{signed:?}");
    }
}

#[test]
fn a_device_whose_id_is_too_long_leaves_nothing() {
    let mut trust = Trust::new(USER, "A");
    let longest = "x".repeat(DeviceKeys::MAX_ID_BYTES);
    for (id, is_remembered) in [(longest.clone(), true), (longest + "x", false)] {
        trust.tombstone(&id, TombstoneReason::Blocked, at(1));
        assert_eq!(trust.tombstone_of(&id).is_some(), is_remembered);
    }
}

#[test]
fn an_answer_that_leaves_things_out_buries_nobody() {
    let mut account = Account::new(3);
    let mut trust = account.trust("A");
    account.devices.remove("A");
    let changes = observe(&mut trust, &account.keys(), at(1));
    assert_eq!(changes, [TrustChange::ThisDeviceMissing]);
    assert!(!trust.is_fresh());
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    for body in [
        "{}",
        r#"{"device_keys":{}}"#,
        r#"{"device_keys":{},"failures":{"example.org":{}}}"#,
        r#"{"device_keys":{"@mallory:example.org":{}}}"#,
    ] {
        let error = UserKeys::from_keys_query(USER, body).unwrap_err();
        assert_eq!(error, UserKeysError::UserMissing, "{body}");
    }
}

#[test]
fn a_later_log_in_buries_the_device_of_the_earlier_one() {
    let account = Account::new(2);
    let same = account.trust("A").for_device("A", at(1));
    assert!(same.tombstone_of("A").is_none());
    assert!(!same.is_fresh());
    let mut later = account.trust("A").for_device("B", at(1));
    assert_eq!(later.device_id(), "B");
    assert_eq!(later.verdict("B"), DeviceTrust::ThisDevice);
    let gone = DeviceTrust::Tombstoned(TombstoneReason::LoggedOut);
    assert_eq!(later.verdict("A"), gone);
    assert!(!later.is_fresh());
    // However well it is signed, as long as the server lists it.
    observe(&mut later, &account.keys(), at(2));
    assert!(later.is_fresh());
    assert_eq!(later.verdict("A"), gone);
}

#[test]
fn an_alarm_says_which_key_changed_from_what_to_what() {
    let (pinned, published) = (key(1).public_key(), key(2).public_key());
    for (alarm, which) in [
        (
            IdentityAlarm::MasterKeyChanged { pinned, published },
            "the master key",
        ),
        (
            IdentityAlarm::SelfSigningKeyChanged { pinned, published },
            "the self-signing key",
        ),
    ] {
        let text = alarm.to_string();
        assert!(text.starts_with(which), "{text}");
        assert!(text.contains(&format!("from {pinned} to {published}")));
    }
}

// shows: SHR-11
#[test]
fn a_list_is_fresh_when_it_was_queried_after_the_last_change() {
    let account = Account::new(2);
    let mut trust = account.trust("A");
    assert!(trust.is_fresh());
    let json = serde_json::to_string(&trust).unwrap();
    assert!(!serde_json::from_str::<Trust>(&json).unwrap().is_fresh());
    trust.mark_stale();
    assert!(!trust.is_fresh());
    trust.query_started();
    trust.mark_stale();
    observe(&mut trust, &account.keys(), at(1));
    assert!(!trust.is_fresh(), "it changed while the query ran");
    trust.query_started();
    observe(&mut trust, &account.keys(), at(1));
    assert!(trust.is_fresh());
}

// shows: SHR-07
#[test]
fn a_device_with_the_id_of_a_cross_signing_key_stops_verification() {
    let account = Account::new(2);
    let master = account.master().public_key().to_base64();
    let url_safe = master.replace('+', "-").replace('/', "_");
    for id in [
        master.clone(),
        format!("{master}="),
        url_safe,
        account.self_signing().public_key().to_base64(),
        account.user_signing().public_key().to_base64(),
    ] {
        let mut account = Account::new(2);
        let device = Device {
            seed: 130,
            ..account.devices["B"].clone()
        };
        account.devices.insert(id.clone(), device);
        let mut trust = account.trust("A");
        assert_eq!(trust.verdict(&id), DeviceTrust::CollidingId, "{id}");
        assert_eq!(trust.colliding_device(), Some(id.as_str()));
        trust.confirm(&id, key(130).public_key(), at(1));
        assert_eq!(trust.verdict(&id), DeviceTrust::CollidingId, "{id}");
    }
}

#[test]
fn knows_its_own_device_as_it_was_built_here() {
    let account = Account::new(1);
    let local = account.device_keys("A", &account.devices["A"]);
    let mut served = local.clone();
    served.insert("unsigned", &serde_json::json!({"device_display_name": "x"}));
    check_same_device(&local, &served).unwrap();
    let other = account.device_keys(
        "A",
        &Device {
            seed: 120,
            ..account.devices["A"].clone()
        },
    );
    for member in ["keys", "user_id", "device_id", "algorithms"] {
        let mut wrong = served.clone();
        wrong.insert(member, &"x");
        assert_eq!(
            check_same_device(&local, &wrong).unwrap_err().member,
            member
        );
        wrong.remove(member);
        assert_eq!(
            check_same_device(&local, &wrong).unwrap_err().member,
            member
        );
    }
    assert_eq!(
        check_same_device(&local, &other).unwrap_err().member,
        "keys"
    );
}

// shows: LIB-22
#[test]
fn what_a_server_lists_is_bounded() {
    let mut devices = serde_json::Map::new();
    for number in 0..1001 {
        devices.insert(number.to_string(), serde_json::json!({}));
    }
    let body = serde_json::json!({"device_keys": {USER: devices}}).to_string();
    let error = UserKeys::from_keys_query(USER, &body).unwrap_err();
    assert_eq!(error, UserKeysError::TooManyDevices);

    // Devices that nobody signed come and go: only the newest are remembered. What was signed, and
    // what the user blocked, never is forgotten.
    let account = Account::new(2);
    let mut trust = account.trust("A");
    trust.tombstone("B", TombstoneReason::Blocked, at(1));
    for number in 0..3000 {
        trust.tombstone(
            &format!("x{number}"),
            TombstoneReason::Disappeared,
            at(2 + number),
        );
    }
    assert!(trust.tombstone_of("B").is_some());
    assert!(trust.tombstone_of("x0").is_none());
    assert!(trust.tombstone_of("x2999").is_some());
    assert!(serde_json::to_string(&trust).unwrap().len() < 200_000);
}

// shows: SHR-14
#[test]
fn a_full_table_of_tombstones_trusts_no_new_device_by_its_signature() {
    let account = Account::new(2);
    let mut trust = account.trust("A");
    for number in 0..10_000 {
        trust.tombstone(&format!("x{number}"), TombstoneReason::LoggedOut, at(1));
    }
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    trust.tombstone("one more", TombstoneReason::LoggedOut, at(1));
    assert_eq!(trust.verdict("B"), DeviceTrust::TooManyTombstones);
    assert!(trust.confirm("B", account.devices["B"].ed25519(), at(2)));
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
}

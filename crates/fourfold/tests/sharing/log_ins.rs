//! Devices whose keys are shown, and who is logged in.

use fourfold::identity::{
    DeviceTrust, LogIn, LoggedInDevices, TombstoneReason, Trust, TrustChange,
};
use fourfold::sharing::{Alert, Ignored, Input, Output, Policy, Recipients, Rule, ShareRefusal};

use crate::own_devices::{Account, all_of, at, observe};
use crate::story::{Story, name};

const TOKEN: &str = "org.example.token";

fn only(ids: &[&str]) -> LoggedInDevices {
    ids.iter().copied().collect()
}

fn again(trust: &Trust) -> Trust {
    serde_json::from_str(&serde_json::to_string(trust).unwrap()).unwrap()
}

// shows: SHR-11, SHR-14
#[test]
fn a_device_that_is_not_logged_in_is_trusted_with_nothing_and_not_again() {
    let account = Account::new(3);
    let mut trust = account.trust("A");
    let changes = trust.observe(&account.keys(), Some(&only(&["A", "C"])), at(1));
    let reason = TombstoneReason::NotLoggedIn;
    let device_id = "B".to_owned();
    assert_eq!(changes, [TrustChange::Tombstoned { device_id, reason }]);
    assert_eq!(trust.verdict("B"), DeviceTrust::NotLoggedIn);
    assert_eq!(trust.verdict("C"), DeviceTrust::Verified);
    assert!(trust.is_fresh());
    // Said once.
    let changes = trust.observe(&account.keys(), Some(&only(&["A", "C"])), at(2));
    assert_eq!(changes, []);
    // It comes back, or nothing more is said of it: it went.
    let mut silent = again(&trust);
    assert_eq!(silent.observe(&account.keys(), None, at(3)), []);
    assert_eq!(silent.verdict("B"), DeviceTrust::NotLoggedIn);
    assert_eq!(observe(&mut trust, &account.keys(), at(3)), []);
    assert_eq!(trust.verdict("B"), DeviceTrust::Tombstoned(reason));
    assert!(trust.confirm("B", account.devices["B"].ed25519(), at(4)));
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
}

#[test]
fn to_confirm_a_device_does_not_log_it_in() {
    let account = Account::new(2);
    let mut trust = account.trust("A");
    trust.observe(&account.keys(), Some(&only(&["A"])), at(1));
    assert!(trust.confirm("B", account.devices["B"].ed25519(), at(2)));
    assert_eq!(trust.verdict("B"), DeviceTrust::NotLoggedIn);
    trust.observe(&account.keys(), Some(&only(&["A"])), at(3));
    assert_eq!(trust.device("B").unwrap().confirmed, None);
}

#[test]
fn a_device_that_was_never_logged_in_as_far_as_is_known_is_not_trusted() {
    let account = Account::new(2);
    for answer in [None, Some(LoggedInDevices::default()), Some(only(&["B"]))] {
        let mut trust = Trust::new(crate::own_devices::USER, "A");
        trust.pin(
            account.master().public_key(),
            fourfold::identity::PinnedBy::Verified,
        );
        let changes = trust.observe(&account.keys(), answer.as_ref(), at(1));
        assert!(changes.contains(&TrustChange::LogInsUnknown), "{changes:?}");
        assert_eq!(trust.verdict("B"), DeviceTrust::LogInUnknown);
        assert_eq!(trust.verified_devices().count(), 0);
        assert!(trust.waits_for_log_ins());
        // It is said once, also over a restart.
        let mut trust = again(&trust);
        let changes = trust.observe(&account.keys(), answer.as_ref(), at(2));
        assert_eq!(changes, []);
        let changes = observe(&mut trust, &account.keys(), at(3));
        let device_id = "B".to_owned();
        assert_eq!(changes, [TrustChange::Verified { device_id }]);
        assert!(!trust.waits_for_log_ins());
    }
}

#[test]
fn a_server_that_does_not_say_takes_nothing_from_those_that_were_logged_in() {
    let mut account = Account::new(3);
    let newcomer = account.devices.remove("C").unwrap();
    let mut trust = account.trust("A");
    account.devices.insert("C".to_owned(), newcomer);
    let changes = trust.observe(&account.keys(), None, at(1));
    assert!(changes.contains(&TrustChange::LogInsUnknown));
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    assert_eq!(trust.verdict("C"), DeviceTrust::LogInUnknown);
    assert!(again(&trust).device("B").unwrap().log_in == LogIn::Listed);
    // What was known of a device was known of its keys.
    account.devices.get_mut("B").unwrap().seed = 120;
    trust.observe(&account.keys(), None, at(2));
    trust.confirm("B", account.devices["B"].ed25519(), at(3));
    assert_eq!(trust.verdict("B"), DeviceTrust::LogInUnknown);
}

#[test]
fn nobody_waits_for_what_would_change_nothing() {
    let mut account = Account::new(2);
    account.devices.get_mut("B").unwrap().signed = false;
    let mut trust = account.trust("A");
    let changes = trust.observe(&account.keys(), None, at(1));
    assert_eq!(changes, []);
    assert!(!trust.waits_for_log_ins());
    assert_eq!(trust.verdict("B"), DeviceTrust::NotSigned);
}

#[test]
fn an_answer_about_log_ins_is_no_use_without_the_one_about_keys() {
    let mut account = Account::new(2);
    let mut trust = account.trust("A");
    account.devices.remove("A");
    let changes = trust.observe(&account.keys(), Some(&only(&["A"])), at(1));
    assert_eq!(changes, [TrustChange::ThisDeviceMissing]);
    assert_eq!(trust.verdict("B"), DeviceTrust::Verified);
    assert!(!trust.is_fresh());
}

#[test]
fn every_use_of_a_device_goes_by_the_same_judgement() {
    let policy = Policy::default().with_rule(name(TOKEN), Rule::Allow);
    let mut story = Story::new(policy);
    story.request("B", TOKEN, "1");
    let [share] = &story.shares()[..] else {
        panic!("nothing to share");
    };
    let keys = story.account.keys();
    let gone = only(&["A", "C"]);
    story.trust.observe(&keys, Some(&gone), story.now);
    let refused = story.authorise(share.id).unwrap_err();
    assert_eq!(refused, ShareRefusal::NotTrusted(DeviceTrust::NotLoggedIn));
    story.poll();
    // A request in its name: an alert that says why, and nothing else.
    story.request("B", TOKEN, "2");
    let [Output::Alert(Alert::GoneDevice { trust, .. })] = &story.poll()[..] else {
        panic!("no alert");
    };
    assert_eq!(trust.to_string(), "it is not logged in");
    // It is not asked, and its answers are not taken.
    story.handle(Input::Ask {
        name: name(TOKEN),
        request_id: fourfold::sharing::RequestId::new("3").unwrap(),
        recipients: Recipients::Verified,
    });
    let outputs = story.poll();
    let asked = outputs.iter().find_map(|output| match output {
        Output::Send(send) => Some(send.devices.clone()),
        _ => None,
    });
    assert_eq!(asked.unwrap(), ["C"]);
    let channel = story.account.olm("B");
    story.answer("3", &fourfold::Secret::new("s3cret"), channel);
    assert!(story.received().is_empty());
    let ignored = story.sharing.ignored(Ignored::NotTrusted);
    assert_eq!(ignored, 2);
}

#[test]
fn a_request_waits_until_the_server_says_that_the_device_is_logged_in() {
    let policy = Policy::default().with_rule(name(TOKEN), Rule::Allow);
    let mut story = Story::new(policy);
    let mut trust = Trust::new(crate::own_devices::USER, "A");
    trust.pin(
        story.account.master().public_key(),
        fourfold::identity::PinnedBy::Verified,
    );
    trust.observe(&story.account.keys(), None, story.now);
    story.trust = trust;
    story.request("B", TOKEN, "1");
    assert!(story.shares().is_empty());
    let keys = story.account.keys();
    let now = story.now;
    story.trust.observe(&keys, Some(&all_of(&keys)), now);
    story.handle(Input::TrustChanged);
    assert_eq!(story.shares().len(), 1);
}

#[test]
fn this_device_is_judged_as_others_judge_it() {
    let mut account = Account::new(2);
    assert_eq!(
        account.trust("A").verdict_on_this_device(),
        DeviceTrust::Verified
    );
    account.devices.get_mut("A").unwrap().signed = false;
    let trust = account.trust("A");
    assert_eq!(trust.verdict_on_this_device(), DeviceTrust::NotSigned);
    let nobody = Trust::new(crate::own_devices::USER, "A");
    assert_eq!(nobody.verdict_on_this_device(), DeviceTrust::Unknown);
    let mut unpinned = nobody;
    observe(&mut unpinned, &account.keys(), at(1));
    assert_eq!(unpinned.verdict_on_this_device(), DeviceTrust::NotPinned);
    let master = account.master().public_key().to_base64();
    let device = account.devices["B"].clone();
    account.devices.insert(master.clone(), device);
    let colliding = account.trust(&master);
    assert_eq!(colliding.verdict_on_this_device(), DeviceTrust::CollidingId);
}

// shows: SHR-14
#[test]
fn a_machine_that_knows_nothing_sees_who_is_not_logged_in() {
    let account = Account::new(2);
    let keys = account.keys();
    for (logged_in, expected) in [
        (Some(only(&["A"])), DeviceTrust::NotLoggedIn),
        (Some(only(&["A", "B"])), DeviceTrust::NotPinned),
        (None, DeviceTrust::NotPinned),
    ] {
        let seen = DeviceTrust::at_first_sight("B", &keys, logged_in.as_ref());
        assert_eq!(seen, expected);
    }
    let unknown = DeviceTrust::at_first_sight("C", &keys, Some(&only(&["C"])));
    assert_eq!(unknown, DeviceTrust::Unknown);
}

// Whom nobody can sit at, nobody can compare emoji with.
// shows: SHR-14
#[test]
fn a_device_that_is_not_logged_in_is_not_verified() {
    assert!(!DeviceTrust::NotLoggedIn.may_be_verified());
    assert!(DeviceTrust::Tombstoned(TombstoneReason::NotLoggedIn).may_be_verified());
}

//! Devices that claim the keys of another one.

use fourfold::identity::{Trust, UserKeys};
use fourfold::sharing::Policy;
use serde_json::Value;

use crate::own_devices::{Account, Device, USER, at, key, observe};
use crate::story::Story;

/// What the server shows when a device of this name, signed or not, has the Curve25519 key of `B`
/// among its own.
fn with_claimant(account: &Account, id: &str, seed: u8, signed: bool) -> UserKeys {
    let claimant = Device {
        seed,
        signed,
        session_seed: Some(account.devices["B"].seed),
        ..account.devices["B"].clone()
    };
    let content = account.device_keys(id, &claimant);
    let mut body: Value = serde_json::from_str(&account.keys_query()).unwrap();
    body["device_keys"][USER][id] = serde_json::from_str(&content.to_json()).unwrap();
    UserKeys::from_keys_query(USER, &body.to_string()).unwrap()
}

fn knowing(account: &Account, keys: &UserKeys) -> Trust {
    let mut trust = account.trust("A");
    observe(&mut trust, keys, at(1));
    trust
}

// Anybody can put the Curve25519 key of another device among his own. Its ID sorts before or after.
// shows: SHR-02
#[test]
fn of_several_that_claim_a_key_the_verified_one_counts() {
    let account = Account::new(2);
    let b = &account.devices["B"];
    for id in ["AA", "M"] {
        let trust = knowing(&account, &with_claimant(&account, id, 140, false));
        assert!(trust.device(id).is_some());
        let found = trust.device_by_curve25519(b.curve25519()).unwrap();
        assert_eq!(found.device_id, "B");
        let claimants = trust.claimants(b.curve25519());
        let claimants: Vec<_> = claimants.iter().map(|one| &*one.device_id).collect();
        assert_eq!(claimants, ["B", id]);
        let both = trust.device_by_keys(b.curve25519(), b.ed25519()).unwrap();
        assert_eq!(both.device_id, "B");
        let both = trust.device_by_keys(b.curve25519(), key(140).public_key());
        assert_eq!(both.unwrap().device_id, id);
    }
}

#[test]
fn a_key_that_one_device_claims_is_its_own_whether_it_is_verified_or_not() {
    for signed in [true, false] {
        let mut account = Account::new(2);
        account.devices.get_mut("B").unwrap().signed = signed;
        let trust = account.trust("A");
        let found = trust.device_by_curve25519(account.devices["B"].curve25519());
        assert_eq!(found.unwrap().device_id, "B");
    }
}

#[test]
fn a_key_that_two_equal_devices_claim_belongs_to_none() {
    let mut account = Account::new(2);
    let curve25519 = account.devices["B"].curve25519();
    let trust = knowing(&account, &with_claimant(&account, "M", 140, true));
    assert!(trust.device_by_curve25519(curve25519).is_none());
    account.devices.get_mut("B").unwrap().signed = false;
    let trust = knowing(&account, &with_claimant(&account, "M", 140, false));
    assert!(trust.device_by_curve25519(curve25519).is_none());
    assert_eq!(trust.claimants(curve25519).len(), 2);
}

// One owner lists both of its keys twice, and only one of the devices is verified.
#[test]
fn of_several_with_the_same_keys_the_verified_one_counts() {
    let account = Account::new(2);
    let b = &account.devices["B"];
    let trust = knowing(&account, &with_claimant(&account, "AA", b.seed, false));
    let found = trust.device_by_keys(b.curve25519(), b.ed25519()).unwrap();
    assert_eq!(found.device_id, "B");
}

#[test]
fn a_claimant_does_not_deafen_the_device_that_was_asked() {
    let mut story = Story::new(Policy::default());
    story.ask("org.example.token", "1");
    story.poll();
    let keys = with_claimant(&story.account, "AA", 140, false);
    observe(&mut story.trust, &keys, story.now);
    let channel = story.account.olm("B");
    story.answer("1", &fourfold::Secret::new("s3cret"), channel);
    assert_eq!(story.received().len(), 1);
}

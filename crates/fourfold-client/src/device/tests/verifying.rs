//! Two devices verify each other over a server.

use super::household::Household;
use super::*;
use crate::{CancelCode, ShortString, VerificationEvent};

fn events<'a>(
    household: &'a Household,
    id: &str,
) -> impl Iterator<Item = (&'a String, &'a VerificationEvent)> {
    let told = household.told.get(id).into_iter().flatten();
    told.filter_map(|event| match event {
        DeviceEvent::Verification { id, event } => Some((id, event)),
        _ => None,
    })
}

fn shown(household: &Household, id: &str) -> Option<ShortString> {
    events(household, id).find_map(|(_, event)| match event {
        VerificationEvent::Compare(shown) => Some(shown.clone()),
        _ => None,
    })
}

fn verified(household: &Household, id: &str) -> Option<(String, bool)> {
    events(household, id).find_map(|(_, event)| match event {
        VerificationEvent::Verified {
            device_id,
            master_key,
            ..
        } => Some((device_id.clone(), master_key.is_some())),
        _ => None,
    })
}

/// An old device that pinned the identity and a new one that nobody signed.
async fn old_and_new() -> Household {
    let mut household = Household::new(&["OLD"]).await;
    household.add("NEW").await;
    household.settle().await;
    household.told.clear();
    household
}

async fn comparing(household: &mut Household) -> String {
    let id = household.device("NEW").verify(None).unwrap();
    household.flush("NEW").await.unwrap();
    household.sync("OLD").await.unwrap();
    let asked = events(household, "OLD")
        .map(|(id, _)| id.clone())
        .next()
        .unwrap();
    assert_eq!(asked, id);
    household.device("OLD").agree_to_verify(&id).unwrap();
    household.settle().await;
    id
}

#[tokio::test]
async fn a_new_device_and_an_old_one_verify_each_other() {
    let mut household = old_and_new().await;
    let id = comparing(&mut household).await;
    let both = (shown(&household, "OLD"), shown(&household, "NEW"));
    assert!(both.0.is_some());
    assert_eq!(both.0, both.1);
    for device in ["OLD", "NEW"] {
        household.device(device).compared(&id, true).unwrap();
    }
    household.settle().await;
    // The new one learns the identity from the old one, and not the other way round.
    let expected = (Some(("NEW".into(), false)), Some(("OLD".into(), true)));
    assert_eq!(
        (verified(&household, "OLD"), verified(&household, "NEW")),
        expected
    );
}

// The one that asked may be a client that waits for its user to start.
#[tokio::test]
async fn the_device_that_agreed_may_start() {
    let mut household = old_and_new().await;
    let id = household.device("NEW").verify(None).unwrap();
    household.flush("NEW").await.unwrap();
    household.sync("OLD").await.unwrap();
    household.device("OLD").agree_to_verify(&id).unwrap();
    household.device("OLD").start_comparing(&id).unwrap();
    household.flush("OLD").await.unwrap();
    let starts = household.fake.with(|world| {
        let mut delivered = world.delivered.iter();
        delivered.any(|(_, to, event)| {
            to == "NEW" && event.to_string().contains("key_agreement_protocols")
        })
    });
    assert!(starts);
    household.settle().await;
    let both = (shown(&household, "OLD"), shown(&household, "NEW"));
    assert!(both.0.is_some());
    assert_eq!(both.0, both.1);
}

// shows: SHR-07
#[tokio::test]
async fn keys_that_change_meanwhile_change_nothing() {
    let mut household = old_and_new().await;
    let id = comparing(&mut household).await;
    let ed25519 = household.device("NEW").ed25519().to_owned();
    // The server replaces the keys of the new device.
    let mut other = Machine::named("https://h", "NEW");
    let other = Device::create(&mut other.state, &key(9)).unwrap();
    household.fake.with(|world| {
        let keys = household::value(other.device_keys());
        world.device_keys.insert("NEW".into(), keys);
        world.changed();
    });
    household.sync("OLD").await.unwrap();
    for device in ["OLD", "NEW"] {
        household.device(device).compared(&id, true).unwrap();
    }
    household.settle().await;
    let key = events(&household, "OLD").find_map(|(_, event)| match event {
        VerificationEvent::Verified { ed25519, .. } => Some(ed25519.to_base64()),
        _ => None,
    });
    assert_eq!(key, Some(ed25519));
}

// shows: SHR-07, MS-10
#[tokio::test]
async fn a_device_that_is_named_like_a_key_ends_all_verifying() {
    for (member, padding) in [
        ("master_keys", ""),
        ("master_keys", "="),
        ("self_signing_keys", "="),
    ] {
        let mut household = old_and_new().await;
        for_new_to_ask(&mut household, "before").await;
        assert!(events(&household, "OLD").count() > 0);
        let key = household.fake.with(|world| {
            let keys = world.cross_signing[member]["keys"].clone();
            let keys = keys.as_object().unwrap();
            keys.values().next().unwrap().as_str().unwrap().to_owned()
        });
        household.add(&format!("{key}{padding}")).await;
        household.sync("OLD").await.unwrap();
        household.told.clear();
        // Neither when this device asks, nor when it is asked.
        assert!(matches!(
            household.device("OLD").verify(Some(&["NEW"])),
            Err(DeviceError::NotVerifiable)
        ));
        for_new_to_ask(&mut household, "after").await;
        assert_eq!(events(&household, "OLD").count(), 0, "{member}{padding}");
    }
    let mut household = old_and_new().await;
    household.device("OLD").verify(Some(&["NEW"])).unwrap();
}

/// What NEW would send to ask, whatever it knows.
async fn for_new_to_ask(household: &mut Household, id: &str) {
    let content = serde_json::json!({
        "from_device": "NEW",
        "methods": ["m.sas.v1"],
        "timestamp": clock::wall_clock(),
        "transaction_id": id,
    });
    household.fake.with(|world| {
        world.deliver("OLD", "m.key.verification.request", USER, &content);
    });
    household.sync("OLD").await.unwrap();
}

#[tokio::test]
async fn whoever_finds_a_difference_ends_it_for_both() {
    let mut household = old_and_new().await;
    let id = comparing(&mut household).await;
    household.device("OLD").compared(&id, false).unwrap();
    household.device("NEW").compared(&id, true).unwrap();
    household.settle().await;
    assert_eq!(verified(&household, "OLD"), None);
    assert_eq!(verified(&household, "NEW"), None);
    for (device, expected) in [("OLD", true), ("NEW", false)] {
        let cancelled = events(&household, device).any(|(_, event)| {
            matches!(
                event,
                VerificationEvent::Cancelled { code: CancelCode::MismatchedSas, by_us }
                    if *by_us == expected
            )
        });
        assert!(cancelled, "{device}");
    }
}

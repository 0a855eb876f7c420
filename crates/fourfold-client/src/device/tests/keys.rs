//! Keys: made once, kept sealed, published the same way until the server has them.

use fourfold::identity::{PinnedBy, TombstoneReason};
use fourfold::signable::{KeyUsage, Signable};
use fourfold::signed_json::{PublicKey, SigningKey};

use super::*;
use crate::testing::{Reply, Server, once};

#[test]
fn keys_are_made_once_and_opened_again() {
    let mut machine = Machine::new("https://h");
    assert!(!Device::exists(&machine.state).unwrap());
    assert!(matches!(
        Device::open(&mut machine.state, &key(1)),
        Err(DeviceError::NoKeys)
    ));
    let made = Device::create(&mut machine.state, &key(1)).unwrap();
    assert!(Device::exists(&machine.state).unwrap());
    assert!(matches!(
        Device::create(&mut machine.state, &key(1)),
        Err(DeviceError::Exists)
    ));
    let opened = Device::open(&mut machine.state, &key(1)).unwrap();
    assert_eq!(opened.ed25519(), made.ed25519());
    assert_eq!(opened.device_keys().to_json(), made.device_keys().to_json());
    let error = Device::open(&mut machine.state, &key(2)).unwrap_err();
    assert!(error.to_string().contains("does not open"), "{error}");
}

#[test]
fn keys_of_an_earlier_session_are_not_used_for_a_later_one() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("f");
    let log_in = |device: &str| {
        let token = session("https://h").access_token().clone();
        let session = Session::new("https://h", USER, Some(device.to_owned()), token);
        LocalState::create(&folder, &session).unwrap()
    };
    let mut state = log_in("ONE");
    let mut first = Device::create(&mut state, &key(1)).unwrap();
    let identity = PublicKey::from_base64(first.ed25519()).unwrap();
    first.pin(identity, PinnedBy::Verified).unwrap();
    first.distrust("STOLEN", TombstoneReason::Blocked).unwrap();
    let fingerprint = first.ed25519().to_owned();
    drop((first, state));

    let mut state = log_in("TWO");
    assert!(matches!(
        Device::open(&mut state, &key(1)),
        Err(DeviceError::OtherDevice)
    ));
    let second = Device::create(&mut state, &key(1)).unwrap();
    assert_ne!(second.ed25519(), fingerprint);
    assert_eq!(second.device_id(), "TWO");
    // Whom this machine trusts is about the user, not about the log-in.
    let trust = second.trust();
    assert_eq!(trust.device_id(), "TWO");
    assert_eq!(trust.pinned(), Some((identity, PinnedBy::Verified)));
    for (device_id, reason) in [
        ("STOLEN", TombstoneReason::Blocked),
        ("ONE", TombstoneReason::LoggedOut),
    ] {
        assert_eq!(trust.tombstone_of(device_id).unwrap().reason, reason);
    }
    drop((second, state));
    // Another sealing key opens nothing of it, and nothing is left.
    let mut state = log_in("THREE");
    let third = Device::create(&mut state, &key(2)).unwrap();
    assert_eq!(third.trust().pinned(), None);
}

// shows: AGT-12
#[test]
fn the_state_stays_locked_while_the_device_lives() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("f");
    let mut state = LocalState::create(&folder, &session("https://h")).unwrap();
    let device = Device::create(&mut state, &key(1)).unwrap();
    drop(state);
    assert!(matches!(
        LocalState::open(&folder, USER),
        Err(crate::LocalStateError::Locked { .. })
    ));
    drop(device);
    LocalState::open(&folder, USER).unwrap();
}

#[test]
fn device_keys_are_complete_and_signed_by_themselves() {
    let mut machine = Machine::new("https://h");
    let device = Device::create(&mut machine.state, &key(1)).unwrap();
    let content = device.device_keys();
    let public_key = PublicKey::from_base64(device.ed25519()).unwrap();
    public_key
        .verify_as(content, USER, "ed25519:DEVICE")
        .unwrap();
    let keys = content.object("keys").unwrap().unwrap();
    assert_eq!(
        keys.members().collect::<Vec<_>>(),
        ["curve25519:DEVICE", "ed25519:DEVICE"]
    );
    assert_eq!(
        content.raw("algorithms"),
        Some(r#"["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"]"#)
    );
}

#[test]
fn a_signature_leaves_others_in_place_and_covers_the_object_without_them() {
    let mut machine = Machine::new("https://h");
    let device = Device::create(&mut machine.state, &key(1)).unwrap();
    let master = SigningKey::from_seed(&[9; 32].into());
    let public_key = master.public_key();
    let mut object = Signable::cross_signing_key(USER, KeyUsage::Master, public_key);
    master.sign(&mut object, USER).unwrap();
    device.sign(&mut object).unwrap();
    PublicKey::from_base64(device.ed25519())
        .unwrap()
        .verify_as(object.content(), USER, "ed25519:DEVICE")
        .unwrap();
    public_key.verify(object.content(), USER).unwrap();
}

#[tokio::test]
async fn the_same_keys_are_uploaded_until_the_server_has_them() {
    let counts = r#"{"one_time_key_counts":{"signed_curve25519":50}}"#;
    let server = Server::scripted([Reply::error(400, "M_UNKNOWN"), Reply::json(200, counts)]).await;
    let (account, _) = server.account(&once());
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    device.upload_keys(&account).await.unwrap_err();
    drop(device);
    let mut device = Device::open(&mut machine.state, &key(1)).unwrap();
    device.upload_keys(&account).await.unwrap();
    device.upload_keys(&account).await.unwrap();

    let received = server.received();
    assert_eq!(received.len(), 2, "nothing is uploaded that is there");
    assert_eq!(received[0].body, received[1].body);
    let body = Content::from_json(&received[0].body).unwrap();
    let public_key = PublicKey::from_base64(device.ed25519()).unwrap();
    for (member, count) in [("one_time_keys", 50), ("fallback_keys", 1)] {
        let keys = body.object(member).unwrap().unwrap();
        assert_eq!(keys.members().count(), count);
        for id in keys.members() {
            assert!(id.starts_with("signed_curve25519:"));
            let key = keys.object(id).unwrap().unwrap();
            public_key.verify_as(&key, USER, "ed25519:DEVICE").unwrap();
        }
    }
    assert!(
        body.raw("fallback_keys")
            .unwrap()
            .contains(r#""fallback":true"#)
    );
}

#[tokio::test]
async fn nothing_is_uploaded_for_another_device() {
    let server = Server::scripted([]).await;
    let (homeserver, _) = server.homeserver(&once());
    let token = session("https://h").access_token().clone();
    let other = Session::new(&server.base_url, USER, Some("OTHER".to_owned()), token);
    let account = homeserver.account(other).unwrap();
    let mut machine = Machine::new(&server.base_url);
    let mut device = Device::create(&mut machine.state, &key(1)).unwrap();
    assert!(matches!(
        device.upload_keys(&account).await,
        Err(DeviceError::OtherDevice)
    ));
    assert!(server.received().is_empty());
}

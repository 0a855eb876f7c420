//! A homeserver that puts more into the data of a key backup than belongs there, so that the master
//! key signs it.

use fourfold_hostile::Forger;
use serde_json::{Value, json};

use crate::{
    homeserver::Homeserver,
    key_endpoints::{Scene, sealed},
    proxy::Message,
};

/// The user's second machine sets itself up with the recovery key, while the server shows this in
/// `auth_data` beside the public key, and no signature. What the machine sent is returned.
fn sent_when_shown(members: &Value) -> Vec<String> {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let second = scene.machine();
    let before = scene.proxy.seen().len();
    let members = members.as_object().unwrap().clone();
    scene.lie(move |request, honest| {
        let line = request.first_line();
        if !line.starts_with("GET ") || !line.contains("/room_keys/version ") {
            return None;
        }
        let mut answer = honest.clone();
        let auth_data = answer["auth_data"].as_object_mut().unwrap();
        auth_data.remove("signatures");
        auth_data.extend(members.clone());
        Some(Message::json(&answer))
    });
    let key = scene.alice.folder.name_of("key");
    sealed(&second, &["setup", "--yes", "--recovery-key-file", &key]).run();
    let seen = scene.proxy.seen();
    seen.iter()
        .skip(before)
        .map(|(request, _)| String::from_utf8_lossy(&request.body).into_owned())
        .collect()
}

// The server makes a self-signing key of its own out of the backup, which would make its device
// one of the user's.
// shows: SHR-15
#[test]
fn a_backup_that_is_a_cross_signing_key_too_is_not_signed() {
    let evil = Forger::from_seed([66; 32]).public_key();
    let lie = json!({
        "user_id": "@alice:localhost",
        "usage": ["self_signing"],
        "keys": {format!("ed25519:{evil}"): evil},
    });
    let sent = sent_when_shown(&lie);
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|body| !body.contains(&evil)));
}

// Members that nobody knows today could mean anything tomorrow.
// shows: SHR-15
#[test]
fn what_is_not_known_of_a_backup_is_not_signed() {
    let sent = sent_when_shown(&json!({"org.example.unknown": "of the liar"}));
    assert!(sent.iter().all(|body| !body.contains("of the liar")));
    // What is known is signed, so that the lie keeps nobody from the backup.
    let is_signed = |body: &String| body.contains("public_key") && body.contains("signatures");
    assert!(sent.iter().any(is_signed));
}

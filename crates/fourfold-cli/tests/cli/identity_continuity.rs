//! What a machine that knows an identity, a key backup or a store makes of a homeserver that does not
//! show it: never a new one.

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::key_endpoints::{Scene, sealed};
use crate::peer::Peer;

const SEEDS: [&str; 3] = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
];

const UPLOAD: &str = "/device_signing/upload";

/// Nobody opens what secret storage holds of the identity any more.
fn spoil_seeds(server: &Homeserver, name: &str) {
    let other = server.other_client(name);
    for secret in SEEDS {
        let content = other.content(secret).unwrap();
        let mut content: Value = serde_json::from_str(&content).unwrap();
        for entry in content["encrypted"].as_object_mut().unwrap().values_mut() {
            entry["mac"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        }
        other.put(secret, &content.to_string());
    }
    other.log_out();
}

fn verify(machine: &Person, key: &str, more: &[&str]) -> crate::invocation::Invocation {
    let verify = ["device", "verify", "--recovery-key-file", key];
    sealed(machine, &verify).arguments(more.iter().copied())
}

// shows: SHR-10, STO-06
#[test]
fn an_identity_that_is_hidden_is_not_replaced() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();
    spoil_seeds(&server, "alice");
    scene.proxy.play("no-identity");
    let is_refused = || {
        let refused = scene.set_up().run();
        refused.fails(5).says("does not show the identity");
        refused.says("fourfold setup --reset-identity");
        assert_eq!(scene.requests_to(UPLOAD), 1);
        assert_eq!(scene.master_key(), master);
    };
    is_refused();
    // The machine remembers it in a later log-in.
    scene.alice.call(&["logout"]).run().succeeds();
    scene.alice.log_in().run().succeeds();
    is_refused();
    // It is the user who replaces it.
    scene.be_honest();
    let password = scene.alice.folder.write("password", PASSWORD);
    let reset = scene.set_up().arguments(["--reset-identity"]);
    reset
        .arguments(["--password-file", &password])
        .run()
        .succeeds();
    assert_ne!(scene.master_key(), master);
    scene.set_up().run().says("everything is set up").succeeds();
}

// A machine that knows nothing, and secret storage that says that there was an identity.
#[test]
fn an_identity_whose_keys_do_not_open_is_not_replaced_by_a_new_machine() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    spoil_seeds(&server, "alice");
    scene.proxy.play("no-identity");
    let machine = scene.machine();
    let key = scene.alice.folder.name_of("key");
    let refused = sealed(&machine, &["setup", "--yes", "--recovery-key-file", &key]).run();
    refused.fails(5).says("private keys of one");
    assert_eq!(scene.requests_to(UPLOAD), 1);
}

// Another machine of the user has replaced the identity.
// shows: SHR-10
#[test]
fn another_identity_is_held_on_to_when_the_user_says_so() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let machine = scene.machine();
    let key = scene.alice.folder.name_of("key");
    verify(&machine, &key, &[]).run().succeeds();
    let password = machine.folder.write("password", PASSWORD);
    sealed(&machine, &["setup", "--yes", "--reset-identity"])
        .arguments(["--recovery-key-file", &key, "--password-file", &password])
        .run()
        .succeeds();
    let signed = scene.requests_to("/signatures/upload");

    let refused = scene.set_up().run();
    refused.fails(5).says("--accept-identity");
    let refused = verify(&scene.alice, &key, &[]).run();
    refused.fails(5).says("--accept-identity");
    assert_eq!(scene.requests_to("/signatures/upload"), signed);
    let accepted = verify(&scene.alice, &key, &["--accept-identity"]).run();
    accepted
        .says("replaces the one that this machine knew")
        .succeeds();
    scene.set_up().run().says("everything is set up").succeeds();
    let listed = scene.alice.call(&["device", "ls", "--json"]).run().json();
    for device in listed.as_array().unwrap() {
        let keys = &device["fingerprint"];
        assert!(keys.is_null() || device["is_verified"] == true, "{device}");
    }
}

// shows: STO-06
#[test]
fn a_key_backup_that_is_hidden_is_not_replaced() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let makes = || scene.requests_to("POST /_matrix/client/v3/room_keys/version");
    assert_eq!(makes(), 1);
    scene.proxy.play("no-backup");
    let before = server.other_client("alice").everything();
    scene.set_up().run().fails(5).says("--new-backup");
    scene.alice.call(&["logout"]).run().succeeds();
    scene.alice.log_in().run().succeeds();
    scene.set_up().run().fails(5).says("--new-backup");
    assert_eq!(makes(), 1);
    assert_eq!(server.other_client("alice").everything(), before);
    // The user has deleted it, and says so.
    scene.be_honest();
    let other = Peer::log_in(&server.address, "alice");
    other.call("DELETE", "room_keys/version/1", &json!({}));
    scene.set_up().run().fails(5);
    let done = scene.set_up().arguments(["--new-backup", "--json"]).run();
    assert_eq!(done.json()["backup_version"], "2");
    scene.set_up().run().says("everything is set up").succeeds();
}

// shows: STO-06
#[test]
fn a_store_that_is_hidden_is_not_replaced() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let before = server.other_client("alice").everything();
    let (puts, uploads) = (scene.requests_to("PUT "), scene.requests_to("/upload"));
    for lie in [
        "no-account-data",
        "nothing-but-an-empty-default-key",
        "nothing-but-a-null-default-key",
    ] {
        scene.proxy.play(lie);
        let new = scene.alice.folder.name_of("new");
        sealed(
            &scene.alice,
            &["setup", "--yes", "--recovery-key-out", &new],
        )
        .run()
        .fails(5);
        assert!(!scene.alice.folder.join("new").exists());
    }
    assert_eq!(scene.requests_to("PUT "), puts);
    assert_eq!(scene.requests_to("/upload"), uploads);
    assert_eq!(server.other_client("alice").everything(), before);
}

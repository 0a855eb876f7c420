//! A device that cannot do what is asked of it says why, and what leads on.

use serde_json::json;

use crate::homeserver::Homeserver;
use crate::key_endpoints::{Scene, sealed};
use crate::peer::Peer;
use crate::ways_out::{device_id, is_complete, other_client_puts, with_key};

const MASTER: &str = "m.cross_signing.master";
const BACKUP: &str = "m.megolm_backup.v1";

#[test]
fn a_device_without_the_master_key_says_the_same_everywhere() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    other_client_puts(&server, &[(MASTER, "{}")]);
    let machine = scene.machine();
    for _ in 0..2 {
        let verified = with_key(&scene, &machine, &["device", "verify"]).run();
        verified
            .says("trusts no other device")
            .says("fourfold device verify DEVICE");
        assert!(
            verified
                .succeeds()
                .starts_with("this device is signed, and verified for")
        );
        let ls = sealed(&machine, &["device", "ls"]).run().succeeds();
        assert_eq!(
            ls.matches("signed, but NOT verified here").count(),
            2,
            "{ls}"
        );
        let request = ["request", BACKUP, "--timeout", "1s"];
        let request = sealed(&machine, &request).run();
        request.fails(8).says("fourfold device verify DEVICE");
    }
}

/// The homeserver keeps a signature of an earlier device with this ID.
fn keep_signature(scene: &Scene<'_>, device_id: &str) {
    let device_id = device_id.to_owned();
    let user_id = scene.alice.user_id.clone();
    scene.lie_about_keys(move |answer| {
        let own = format!("ed25519:{device_id}");
        let Some(device) = answer["device_keys"][&user_id].get_mut(&device_id) else {
            return;
        };
        let signatures = device["signatures"][&user_id].as_object_mut().unwrap();
        for (id, signature) in signatures {
            if *id != own {
                *signature = json!("A".repeat(86));
            }
        }
    });
}

#[test]
fn a_device_whose_id_was_used_before_gets_another_one() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    keep_signature(&scene, &device_id(&scene.alice));
    let refused = scene.set_up().run();
    refused.says("the signature of an earlier device");
    refused.fails(8).says("fourfold resume --abandon");
    let master = scene.master_key();
    scene.alice.call(&["resume", "--abandon"]).run().succeeds();
    scene.alice.call(&["logout"]).run().succeeds();
    scene.alice.log_in().run().succeeds();
    scene.set_up().run().succeeds();
    assert_eq!(scene.master_key(), master, "what was made is kept");
    is_complete(&scene, &scene.alice, &scene.alice.folder.name_of("key"));

    let machine = scene.machine();
    keep_signature(&scene, &device_id(&machine));
    for _ in 0..2 {
        let refused = with_key(&scene, &machine, &["device", "verify"]).run();
        refused.says("the signature of an earlier device");
        refused.fails(8).says("fourfold logout");
    }
    machine.call(&["logout"]).run().succeeds();
    machine.log_in().run().succeeds();
    with_key(&scene, &machine, &["device", "verify"])
        .run()
        .succeeds();
}

// shows: SHR-07
#[test]
fn emoji_are_compared_only_where_that_verifies_something() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let (first, second) = (&scene.alice, scene.machine());
    // Neither knows an identity.
    let peer = Peer::log_in(&server.address, "alice");
    let sent = || scene.requests_to("/sendToDevice/m.key.verification");
    let verify = |id: &str| sealed(&second, &["device", "verify", id]).run();
    verify(&peer.device_id)
        .fails(8)
        .says("comparing emoji verifies neither of them");
    verify("NOBODY").fails(8).says("there is no device NOBODY");
    let this = device_id(&second);
    verify(&this).fails(8).says("is this device");
    verify(&device_id(first)).fails(8).says("has no keys");
    assert_eq!(sent(), 0);

    scene.set_up().run().succeeds();
    let known = sealed(first, &["device", "verify", &peer.device_id]).run();
    known
        .fails(2)
        .says("there is no terminal to compare emoji on");
    let waiting = sealed(first, &["device", "verify", "--emoji"]).run();
    waiting.fails(2).says("there is no terminal");
    assert_eq!(sent(), 0);
}

//! `device`: verifying this device, signing another one, and a homeserver that shows false keys.

use serde_json::{Value, json};

use crate::{
    homeserver::{Homeserver, PASSWORD, Person},
    key_endpoints::{Scene, sealed},
    proxy::Message,
};

/// A user with an identity, and a second machine that is logged in and not verified.
fn scene(server: &Homeserver) -> (Scene, Person) {
    let scene = Scene::new(server, "alice");
    scene.set_up().run().succeeds();
    let machine = scene.machine();
    (scene, machine)
}

fn verify(machine: &Person, scene: &Scene) -> crate::invocation::Invocation {
    let key = scene.alice.folder.name_of("key");
    sealed(machine, &["device", "verify", "--recovery-key-file", &key])
}

fn device_id(person: &Person) -> String {
    let who = person.call(&["whoami", "--json"]).run().json();
    who["device_id"].as_str().unwrap().to_owned()
}

/// One device in the list, as this person sees it.
fn listed(person: &Person, id: &str) -> Value {
    let all = person.call(&["device", "ls", "--json"]).run().json();
    let mut all = all.as_array().unwrap().iter();
    all.find(|device| device["device_id"] == id)
        .unwrap()
        .clone()
}

#[test]
fn a_fresh_login_is_verified_with_the_recovery_key() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    let id = device_id(&machine);
    assert_eq!(listed(&machine, &id)["problem"], "it has no keys");
    let outcome = verify(&machine, &scene).run();
    outcome.says("key:       valid");
    outcome.says("identity:  matches");
    outcome.says("device:    signed, and the homeserver shows it");
    assert!(outcome.succeeds().contains(&id));
    let device = listed(&machine, &id);
    assert_eq!(
        (&device["is_signed"], &device["problem"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(device["is_this_device"], true);

    let again = verify(&machine, &scene).arguments(["--json"]).run().json();
    assert_eq!(again["is_device_signed"], true);
    assert_eq!(again["is_signature_accepted"], Value::Null);
    assert_eq!(again["secrets_opened"].as_array().unwrap().len(), 3);
    assert_eq!(scene.requests_to("/signatures/upload"), 2);
    let text = machine.call(&["device", "ls"]).run().succeeds();
    assert!(
        text.contains(", this device\n    signed by the identity\n"),
        "{text}"
    );
}

#[test]
fn a_wrong_key_signs_nothing() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    let wrong = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d";
    let file = machine.folder.write("wrong", wrong);
    let verify = ["device", "verify", "--json", "--recovery-key-file", &file];
    let outcome = sealed(&machine, &verify).run();
    assert_eq!(outcome.status.code(), Some(3));
    let said: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(
        (&said["is_key_valid"], &said["is_device_signed"]),
        (&json!(false), &json!(false))
    );
    outcome.is_silent_about("EsTc LW2K");
    assert_eq!(scene.requests_to("/signatures/upload"), 1);
}

#[test]
fn keys_that_this_device_does_not_have_are_not_signed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    let (id, user_id) = (device_id(&machine), machine.user_id.clone());
    let stolen = scene.query()["device_keys"][&user_id][device_id(&scene.alice)].clone();
    // Before this device has keys of its own, and after.
    for has_keys in [false, true] {
        let (id, user_id) = (id.clone(), user_id.clone());
        let mut false_keys: Value =
            serde_json::from_str(&stolen.to_string().replace(&device_id(&scene.alice), &id))
                .unwrap();
        false_keys["device_id"] = json!(id);
        scene.lie(move |request, honest| {
            let mut answer = honest?.clone();
            if !request.head.contains("/keys/query ") {
                return None;
            }
            answer["device_keys"][&user_id][&id] = false_keys.clone();
            Some(Message::answer(200, "application/json", answer.to_string()))
        });
        let outcome = verify(&machine, &scene).arguments(["--json"]).run();
        assert_eq!(outcome.status.code(), Some(8), "{}", outcome.stderr);
        outcome.says("nothing was signed");
        let said: Value = serde_json::from_slice(&outcome.stdout).unwrap();
        assert_eq!(said["identity_matches"], true);
        assert_eq!(said["is_device_signed"], false);
        assert_eq!(scene.requests_to("/signatures/upload"), 1);
        scene.be_honest();
        if !has_keys {
            // Its keys are published, and not signed.
            scene.lie(|request, _| {
                let refused = || Message::error(403, "M_FORBIDDEN", "not now");
                request.head.contains("/signatures/upload").then(refused)
            });
            verify(&machine, &scene).run().fails(4);
            assert_eq!(scene.requests_to("/signatures/upload"), 2);
            scene.proxy.seen();
        }
        if has_keys {
            continue;
        }
        // The one that was refused does not count.
        break;
    }
    scene.be_honest();
    verify(&machine, &scene).run().succeeds();
}

#[test]
fn accepted_is_not_signed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    scene.lie(|request, _| {
        let forgotten = || Message::answer(200, "application/json", r#"{"failures":{}}"#);
        request.head.contains("/signatures/upload").then(forgotten)
    });
    // What the scene does honestly behind the lie is undone before it is shown.
    let (id, user_id) = (device_id(&machine), machine.user_id.clone());
    scene.lie(move |request, honest| {
        let mut answer = honest?.clone();
        if !request.head.contains("/keys/query ") {
            return None;
        }
        if let Some(signatures) =
            answer["device_keys"][&user_id][&id]["signatures"][&user_id].as_object_mut()
        {
            signatures.retain(|key, _| *key == format!("ed25519:{id}"));
        }
        Some(Message::answer(200, "application/json", answer.to_string()))
    });
    let outcome = verify(&machine, &scene).arguments(["--json"]).run();
    assert_eq!(outcome.status.code(), Some(8), "{}", outcome.stderr);
    outcome.says("accepted the signature, but does not show it");
    let said: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(said["is_signature_accepted"], true);
    assert_eq!(said["is_device_signed"], false);
    assert_eq!(said["pinned_master_key"], Value::Null);
}

#[test]
fn an_identity_that_the_key_does_not_fit_is_not_believed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    let other = Scene::new(&server, "bob");
    other.set_up().run().succeeds();
    let foreign: Value =
        serde_json::from_str(&other.query().to_string().replace("@bob:", "@alice:")).unwrap();
    let bob =
        fourfold::PublishedIdentity::from_keys_query("@bob:localhost", &other.query().to_string());
    assert!(bob.unwrap().self_signing_key().is_ok());
    scene.change(|keys| {
        for name in ["master_key", "self_signing_key", "user_signing_key"] {
            let key = foreign[format!("{name}s")]["@alice:localhost"].clone();
            keys.identity.insert(name.to_owned(), key);
        }
    });
    verify(&machine, &scene).run().fails(8);
    assert_eq!(scene.requests_to("/signatures/upload"), 1);
}

#[test]
fn another_device_is_signed_by_its_fingerprint_and_removed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    // The machine has keys, and could not be signed.
    scene.lie(|request, _| {
        let refused = || Message::error(403, "M_FORBIDDEN", "not now");
        request.head.contains("/signatures/upload").then(refused)
    });
    verify(&machine, &scene).run().fails(4);
    scene.be_honest();
    let id = device_id(&machine);
    scene.change(|keys| {
        let device = keys.devices.get_mut(&id).unwrap();
        let of_user = device["signatures"]["@alice:localhost"]
            .as_object_mut()
            .unwrap();
        of_user.retain(|key, _| *key == format!("ed25519:{id}"));
    });
    assert_eq!(listed(&scene.alice, &id)["is_signed"], false);

    let fingerprint = listed(&machine, &id)["fingerprint"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = listed(&machine, &device_id(&scene.alice))["fingerprint"].clone();
    let key = scene.alice.folder.name_of("key");
    let sign = |fingerprint: &str| {
        let sign = ["device", "sign", &id, "--fingerprint", fingerprint, "--yes"];
        scene
            .alice
            .call(&sign)
            .arguments(["--recovery-key-file", &key])
            .run()
    };
    sign("not a fingerprint").fails(2);
    sign(own.as_str().unwrap())
        .fails(8)
        .says("nothing was signed");
    sign(&fingerprint.to_lowercase())
        .status
        .code()
        .filter(|code| *code != 0)
        .unwrap();
    assert_eq!(listed(&scene.alice, &id)["is_signed"], false);
    let groups: Vec<_> = fingerprint
        .as_bytes()
        .chunks(4)
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    sign(&groups.join(" ")).succeeds();
    assert_eq!(listed(&scene.alice, &id)["is_signed"], true);
    sign(&fingerprint)
        .says("there is nothing to change")
        .succeeds();

    let remove = |id: &str, more: &[&str]| {
        let remove = scene.alice.call(&["device", "rm", id]);
        remove.arguments(more.iter().copied()).run()
    };
    let password = scene.alice.folder.write("password", PASSWORD);
    remove(&device_id(&scene.alice), &["--yes"])
        .fails(1)
        .says("fourfold logout");
    remove("NOBODY", &["--yes"])
        .fails(1)
        .says("there is no device NOBODY");
    remove(&id, &[]).fails(2).says("--yes");
    remove(&id, &["--yes"]).fails(2).says("--password-file");
    remove(&id, &["--yes", "--password-file", &password]).succeeds();
    machine.call(&["whoami"]).run().fails(4);
}

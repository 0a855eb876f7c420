//! `device`: verifying this device, signing another one, and a homeserver that shows false keys.

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::key_endpoints::{Scene, sealed};

/// A user with an identity, and a second machine that is logged in and not verified.
fn scene(server: &Homeserver) -> (Scene<'_>, Person) {
    let scene = Scene::new(server, "alice");
    scene.set_up().run().succeeds();
    let machine = scene.machine();
    (scene, machine)
}

fn verify(machine: &Person, scene: &Scene<'_>) -> crate::invocation::Invocation {
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
    let problem = &listed(&machine, &id)["problem"];
    assert_eq!(problem, "it has no usable keys");
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
    assert_eq!(device["is_verified"], true);
    // The other one too, because the identity is pinned now.
    let other = listed(&machine, &device_id(&scene.alice));
    assert_eq!(other["is_verified"], true);

    let again = verify(&machine, &scene).arguments(["--json"]).run().json();
    assert_eq!(again["is_device_signed"], true);
    assert_eq!(again["is_signature_accepted"], Value::Null);
    assert_eq!(again["secrets_opened"].as_array().unwrap().len(), 3);
    assert_eq!(scene.requests_to("/signatures/upload"), 2);
    let text = machine.call(&["device", "ls"]).run().succeeds();
    assert!(text.contains(", this device\n    verified\n"), "{text}");
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
    let id = device_id(&machine);
    scene.aim_at(&id);
    let lie = || scene.proxy.play("own-device-with-false-keys");
    let is_refused = || {
        let outcome = verify(&machine, &scene).arguments(["--json"]).run();
        assert_eq!(outcome.status.code(), Some(8), "{}", outcome.stderr);
        outcome.says("nothing was signed");
        let said: Value = serde_json::from_slice(&outcome.stdout).unwrap();
        assert_eq!(said["identity_matches"], true);
        assert_eq!(said["is_device_signed"], false);
    };
    // Before this device has keys of its own, and after.
    lie();
    is_refused();
    scene.refuse("/signatures/upload");
    verify(&machine, &scene).run().fails(4);
    let attempts = scene.requests_to("/signatures/upload");
    lie();
    is_refused();
    let key = scene.alice.folder.name_of("key");
    sealed(&machine, &["setup", "--yes", "--recovery-key-file", &key])
        .run()
        .fails(8);
    assert_eq!(scene.requests_to("/signatures/upload"), attempts);
    scene.be_honest();
    verify(&machine, &scene).run().succeeds();
}

// shows: CLI-10
#[test]
fn accepted_is_not_signed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    // Whatever is signed, the device shows only its own signature.
    scene.aim_at(&device_id(&machine));
    scene.proxy.play("device-that-is-not-verified-any-more");
    let outcome = verify(&machine, &scene).arguments(["--json"]).run();
    assert_eq!(outcome.status.code(), Some(8), "{}", outcome.stderr);
    outcome.says("accepted the signature of the device");
    outcome.says("but does not show it");
    let said: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(said["is_signature_accepted"], true);
    assert_eq!(said["is_device_signed"], false);
    assert_eq!(said["pinned_master_key"], Value::Null);
}

#[test]
fn an_identity_that_the_key_does_not_fit_is_not_believed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    scene.aim_at(&device_id(&machine));
    scene.proxy.play("another-identity");
    verify(&machine, &scene).run().fails(8);
    assert_eq!(scene.requests_to("/signatures/upload"), 1);
}

#[test]
fn another_device_is_signed_by_its_fingerprint_and_removed() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    // The machine has keys, and could not be signed.
    scene.refuse("/signatures/upload");
    verify(&machine, &scene).run().fails(4);
    scene.be_honest();
    let id = device_id(&machine);
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
    let shown = scene.query()["device_keys"][&machine.user_id][&id].clone();
    remove(&id, &["--yes", "--password-file", &password]).succeeds();
    machine.call(&["whoami"]).run().fails(4);
    // Its keys are shown again, signed as ever: this machine remembers.
    let (device_id, user_id) = (id.clone(), machine.user_id.clone());
    scene.lie_about_keys(move |answer| {
        answer["device_keys"][&user_id][&device_id] = shown.clone();
    });
    let again = listed(&scene.alice, &id);
    let expected = (&json!(true), &json!(false));
    assert_eq!((&again["is_signed"], &again["is_verified"]), expected);
    assert_eq!(again["problem"], "it is not logged in");
}

/// The lines that a program gets from a verification by emoji, and how it ended.
fn compare(call: crate::invocation::Invocation, answers: &str) -> (Vec<Value>, Option<i32>) {
    let outcome = call.arguments(["--json"]).stdin(answers).run();
    let lines = outcome.text();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (lines.collect(), outcome.status.code())
}

#[test]
fn two_devices_are_verified_by_emoji_when_both_say_yes() {
    let server = Homeserver::start();
    let (scene, machine) = scene(&server);
    // The machine has keys, and nobody signed it.
    scene.refuse("/signatures/upload");
    verify(&machine, &scene).run().fails(4);
    scene.be_honest();
    let (id, alice) = (device_id(&machine), &scene.alice);
    let key = alice.folder.name_of("key");
    let ask = || {
        let ask = ["device", "verify", id.as_str(), "--recovery-key-file", &key];
        sealed(alice, &ask)
    };
    let answer = || sealed(&machine, &["device", "verify", "--emoji"]);
    for (says, code) in [("no", 8), ("yes", 0)] {
        let says = format!("yes\n{says}\n");
        let (asked, answered) = std::thread::scope(|scope| {
            let answered = scope.spawn(|| compare(answer(), &says));
            let asked = compare(ask(), "yes\n");
            (asked, answered.join().unwrap())
        });
        assert_eq!((asked.1, answered.1), (Some(code), Some(code)));
        assert_eq!(answered.0[0], json!({"requested_by": device_id(alice)}));
        assert_eq!(asked.0[0], answered.0[1]);
        assert_eq!(asked.0[0]["emoji"].as_array().unwrap().len(), 7);
        assert_eq!(listed(alice, &id)["is_signed"], code == 0);
        if code == 0 {
            assert_eq!(asked.0[1]["verified"], id.as_str());
            assert_eq!(asked.0[1]["is_device_signed"], true);
            // The machine knows the identity now, without any recovery key.
            assert_eq!(&answered.0[2]["pinned_master_key"], &master_key(&scene));
            assert_eq!(listed(&machine, &device_id(alice))["is_verified"], true);
        }
    }
    sealed(alice, &["device", "verify", "NOBODY"])
        .run()
        .fails(8)
        .says("fourfold device ls");
}

fn master_key(scene: &Scene<'_>) -> Value {
    let keys = scene.master_key();
    keys.as_object().unwrap().values().next().unwrap().clone()
}

//! Accounts of which something of the identity is lost: each hint leads to a command that works, and
//! nothing that opened before is lost on the way.

use fourfold::identity::UserKeys;
use serde_json::{Value, json};

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::Invocation;
use crate::key_endpoints::{Scene, sealed};
use crate::peer::Peer;
use crate::proxy::Message;
use crate::terminal::Terminal;

const MASTER: &str = "m.cross_signing.master";
const SELF_SIGNING: &str = "m.cross_signing.self_signing";
const USER_SIGNING: &str = "m.cross_signing.user_signing";
const BACKUP: &str = "m.megolm_backup.v1";
const STANDARD: [&str; 4] = [MASTER, SELF_SIGNING, USER_SIGNING, BACKUP];
const DEFAULT: &str = "m.secret_storage.default_key";

/// A call with the recovery key of the account and its password.
pub(crate) fn with_key(scene: &Scene<'_>, machine: &Person, arguments: &[&str]) -> Invocation {
    let key = scene.alice.folder.name_of("key");
    let call = sealed(machine, arguments).arguments(["--recovery-key-file", &key]);
    if arguments.first() == Some(&"setup") {
        let password = machine.folder.write("password", PASSWORD);
        call.arguments(["--password-file", &password])
    } else {
        call
    }
}

/// `setup --reset-identity` of somebody who has the password alone, and wants the new recovery key here.
fn without_key(machine: &Person, new: &str) -> Invocation {
    let password = machine.folder.write("password", PASSWORD);
    let new = machine.folder.name_of(new);
    sealed(machine, &["setup", "--yes", "--reset-identity"]).arguments([
        "--password-file",
        &password,
        "--recovery-key-out",
        &new,
    ])
}

/// All devices with keys are signed by the published identity, and every standard secret is the private
/// half of what is published.
#[track_caller]
pub(crate) fn is_complete(scene: &Scene<'_>, machine: &Person, key: &str) {
    for secret in STANDARD {
        let got = machine.call(&["get", secret, "--json", "--recovery-key-file", key]);
        let got = got.run().json();
        assert_eq!(got["matches_published_key"], true, "{secret}");
        assert_eq!(got["is_default_key"], true, "{secret}");
    }
    let ls = sealed(machine, &["device", "ls", "--json"]).run().json();
    let this = ls.as_array().unwrap().iter();
    let mut this = this.filter(|device| device["is_this_device"] == true);
    let this = this.next().unwrap();
    assert_eq!(this["is_verified"], true, "{this}");
    assert_eq!(signed_devices(scene).1, Vec::<String>::new());
}

/// The devices that the published identity signed, verified here; and the others.
fn signed_devices(scene: &Scene<'_>) -> (Vec<String>, Vec<String>) {
    let user_id = &scene.alice.user_id;
    let keys = UserKeys::from_keys_query(user_id, &scene.query().to_string()).unwrap();
    let key = keys.identity().self_signing_key().unwrap();
    let devices = keys
        .devices()
        .map(|(id, device)| (id, device.as_ref().unwrap()));
    let all: Vec<_> = devices
        .map(|(id, device)| (id.to_owned(), key.verify(device.content(), user_id).is_ok()))
        .collect();
    let of = |signed: bool| {
        let those = all
            .iter()
            .filter(move |(_, is_signed)| *is_signed == signed);
        those.map(|(id, _)| id.clone()).collect()
    };
    (of(true), of(false))
}

/// Another client writes this in place of what is there.
pub(crate) fn other_client_puts(server: &Homeserver, events: &[(&str, &str)]) {
    let other = server.other_client("alice");
    for (event_type, content) in events {
        other.put(event_type, content);
    }
    other.log_out();
}

fn content(server: &Homeserver, event_type: &str) -> String {
    content_of(server, "alice", event_type)
}

fn content_of(server: &Homeserver, name: &str, event_type: &str) -> String {
    let other = server.other_client(name);
    let content = other.content(event_type).unwrap();
    other.log_out();
    content
}

/// What is stored of a secret under a key.
fn entry(server: &Homeserver, name: &str, secret: &str, key_id: &str) -> Value {
    let content: Value = serde_json::from_str(&content_of(server, name, secret)).unwrap();
    let entry = content["encrypted"][key_id].clone();
    assert!(entry.is_object(), "{content}");
    entry
}

#[test]
fn a_signing_key_that_is_lost_is_made_anew_under_the_same_master_key() {
    let server = Homeserver::start();
    for (secret, kind) in [
        (SELF_SIGNING, "self-signing"),
        (USER_SIGNING, "user-signing"),
    ] {
        let name = kind.split('-').next().unwrap();
        let scene = Scene::new(&server, name);
        scene.set_up().run().succeeds();
        let other = server.other_client(name);
        other.put(secret, "{}");
        other.log_out();
        let master = scene.master_key();
        let machine = scene.machine();
        if secret == SELF_SIGNING {
            for arguments in [&["device", "verify"][..], &["setup", "--yes"]] {
                let refused = with_key(&scene, &machine, arguments).run();
                refused.fails(8).says("fourfold setup --new-signing-keys");
                assert!(
                    !refused.stderr.contains("--reset-identity"),
                    "{}",
                    refused.stderr
                );
            }
        } else {
            with_key(&scene, &machine, &["device", "verify"])
                .run()
                .succeeds();
            let set_up = with_key(&scene, &machine, &["setup", "--yes"]).run();
            set_up.says("fourfold setup --new-signing-keys").succeeds();
        }
        assert_eq!(scene.requests_to("/device_signing/upload"), 1);

        let renew = ["setup", "--yes", "--new-signing-keys"];
        let renewed = with_key(&scene, &machine, &renew).run();
        renewed.says(&format!(
            "publish a new {kind} key, signed by the same master key"
        ));
        renewed.says("nobody has to verify you again").succeeds();
        assert_eq!(scene.master_key(), master);
        let key = scene.alice.folder.name_of("key");
        is_complete(&scene, &machine, &key);
        let again = with_key(&scene, &machine, &renew).run();
        again.says("everything is set up").succeeds();
        // The machine that was there before notices, and has a way on.
        let verify = ["device", "verify", "--accept-changes"];
        with_key(&scene, &scene.alice, &verify).run().succeeds();
        is_complete(&scene, &scene.alice, &key);
    }
}

// shows: SHR-01
#[test]
fn a_device_that_nobody_knows_well_enough_is_not_signed_again() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let (gone, kept) = (scene.machine(), scene.machine());
    for machine in [&gone, &kept] {
        with_key(&scene, machine, &["device", "verify"])
            .run()
            .succeeds();
    }
    let (signed, _) = signed_devices(&scene);
    assert_eq!(signed.len(), 3);
    let hidden = device_id(&gone);
    other_client_puts(&server, &[(SELF_SIGNING, "{}")]);
    // The homeserver shows keys of a device at which nobody is logged in.
    let lie = hidden.clone();
    scene.lie(move |request, honest| {
        if !request.head.starts_with("GET ") || !request.head.contains("/devices ") {
            return None;
        }
        let mut answer = honest.clone();
        let devices = answer["devices"].as_array_mut().unwrap();
        devices.retain(|device| device["device_id"] != lie.as_str());
        Some(Message::json(&answer))
    });
    let machine = scene.machine();
    let renewed = with_key(&scene, &machine, &["setup", "--yes", "--new-signing-keys"]).run();
    renewed
        .says(&format!("verify each of them: {hidden}"))
        .succeeds();
    let (signed, unsigned) = signed_devices(&scene);
    assert_eq!(unsigned, [hidden]);
    assert_eq!(signed.len(), 3);
}

// shows: STO-10
#[test]
fn an_interruption_while_a_signing_key_is_renewed_loses_nothing() {
    let server = Homeserver::start();
    for is_carried_out in [false, true] {
        for writes in 0.. {
            let name = format!("alice{writes}{}", u8::from(is_carried_out));
            let scene = Scene::new(&server, &name);
            scene.set_up().run().succeeds();
            let other = server.other_client(&name);
            other.put(SELF_SIGNING, "{}");
            other.log_out();
            let master = scene.master_key();
            let machine = scene.machine();
            let renew = ["setup", "--yes", "--new-signing-keys"];
            scene.fail_write_after(writes, is_carried_out);
            let first = with_key(&scene, &machine, &renew).run();
            scene.be_honest();
            if first.status.success() {
                assert!(writes > 4, "only {writes} writes");
                break;
            }
            with_key(&scene, &machine, &renew).run().succeeds();
            assert_eq!(scene.master_key(), master, "after {writes} writes");
            is_complete(&scene, &machine, &scene.alice.folder.name_of("key"));
        }
    }
}

#[test]
fn the_master_key_that_is_stored_is_kept_when_nothing_is_published() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let key = scene.alice.folder.name_of("key");
    let seed = scene.alice.get(MASTER, "key").run().succeeds();
    // Another account of the same server, of which nothing is published, has the same storage.
    let bob = Scene::new(&server, "bob");
    let other = server.other_client("bob");
    let default: Value = serde_json::from_str(&content(&server, DEFAULT)).unwrap();
    let id = format!("m.secret_storage.key.{}", default["key"].as_str().unwrap());
    for event_type in [DEFAULT, &id, MASTER, USER_SIGNING] {
        other.put(event_type, &content(&server, event_type));
    }
    other.log_out();
    let set_up = sealed(&bob.alice, &["setup", "--yes", "--recovery-key-file", &key]);
    set_up.run().succeeds();
    let kept = bob
        .alice
        .call(&["get", MASTER, "--recovery-key-file", &key]);
    assert_eq!(kept.run().succeeds(), seed);
    is_complete(&bob, &bob.alice, &key);
}

#[test]
fn an_account_without_a_key_gets_new_ones_and_keeps_the_old_ciphertext() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    scene
        .alice
        .put("org.example.token", "parrot", "key")
        .run()
        .succeeds();
    let old_key = scene.alice.default_key();
    let old_backup = entry(&server, "alice", BACKUP, &old_key);
    let master = scene.master_key();

    let machine = scene.machine();
    let dry = sealed(&machine, &["setup", "--reset-identity", "--dry-run"]).run();
    dry.says("org.example.token").succeeds();
    assert_eq!(scene.master_key(), master);
    let lost = without_key(&machine, "new").run();
    for words in [
        "everybody who verified it has to verify it again",
        "the version 1 of the key backup stays",
        "org.example.token is not encrypted under",
        "opens again if one of them is found",
    ] {
        lost.says(words);
    }
    lost.succeeds();
    assert_ne!(scene.master_key(), master);
    for secret in STANDARD {
        let got = machine
            .get(secret, "new")
            .arguments(["--json"])
            .run()
            .json();
        assert_eq!(got["matches_published_key"], true, "{secret}");
        assert_eq!(got["is_default_key"], true, "{secret}");
    }
    let (_, unsigned) = signed_devices(&scene);
    assert_eq!(unsigned.len(), 1, "the device of the former identity");
    // The key was found again.
    let found = scene.alice.folder.name_of("key");
    let get = ["get", "org.example.token", "--recovery-key-file", &found];
    assert_eq!(machine.call(&get).run().succeeds(), "parrot");
    assert_eq!(entry(&server, "alice", BACKUP, &old_key), old_backup);
    // The machine of before has a way on, too.
    let new = machine.folder.name_of("new");
    let verify = [
        "device",
        "verify",
        "--accept-identity",
        "--recovery-key-file",
        &new,
    ];
    let verify = sealed(&scene.alice, &verify).arguments(["--accept-changes"]);
    verify.run().succeeds();
}

// shows: CLI-03
#[test]
fn a_key_that_is_lost_is_asked_for_once() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();
    let machine = scene.machine();
    let state = machine.state();
    let state_key = machine.folder.name_of("state.key");
    let mut terminal = Terminal::run(&[
        "setup",
        "--reset-identity",
        "--store-key-file",
        &state_key,
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("Do you have the recovery key or the passphrase of secret storage? [y/N] ");
    terminal.type_line("n");
    terminal.expect("opens again if one of them is found");
    terminal.expect("Continue? [y/N] ");
    terminal.type_line("n");
    terminal.expect("nothing was changed");
    assert_eq!(terminal.finish().0, Some(1));
    assert_eq!(scene.master_key(), master);
}

// shows: STO-10
#[test]
fn an_interruption_of_a_reset_without_a_key_loses_nothing() {
    let server = Homeserver::start();
    for is_carried_out in [false, true] {
        for writes in 0.. {
            let name = format!("alice{writes}{}", u8::from(is_carried_out));
            let scene = Scene::new(&server, &name);
            scene.set_up().run().succeeds();
            let old_key = scene.alice.default_key();
            let old_backup = entry(&server, &name, BACKUP, &old_key);
            let machine = scene.machine();
            scene.fail_write_after(writes, is_carried_out);
            let first = without_key(&machine, "new").run();
            scene.be_honest();
            if first.status.success() {
                assert!(writes > 8, "only {writes} writes");
                break;
            }
            if machine.folder.join("new").exists() {
                let password = machine.folder.write("password", PASSWORD);
                let new = machine.folder.name_of("new");
                let on = ["setup", "--yes", "--recovery-key-file", &new];
                let on = sealed(&machine, &on).arguments(["--password-file", &password]);
                on.run().succeeds();
            } else {
                without_key(&machine, "new").run().succeeds();
            }
            for secret in STANDARD {
                let got = machine
                    .get(secret, "new")
                    .arguments(["--json"])
                    .run()
                    .json();
                assert_eq!(
                    got["matches_published_key"], true,
                    "{secret}, {writes} writes"
                );
                assert_eq!(got["is_default_key"], true, "{secret}, {writes} writes");
            }
            let kept = entry(&server, &name, BACKUP, &old_key);
            assert_eq!(kept, old_backup, "after {writes} writes");
        }
    }
}

/// As Element does it: everything is emptied, and the identity stays published.
fn switch_off(server: &Homeserver) {
    let default: Value = serde_json::from_str(&content(server, DEFAULT)).unwrap();
    let id = format!("m.secret_storage.key.{}", default["key"].as_str().unwrap());
    let mut events = vec![(DEFAULT, "{}"), (id.as_str(), "{}")];
    events.extend(STANDARD.iter().map(|name| (*name, "{}")));
    other_client_puts(server, &events);
    let other = Peer::log_in(&server.address, "alice");
    other.call("DELETE", "room_keys/version/1", &json!({}));
    other.call("POST", "logout", &json!({}));
}

#[test]
fn storage_that_another_client_switched_off_is_set_up_again() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let seeds = [MASTER, SELF_SIGNING, USER_SIGNING]
        .map(|name| (name, scene.alice.get(name, "key").run().succeeds()));
    let master = scene.master_key();
    switch_off(&server);
    // A machine that knows what was there wants to hear that it was the user.
    let new = scene.alice.folder.name_of("again");
    let set_up = || {
        let set_up = ["setup", "--yes", "--recovery-key-out", &new, "--new-backup"];
        sealed(&scene.alice, &set_up)
    };
    set_up().run().fails(5).says("--accept-changes");
    // The private keys of the identity are with the other devices.
    let accepted = set_up().arguments(["--accept-changes"]).run();
    accepted.fails(8).says("fourfold device verify DEVICE");
    accepted.says("fourfold setup --storage-only");
    assert!(!scene.alice.folder.join("again").exists());
    let only = [
        "setup",
        "--yes",
        "--storage-only",
        "--recovery-key-out",
        &new,
    ];
    scene
        .alice
        .call(&only)
        .arguments(["--accept-changes"])
        .run()
        .succeeds();
    for (name, seed) in &seeds {
        scene.alice.put(name, seed, "again").run().succeeds();
    }
    let set_up = [
        "setup",
        "--yes",
        "--recovery-key-file",
        &new,
        "--new-backup",
    ];
    sealed(&scene.alice, &set_up).run().succeeds();
    assert_eq!(scene.master_key(), master);
    is_complete(&scene, &scene.alice, &new);
}

#[test]
fn storage_that_was_switched_off_before_there_was_an_identity_is_set_up_again() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.alice.set_up("first");
    let id = format!("m.secret_storage.key.{}", scene.alice.default_key());
    // All that is left names a key that nobody describes, or nothing.
    for default in ["{}", r#"{"key":"gone"}"#, r#"{"key":7}"#] {
        other_client_puts(&server, &[(DEFAULT, default), (&id, "{}")]);
        let machine = scene.machine();
        machine.set_up("key");
        machine
            .put("org.example.token", "parrot", "key")
            .run()
            .succeeds();
        other_client_puts(&server, &[("org.example.token", "{}")]);
        let made = format!("m.secret_storage.key.{}", machine.default_key());
        other_client_puts(&server, &[(DEFAULT, default), (&made, "{}")]);
    }
    let machine = scene.machine();
    let key = machine.folder.name_of("key");
    let set_up = ["setup", "--yes", "--recovery-key-out", &key];
    sealed(&machine, &set_up).run().succeeds();
    for secret in STANDARD {
        let got = machine
            .get(secret, "key")
            .arguments(["--json"])
            .run()
            .json();
        assert_eq!(got["matches_published_key"], true, "{secret}");
    }
}

#[test]
fn an_identity_that_was_replaced_elsewhere_is_kept_or_restored() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();
    let stored: Vec<_> = [MASTER, SELF_SIGNING, USER_SIGNING, DEFAULT]
        .iter()
        .map(|name| (*name, content(&server, name)))
        .collect();
    // Another client replaces the identity, and does not store it.
    without_key(&scene.machine(), "new").run().succeeds();
    let events: Vec<_> = stored
        .iter()
        .map(|(name, json)| (*name, json.as_str()))
        .collect();
    other_client_puts(&server, &events);
    let replaced = scene.master_key();
    assert_ne!(replaced, master);

    let machine = scene.machine();
    for arguments in [
        &["device", "verify"][..],
        &["setup", "--yes"],
        &["setup", "--yes", "--new-signing-keys"],
    ] {
        let refused = with_key(&scene, &machine, arguments).run();
        refused
            .fails(8)
            .says("the identity was replaced since it was stored");
        refused.says("fourfold setup --restore-identity");
        assert!(
            !refused.stderr.contains("--reset-identity"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(scene.master_key(), replaced);
    let restore = ["setup", "--yes", "--restore-identity", "--new-backup"];
    with_key(&scene, &machine, &restore).run().succeeds();
    assert_eq!(scene.master_key(), master);
    let key = scene.alice.folder.name_of("key");
    for secret in STANDARD {
        let got = machine.call(&["get", secret, "--json", "--recovery-key-file", &key]);
        assert_eq!(got.run().json()["matches_published_key"], true, "{secret}");
    }
    let again = with_key(&scene, &machine, &["setup", "--yes", "--restore-identity"]).run();
    again.says("everything is set up").succeeds();
}

#[test]
fn a_signing_key_that_was_replaced_elsewhere_is_replaced_once_more() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();
    let stale = content(&server, SELF_SIGNING);
    other_client_puts(&server, &[(SELF_SIGNING, "{}")]);
    let renew = ["setup", "--yes", "--new-signing-keys"];
    with_key(&scene, &scene.machine(), &renew).run().succeeds();
    other_client_puts(&server, &[(SELF_SIGNING, &stale)]);

    let machine = scene.machine();
    for arguments in [&["device", "verify"][..], &["setup", "--yes"]] {
        let refused = with_key(&scene, &machine, arguments).run();
        refused.says("the self-signing key of the identity was replaced since it was stored");
        refused.fails(8).says("fourfold setup --new-signing-keys");
    }
    with_key(&scene, &machine, &renew).run().succeeds();
    assert_eq!(scene.master_key(), master);
    is_complete(&scene, &machine, &scene.alice.folder.name_of("key"));
}

pub(crate) fn device_id(machine: &Person) -> String {
    let ls = sealed(machine, &["device", "ls", "--json"]).run().json();
    let devices = ls.as_array().unwrap().iter();
    let mut this = devices.filter(|device| device["is_this_device"] == true);
    this.next().unwrap()["device_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

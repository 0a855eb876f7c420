//! `setup`: the identity, this device and the key backup; once, again, and after every interruption.

use fourfold::cross_signing::CrossSigningKeys;
use fourfold::identity::UserKeys;
use fourfold::rand_core::UnwrapErr;
use getrandom::SysRng;
use serde_json::{Value, json};

use crate::homeserver::{Homeserver, PASSWORD};
use crate::key_endpoints::{Scene, sealed};
use crate::peer::Peer;
use crate::terminal::Terminal;

const STANDARD: [&str; 4] = [
    "m.cross_signing.master",
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];

/// Everything is there, and fits together.
#[track_caller]
fn is_complete(server: &Homeserver, scene: &Scene<'_>, name: &str) {
    let alice = &scene.alice;
    for secret in STANDARD {
        let got = alice.get(secret, "key").arguments(["--json"]).run().json();
        assert_eq!(got["matches_published_key"], true, "{secret}");
        assert_eq!(got["is_default_key"], true, "{secret}");
    }
    let other = server.other_client(name);
    assert_eq!(
        other.content("m.key_backup").as_deref(),
        Some(r#"{"enabled":true}"#)
    );
    other.log_out();
    assert_eq!(
        signed_devices(scene),
        scene.query()["device_keys"][&alice.user_id]
            .as_object()
            .unwrap()
            .len()
    );
    let ls = sealed(alice, &["setup", "--dry-run", "--json"])
        .arguments(["--recovery-key-file", &alice.folder.name_of("key")])
        .run()
        .json();
    assert_eq!(ls["steps"], json!([]));
}

/// How many devices the published identity signed, verified here.
fn signed_devices(scene: &Scene<'_>) -> usize {
    let user_id = &scene.alice.user_id;
    let query = scene.query().to_string();
    let keys = UserKeys::from_keys_query(user_id, &query).unwrap();
    let Ok(key) = keys.identity().self_signing_key() else {
        return 0;
    };
    let devices = keys
        .devices()
        .filter_map(|(_, device)| device.as_ref().ok());
    devices
        .filter(|device| key.verify(device.content(), user_id).is_ok())
        .count()
}

/// Shows the identity of another answer in this one.
fn show_identity(answer: &mut Value, other: &Value) {
    for member in ["master_keys", "self_signing_keys", "user_signing_keys"] {
        answer[member] = other[member].clone();
    }
}

#[test]
fn everything_is_set_up_once() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let done = scene.set_up().arguments(["--json"]).run().json();
    assert_eq!(done["is_device_signed"], true);
    assert_eq!(done["missing"], json!([]));
    assert_eq!(done["backup_version"], "1");
    is_complete(&server, &scene, "alice");

    let (master, uploads) = (scene.master_key(), scene.requests_to("/upload"));
    let everything = || server.other_client("alice").everything();
    let before = everything();
    scene.set_up().run().says("everything is set up").succeeds();
    assert_eq!(scene.master_key(), master);
    assert_eq!(everything(), before);
    assert_eq!(scene.requests_to("/device_signing/upload"), 1);
    assert_eq!(scene.requests_to("/signatures/upload"), 1);
    assert_eq!(scene.requests_to("/upload"), uploads);
}

#[test]
fn a_dry_run_shows_every_step_and_does_none() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let before = server.other_client("alice").everything();
    let dry = sealed(&scene.alice, &["setup", "--dry-run", "-v"]).run();
    assert_eq!(dry.succeeds(), "");
    for step in [
        "publish the device",
        "publish the identity",
        "sign the device",
        "create a key backup",
        "put m.cross_signing.master",
        "put m.megolm_backup.v1",
        "put m.key_backup",
        "put m.secret_storage.default_key",
    ] {
        dry.says(step);
    }
    assert_eq!(server.other_client("alice").everything(), before);
    assert_eq!(scene.requests_to("/upload"), 0);
    assert!(!scene.alice.folder.join("state.key").exists());
}

// shows: STO-10
#[test]
fn an_interruption_at_any_call_loses_nothing() {
    let server = Homeserver::start();
    for is_carried_out in [false, true] {
        for writes in 0.. {
            let name = format!("alice{writes}{}", u8::from(is_carried_out));
            let scene = Scene::new(&server, &name);
            scene.fail_write_after(writes, is_carried_out);
            let first = scene.set_up().run();
            let published = scene.master_key();
            scene.be_honest();
            if first.status.success() {
                assert!(writes > 8, "only {writes} writes");
                break;
            }
            scene.set_up().run().succeeds();
            if !published.is_null() {
                assert_eq!(scene.master_key(), published, "after {writes} writes");
            }
            is_complete(&server, &scene, &name);
        }
    }
}

// shows: STO-10
#[test]
fn an_interruption_of_a_reset_loses_nothing() {
    let server = Homeserver::start();
    for is_carried_out in [false, true] {
        for writes in 0.. {
            let name = format!("alice{writes}{}", u8::from(is_carried_out));
            let scene = Scene::new(&server, &name);
            scene.set_up().run().succeeds();
            let password = scene.alice.folder.write("password", PASSWORD);
            let reset = || {
                let reset = scene.set_up().arguments(["--reset-identity"]);
                reset.arguments(["--password-file", &password]).run()
            };
            let old = scene.master_key();
            scene.fail_write_after(writes, is_carried_out);
            let first = reset();
            let published = scene.master_key();
            scene.be_honest();
            if first.status.success() {
                assert!(writes > 4, "only {writes} writes");
                break;
            }
            // What was begun was agreed to: it is completed, and no more.
            let again = scene.set_up().arguments(["--password-file", &password]);
            again.run().succeeds();
            let new = scene.master_key();
            assert_ne!(new, old, "after {writes} writes");
            assert!(
                published == old || published == new,
                "after {writes} writes"
            );
            is_complete(&server, &scene, &name);
        }
    }
}

// shows: LIB-18
#[test]
fn no_private_key_is_where_it_does_not_belong() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let set_up = scene.set_up().arguments(["-vvv"]).run();
    set_up.succeeds();
    let password = scene.alice.folder.write("password", PASSWORD);
    let reset = scene.set_up().arguments(["-vvv", "--reset-identity"]);
    let reset = reset.arguments(["--password-file", &password]).run();
    reset.succeeds();
    assert!(reset.stderr.contains("TRACE"));
    let seeds: Vec<_> = STANDARD
        .iter()
        .map(|name| scene.alice.get(name, "key").run().succeeds())
        .collect();
    let state_key = scene.alice.folder.read("state.key").trim().to_owned();
    let mut everything: Vec<(String, Vec<u8>)> = scene
        .proxy
        .seen()
        .into_iter()
        .map(|(request, answer)| {
            (
                request.head.clone(),
                [request.bytes(), answer.bytes()].concat(),
            )
        })
        .collect();
    for file in crate::canary::files(&scene.alice.state()) {
        everything.push((file.display().to_string(), std::fs::read(file).unwrap()));
    }
    for outcome in [&set_up, &reset] {
        everything.push(("the log".to_owned(), outcome.stderr.clone().into_bytes()));
        everything.push(("outside".to_owned(), outcome.seen_from_outside.clone()));
    }
    let holds = |bytes: &[u8], text: &str| {
        let raw = fourfold::base64::decode(text).map(|decoded| decoded.bytes.to_vec());
        let is_there = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        is_there(text.as_bytes()) || raw.is_ok_and(|raw| is_there(&raw))
    };
    for (place, bytes) in &everything {
        for secret in seeds.iter().chain([&state_key]) {
            assert!(!holds(bytes, secret), "{place}");
        }
        let is_asked_for = place.contains("/login ") || place.contains("/device_signing/upload");
        assert!(is_asked_for || !holds(bytes, PASSWORD), "{place}");
    }
    // Something was looked at.
    let public = scene
        .master_key()
        .as_object()
        .unwrap()
        .values()
        .next()
        .unwrap()
        .clone();
    assert!(
        everything
            .iter()
            .any(|(_, bytes)| holds(bytes, public.as_str().unwrap()))
    );
}

#[test]
fn an_identity_is_only_replaced_when_that_is_said() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();

    // Somebody else made another identity, and its private keys are not here.
    let bob = Scene::new(&server, "bob");
    bob.set_up().run().succeeds();
    let lost = Scene::new(&server, "carol");
    let foreign: Value = serde_json::from_str(
        &bob.query()
            .to_string()
            .replace("@bob:localhost", "@carol:localhost"),
    )
    .unwrap();
    lost.lie_about_keys(move |answer| show_identity(answer, &foreign));
    lost.set_up().run().fails(7).says("--reset-identity");
    assert_eq!(lost.requests_to("/upload"), 0);

    let password = scene.alice.folder.write("password", PASSWORD);
    let wrong = scene.alice.folder.write("wrong", "another password");
    let reset = |file: &str| {
        scene
            .set_up()
            .arguments(["--reset-identity", "--password-file", file])
            .run()
    };
    reset(&wrong)
        .fails(1)
        .says("does not accept the password")
        .is_silent_about("another password");
    assert_eq!(scene.master_key(), master);
    scene
        .set_up()
        .arguments(["--reset-identity"])
        .run()
        .fails(2)
        .says("--password-file");
    reset(&password)
        .says("the identity of the account is replaced")
        .succeeds();
    assert_ne!(scene.master_key(), master);
    is_complete(&server, &scene, "alice");
    let second = scene.master_key();
    scene.set_up().run().says("everything is set up").succeeds();
    assert_eq!(scene.master_key(), second);
}

// shows: CLI-03
#[test]
fn a_reset_needs_the_user_id_on_a_terminal() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let master = scene.master_key();
    let (state, folder) = (scene.alice.state(), &scene.alice.folder);
    let mut terminal = Terminal::run(&[
        "setup",
        "--reset-identity",
        "--recovery-key-file",
        &folder.name_of("key"),
        "--store-key-file",
        &folder.name_of("state.key"),
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("Continue? [y/N] ");
    terminal.type_line("y");
    terminal.expect("type your user ID:");
    terminal.type_line("yes");
    terminal.expect("nothing was changed");
    assert_eq!(terminal.finish().0, Some(1));
    assert_eq!(scene.master_key(), master);
}

// shows: KEY-12
#[test]
fn the_password_of_the_account_is_not_the_new_passphrase() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let before = server.other_client("alice").everything();
    let folder = &scene.alice.folder;
    let password = folder.write("password", PASSWORD);
    let passphrase = folder.write("passphrase", PASSWORD);
    let set_up = || {
        let set_up = scene.set_up().arguments(["--password-file", &password]);
        set_up.arguments([
            "--new-passphrase-file",
            &passphrase,
            "--allow-weak-passphrase",
        ])
    };
    set_up().run().fails(6).says("which the homeserver sees");
    assert_eq!(server.other_client("alice").everything(), before);
    assert_eq!(scene.requests_to("/upload"), 0);
    assert_eq!(scene.requests_to("PUT "), 0);
    assert!(!folder.join("key").exists());
    folder.write("passphrase", "another one, which nobody sees");
    set_up().run().succeeds();
    is_complete(&server, &scene, "alice");
}

// The homeserver wants the password for the identity, after the key with the passphrase is there.
// shows: KEY-12
#[test]
fn a_typed_password_is_compared_before_anything_is_written() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    // Another client has made an identity, and stored nothing.
    let user_id = &scene.alice.user_id;
    let keys = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
    let keys = keys.public_keys(user_id).unwrap().as_keys_query(user_id);
    let keys: Value = serde_json::from_str(&keys).unwrap();
    let body = json!({
        "master_key": keys["master_keys"][user_id],
        "self_signing_key": keys["self_signing_keys"][user_id],
        "user_signing_key": keys["user_signing_keys"][user_id],
    });
    let other = Peer::log_in(&server.address, "alice");
    other.call("POST", "keys/device_signing/upload", &body);
    let (master, before) = (
        scene.master_key(),
        server.other_client("alice").everything(),
    );

    let (state, folder) = (scene.alice.state(), &scene.alice.folder);
    let key = folder.name_of("key");
    let mut terminal = Terminal::run(&[
        "setup",
        "--reset-identity",
        "--yes",
        "--new-passphrase",
        "--allow-weak-passphrase",
        "--recovery-key-out",
        &key,
        "--store-key-file",
        &folder.name_of("state.key"),
        "--state",
        state.to_str().unwrap(),
    ]);
    for question in [
        "New passphrase:",
        "Repeat the new passphrase:",
        "Password of the account:",
    ] {
        terminal.expect(question);
        terminal.type_line(PASSWORD);
    }
    terminal.expect("which the homeserver sees");
    assert_eq!(terminal.finish().0, Some(6));
    assert_eq!(scene.master_key(), master);
    assert_eq!(server.other_client("alice").everything(), before);
    assert_eq!(scene.requests_to("PUT "), 0);
    assert!(!folder.join("key").exists());
}

#[test]
fn a_backup_that_the_user_turned_off_is_not_made() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let off = r#"{"enabled":false}"#;
    server.other_client("alice").put("m.key_backup", off);
    let done = scene.set_up().arguments(["--json"]).run();
    done.says("the user turned it off");
    assert_eq!(done.json()["missing"], json!(["m.megolm_backup.v1"]));
    assert_eq!(scene.requests_to("POST /_matrix/client/v3/room_keys"), 0);
    let wish = server.other_client("alice").content("m.key_backup");
    assert_eq!(wish.as_deref(), Some(off));
}

#[test]
fn a_homeserver_that_shows_another_identity_gets_nothing_more() {
    let server = Homeserver::start();
    let other = Scene::new(&server, "bob");
    other.set_up().run().succeeds();
    let foreign = other.query().to_string().replace("@bob:", "@alice:");
    let foreign: Value = serde_json::from_str(&foreign).unwrap();
    let scene = Scene::new(&server, "alice");
    scene.lie_about_keys(move |answer| {
        let is_published = answer["master_keys"]["@alice:localhost"].is_object();
        if is_published {
            show_identity(answer, &foreign);
        }
    });
    scene
        .set_up()
        .run()
        .fails(8)
        .says("did not publish the identity");
    assert_eq!(scene.requests_to("/signatures/upload"), 0);
    let storage = server.other_client("alice");
    assert!(storage.content("m.secret_storage.default_key").is_none());
    assert!(storage.content("m.cross_signing.master").is_none());
    storage.log_out();
    scene.be_honest();
    scene.set_up().run().succeeds();
    is_complete(&server, &scene, "alice");
}

#[test]
fn a_homeserver_without_keys_is_told_apart() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.lie(|request, _| {
        let is_of_keys = request.head.contains("/keys/");
        is_of_keys.then(|| crate::proxy::Message::error(404, "M_UNRECOGNIZED", "no"))
    });
    scene.set_up().run().fails(4).says("--storage-only");
    assert!(!scene.alice.folder.join("key").exists());
}

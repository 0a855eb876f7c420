//! Where the key comes from that seals a device's state.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

use crate::homeserver::{Homeserver, Person};
use crate::key_endpoints::Scene;

/// `setup` without any word about where the key is.
fn set_up(scene: &Scene<'_>, more: &[&str]) -> crate::invocation::Invocation {
    let key = scene.alice.folder.name_of("key");
    scene
        .alice
        .call(&["setup", "--yes", "--recovery-key-out", &key])
        .arguments(more.iter().copied())
        // As on a machine where nobody is logged in.
        .environment(
            "DBUS_SESSION_BUS_ADDRESS",
            Path::new("unix:path=/nonexistent/bus"),
        )
}

fn ls(person: &Person, more: &[&str]) -> crate::invocation::Invocation {
    let ls = person.call(&["device", "ls"]);
    ls.arguments(more.iter().copied()).environment(
        "DBUS_SESSION_BUS_ADDRESS",
        Path::new("unix:path=/nonexistent/bus"),
    )
}

#[test]
fn without_a_keyring_it_must_be_said_where_the_key_is() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let begun = Instant::now();
    set_up(&scene, &[])
        .run()
        .fails(2)
        .says("has no keyring")
        .says("--store-key-file");
    assert!(begun.elapsed().as_secs() < 20);
    assert!(scene.master_key().is_null());
    assert!(!scene.alice.folder.join("key").exists());
}

// A later log-in looks with another key than the one that sealed what the earlier one has left.
// shows: AGT-10
#[test]
fn a_key_that_seals_nothing_is_not_remembered() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let file = scene.alice.folder.name_of("state.key");
    set_up(&scene, &["--store-key-file", &file])
        .run()
        .succeeds();
    scene.alice.call(&["logout"]).run().succeeds();
    scene.alice.log_in().run().succeeds();
    let other = scene.alice.folder.name_of("other.key");
    ls(&scene.alice, &["--store-key-file", &other])
        .run()
        .succeeds();
    // What the earlier log-in knew is still found without a word about the key.
    let key = scene.alice.folder.name_of("key");
    let verify = ["device", "verify", "--recovery-key-file", &key];
    scene.alice.call(&verify).run().succeeds();
    std::fs::remove_file(&other).unwrap();
    ls(&scene.alice, &[]).run().succeeds();
}

// An agent is told another key than the one that seals the state.
// shows: AGT-10
#[test]
fn a_key_that_opens_nothing_is_not_remembered() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let file = scene.alice.folder.name_of("state.key");
    set_up(&scene, &["--store-key-file", &file])
        .run()
        .succeeds();
    let zeros = scene.alice.folder.write("zeros", "A".repeat(43));
    std::fs::set_permissions(&zeros, Permissions::from_mode(0o600)).unwrap();
    let agent = ["agent", "--foreground", "--store-key-file", &zeros];
    scene.alice.call(&agent).run().fails(3);
    ls(&scene.alice, &[]).run().succeeds();
}

// shows: AGT-10
#[test]
fn a_file_is_made_once_and_remembered() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let file = scene.alice.folder.name_of("state.key");
    set_up(&scene, &["--store-key-file", &file])
        .run()
        .succeeds();
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(scene.alice.folder.read("state.key").trim().len(), 43);
    // From now on it is known where it is, and its place is not taken by another one.
    ls(&scene.alice, &[]).run().succeeds();
    let other = scene.alice.folder.name_of("other.key");
    ls(&scene.alice, &["--store-key-file", &other])
        .run()
        .fails(2);
    assert!(!scene.alice.folder.join("other.key").exists());
    ls(&scene.alice, &[]).run().succeeds();

    let zeros = scene.alice.folder.write("zeros", "A".repeat(43));
    std::fs::set_permissions(&zeros, Permissions::from_mode(0o600)).unwrap();
    ls(&scene.alice, &["--store-key-file", &zeros])
        .run()
        .fails(3);
    std::fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    ls(&scene.alice, &[]).run().fails(6).says("chmod");
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    ls(&scene.alice, &[]).run().succeeds();
    std::fs::rename(&file, &other).unwrap();
    ls(&scene.alice, &[])
        .run()
        .fails(2)
        .says("--store-key-file");
    ls(&scene.alice, &["--store-key-file", &other])
        .run()
        .succeeds();
    ls(&scene.alice, &[]).run().succeeds();
}

// shows: AGT-10
#[test]
fn a_passphrase_seals_it_too() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let passphrase = scene.alice.folder.write("passphrase", "of this machine\n");
    let wrong = scene.alice.folder.write("wrong", "of another machine\n");
    set_up(&scene, &["--store-passphrase-file", &passphrase])
        .run()
        .succeeds();
    ls(&scene.alice, &["--store-passphrase-file", &passphrase])
        .run()
        .succeeds();
    ls(&scene.alice, &["--store-passphrase-file", &wrong])
        .run()
        .fails(3)
        .is_silent_about("of another machine");
    ls(&scene.alice, &[])
        .run()
        .fails(2)
        .says("--store-passphrase-file");
    ls(&scene.alice, &["--store-passphrase-file", &passphrase])
        .run()
        .succeeds();
}

#[test]
fn a_new_login_gets_new_keys_even_when_the_old_key_is_lost() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    let (first, second) = (
        scene.alice.folder.name_of("first.key"),
        scene.alice.folder.name_of("second.key"),
    );
    set_up(&scene, &["--store-key-file", &first])
        .run()
        .succeeds();
    std::fs::remove_file(&first).unwrap();
    scene.alice.call(&["logout"]).run().succeeds();
    scene.alice.log_in().run().succeeds();
    let key = scene.alice.folder.name_of("key");
    let verify = ["device", "verify", "--recovery-key-file", &key];
    let verify = scene.alice.call(&verify);
    verify
        .arguments(["--store-key-file", &second])
        .run()
        .succeeds();
    ls(&scene.alice, &[]).run().succeeds();
}

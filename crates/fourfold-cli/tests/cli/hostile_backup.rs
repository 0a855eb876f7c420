//! A homeserver that puts more into the data of a key backup than belongs there, so that the master
//! key signs it, or that shows a backup of its own.

use fourfold::secret_kind::KeyValue;
use fourfold::{NewKeyBackup, SecretName, recovery_key};
use fourfold_hostile::{Attacker, ROGUE, Victim};
use serde_json::{Value, json};

use crate::account_data::rng;
use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::{Invocation, Outcome};
use crate::key_endpoints::{Scene, sealed};
use crate::liar::BACKUP;
use crate::peer::Peer;

/// The user's second machine sets itself up with the recovery key, while the server tells this lie
/// about the backup.
struct Told {
    /// What the machine sent.
    sent: Vec<String>,
    machine: Person,
    /// Held: it ends with its value.
    _server: Homeserver,
}

impl Told {
    fn new(lie: &str) -> Self {
        let server = Homeserver::start();
        let scene = Scene::new(&server, "alice");
        scene.set_up().run().succeeds();
        let second = scene.machine();
        let before = scene.proxy.seen().len();
        play(&scene, lie);
        second.folder.write("key", scene.alice.folder.read("key"));
        set_up(&second).run();
        let seen = scene.proxy.seen();
        let sent = seen.iter().skip(before);
        let sent = sent.map(|(request, _)| String::from_utf8_lossy(&request.body).into_owned());
        Self {
            sent: sent.collect(),
            machine: second,
            _server: server,
        }
    }
}

/// Tells this lie to whoever asks from now on.
fn play(scene: &Scene<'_>, lie: &str) {
    scene.proxy.aim_at(Victim {
        user_id: scene.alice.user_id.clone(),
        ..Victim::default()
    });
    scene.proxy.play(lie);
}

/// `setup` of a machine that has the recovery key.
fn set_up(machine: &Person) -> Invocation {
    let key = machine.folder.name_of("key");
    sealed(machine, &["setup", "--yes", "--recovery-key-file", &key])
}

/// The answer of a command that did what it could, and ended with this exit code.
fn answer_of(told: &Outcome, code: i32) -> Value {
    assert_eq!(told.status.code(), Some(code), "{}", told.stderr);
    serde_json::from_str(&told.text()).unwrap()
}

// The server makes a self-signing key of its own out of the backup, which would make its device
// one of the user's.
// shows: SHR-15
#[test]
fn a_backup_that_is_a_cross_signing_key_too_is_not_signed() {
    let evil = Attacker::new().self_signing_keys();
    let (evil, _) = evil.as_object().unwrap().iter().next().unwrap();
    let Told { sent, .. } = Told::new("backup-that-is-a-self-signing-key");
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|body| !body.contains(evil)));
}

// Members that nobody knows today could mean anything tomorrow.
// shows: SHR-15
#[test]
fn what_is_not_known_of_a_backup_is_not_signed() {
    let Told { sent, .. } = Told::new("backup-with-an-unknown-member");
    assert!(sent.iter().all(|body| !body.contains("of the liar")));
    // What is known is signed, so that the lie keeps nobody from the backup.
    let is_signed = |body: &String| body.contains("public_key") && body.contains("signatures");
    assert!(sent.iter().any(is_signed));
}

// The key of the backup is the server's, and a device of the server's signed it.
// shows: SHR-08, SHR-15, STO-08
#[test]
fn a_backup_that_the_server_made_is_not_signed() {
    let told = Told::new("backup-of-its-own");
    assert!(!told.sent.is_empty());
    let evil = Attacker::new().curve25519();
    assert!(told.sent.iter().all(|body| !body.contains(&evil)));
    assert!(told.sent.iter().all(|body| !body.contains(ROGUE)));
    // What secret storage has is the user's, and is said not to be the key of that one.
    let got = told.machine.get(BACKUP, "key").arguments(["--json"]).run();
    got.says("warning: this is the private key of another version")
        .says(&evil);
    assert_eq!(got.json()["matches_published_key"], false);
}

// The second machine has the recovery key, and the server shows a backup that the key in secret storage
// does not belong to: its own, or one that cannot be read at all.
// shows: SHR-08, STO-08
#[test]
fn a_backup_of_another_key_is_not_said_to_be_set_up() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let second = scene.machine();
    second.folder.write("key", scene.alice.folder.read("key"));
    for (lie, state, words) in [
        (
            "backup-of-its-own",
            "other_key",
            "belongs to another version",
        ),
        (
            "backup-of-an-unknown-algorithm",
            "unreadable",
            "unknown algorithm",
        ),
    ] {
        play(&scene, lie);
        // The first time, and when there is nothing left to do.
        for _ in 0..2 {
            let told = set_up(&second).run();
            told.fails(8)
                .says("the key backup")
                .says("is not set up")
                .says(words);
            told.says("hint: ").is_silent_about("everything is set up");
        }
        let answer = answer_of(&set_up(&second).arguments(["--json"]).run(), 8);
        assert_eq!(answer["backup_state"], state);
        // The rest does not wait for it.
        assert_eq!(answer["is_device_signed"], true);
        // Nothing of it is signed, nor anything put in its place.
        assert_eq!(
            scene.requests_to("PUT /_matrix/client/v3/room_keys/version"),
            0
        );
        assert_eq!(
            scene.requests_to("POST /_matrix/client/v3/room_keys/version"),
            1
        );
        // The first machine knows which one it was, and tells another one where it can compare them.
        let (code, state, words) = match state {
            "other_key" => (
                5,
                "replaced",
                "a different key backup than this machine knows",
            ),
            unreadable => (8, unreadable, words),
        };
        let told = scene.set_up().arguments(["--json"]).run();
        told.says(words).says("--new-backup");
        let answer = answer_of(&told, code);
        assert_eq!(answer["backup_state"], state);
    }
    scene.be_honest();
    for set_up in [set_up(&second), scene.set_up()] {
        set_up.run().says("everything is set up").succeeds();
    }
}

// Another client of the user has made a backup, and did not store its key.
// shows: STO-08
#[test]
fn a_backup_whose_key_is_elsewhere_is_replaced_by_the_user_alone() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let other = Peer::log_in(&server.address, "alice");
    let auth_data = json!({"public_key": Attacker::new().curve25519(), "signatures": {}});
    let algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
    let made = json!({"algorithm": algorithm, "auth_data": auth_data});
    other.call("POST", "room_keys/version", &made);
    let current = || -> Value { other.call("GET", "room_keys/version", &json!({})) };
    assert_eq!(current()["version"], "2");

    let second = scene.machine();
    second.folder.write("key", scene.alice.folder.read("key"));
    let told = set_up(&second).run();
    told.fails(8).says("version 2").says("--new-backup");
    assert_eq!(current()["auth_data"], auth_data);
    let done = set_up(&second).arguments(["--new-backup", "--json"]).run();
    done.succeeds();
    assert_eq!(done.json()["backup_version"], "3");
    assert_eq!(done.json()["backup_state"], "set_up");
    let public_key = current()["auth_data"]["public_key"].clone();
    let got = second.get(BACKUP, "key").arguments(["--json"]).run().json();
    assert_eq!(got["public_key"], public_key);
    // The first machine takes it for the user's, because secret storage has its key.
    scene.set_up().run().succeeds();
}

// What the hint says has an end, on the machine that remembers another backup too.
#[test]
fn a_backup_that_cannot_be_read_is_replaced_by_the_user_alone() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let other = Peer::log_in(&server.address, "alice");
    let made = json!({"algorithm": "org.example.unknown", "auth_data": {}});
    other.call("POST", "room_keys/version", &made);
    let current = || other.call("GET", "room_keys/version", &json!({}));
    assert_eq!(current()["version"], "2");
    scene.set_up().run().fails(8).says("--new-backup");
    assert_eq!(current()["version"], "2");
    let done = scene.set_up().arguments(["--new-backup", "--json"]).run();
    done.succeeds();
    assert_eq!(done.json()["backup_version"], "3");
    assert_eq!(done.json()["backup_state"], "set_up");
    scene.set_up().run().says("everything is set up").succeeds();
    // Nothing of the others is deleted.
    for version in ["1", "2"] {
        let old = other.call("GET", &format!("room_keys/version/{version}"), &json!({}));
        assert_eq!(old["version"], version);
    }
}

// A homeserver that shows what cannot be read whatever is made: one new version, and its key is kept.
// shows: SHR-08, STO-08
#[test]
fn a_backup_that_stays_unreadable_is_made_anew_once() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    play(&scene, "backup-of-an-unknown-algorithm");
    let made = || scene.requests_to("POST /_matrix/client/v3/room_keys/version");
    let replaced = scene.set_up().arguments(["--new-backup"]).run();
    replaced
        .fails(5)
        .says("the homeserver did not store the value");
    assert_eq!(made(), 2);
    scene.be_honest();
    let done = scene.set_up().arguments(["--json"]).run();
    done.succeeds();
    assert_eq!(done.json()["backup_version"], "2");
    assert_eq!(done.json()["backup_state"], "set_up");
    assert_eq!(made(), 2);
}

// The way out that the hint describes, with the key in each form in which other clients give it.
// shows: STO-08
#[test]
fn a_backup_of_another_client_is_set_up_with_its_key() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let other = Peer::log_in(&server.address, "alice");
    let current = || other.call("GET", "room_keys/version", &json!({}));
    let as_base64 = |backup: &NewKeyBackup| backup.secret().expose_secret().to_owned();
    let as_recovery_key = |backup: &NewKeyBackup| {
        let value = KeyValue::read(&SecretName::backup_key(), &backup.secret()).unwrap();
        recovery_key::encode(&value.bytes).to_string()
    };
    let forms: [&dyn Fn(&NewKeyBackup) -> String; 2] = [&as_base64, &as_recovery_key];
    for form in forms {
        let backup = NewKeyBackup::random(&mut rng());
        let made: Value = serde_json::from_str(&backup.to_content().to_json()).unwrap();
        other.call("POST", "room_keys/version", &made);
        scene
            .set_up()
            .run()
            .fails(5)
            .says("fourfold backup restore-key looks for its private key");
        let put = scene.alice.put(BACKUP, &form(&backup), "key").run();
        put.succeeds();
        let done = scene.set_up().arguments(["--json"]).run();
        done.succeeds();
        assert_eq!(done.json()["backup_state"], "set_up");
        assert_eq!(current()["auth_data"]["public_key"], backup.public_key());
        let got = scene.alice.get(BACKUP, "key").run();
        assert_eq!(got.succeeds(), as_base64(&backup));
    }
}

// It has the same form as the key of a backup.
#[test]
fn the_key_of_secret_storage_is_not_stored_as_the_key_of_the_backup() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let key = scene.alice.folder.read("key");
    let put = || scene.alice.put(BACKUP, key.trim(), "key").run();
    put().fails(8).says("is published");
    // With nothing to compare it with.
    scene.proxy.play("no-backup");
    put().fails(8).says("hint: ").says("recovery key");
}

// Secret storage holds the master key of an identity that was replaced.
#[test]
fn a_private_key_that_does_not_fit_is_told_each_time() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let stale = StaleMaster::put_back(&server, &scene);
    let words = "m.cross_signing.master: it belongs to the public key";
    for said in ["plan: ", "there is nothing to change"] {
        let told = set_up(&stale.machine).run();
        told.says(said).says(words);
        told.is_silent_about("everything is set up").succeeds();
    }
    let told = set_up(&stale.machine).arguments(["--json"]).run();
    let warnings = told.json()["warnings"].clone();
    assert_eq!(warnings.as_array().unwrap().len(), 1);
    assert!(warnings[0].as_str().unwrap().starts_with(words));
    assert_eq!(told.json()["backup_state"], "set_up");
}

// The key fits, and nobody signed the version for the user's other devices.
// shows: SHR-08
#[test]
fn a_backup_without_the_signature_of_the_identity_is_not_said_to_be_set_up() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let stale = StaleMaster::put_back(&server, &scene);
    play(&scene, "backup-without-signatures");
    for _ in 0..2 {
        let told = set_up(&stale.machine).arguments(["--json"]).run();
        told.says("not signed by your identity")
            .says("fourfold put m.cross_signing.master FILE")
            .succeeds();
        assert_eq!(told.json()["backup_state"], "unsigned");
    }
    scene.be_honest();
    let told = set_up(&stale.machine).arguments(["--json"]).run();
    told.is_silent_about("not signed").succeeds();
    assert_eq!(told.json()["backup_state"], "set_up");
}

// Two things are wrong, and each has a way out.
#[test]
fn the_hint_about_the_backup_is_given_beside_another_error() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let other = server.other_client("alice");
    other.put("m.cross_signing.self_signing", "{}");
    let second = scene.machine();
    second.folder.write("key", scene.alice.folder.read("key"));
    play(&scene, "backup-of-its-own");
    let told = set_up(&second).run();
    told.fails(8).says("this device could not be signed");
    told.says("fourfold setup --new-signing-keys")
        .says("belongs to another version");
    told.says("fourfold backup new");
}

/// A second machine of the user, when secret storage has a master key again that was replaced.
struct StaleMaster {
    machine: Person,
}

impl StaleMaster {
    fn put_back(server: &Homeserver, scene: &Scene<'_>) -> Self {
        let other = server.other_client("alice");
        let stale = other.content("m.cross_signing.master").unwrap();
        let password = scene.alice.folder.write("password", PASSWORD);
        let reset = scene.set_up().arguments(["--reset-identity"]);
        reset
            .arguments(["--password-file", &password])
            .run()
            .succeeds();
        other.put("m.cross_signing.master", &stale);
        let machine = scene.machine();
        machine.folder.write("key", scene.alice.folder.read("key"));
        Self { machine }
    }
}

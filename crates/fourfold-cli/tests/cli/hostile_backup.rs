//! A homeserver that puts more into the data of a key backup than belongs there, so that the master
//! key signs it, or that shows a backup of its own.

use fourfold_hostile::{Attacker, ROGUE, Victim};

use crate::homeserver::{Homeserver, Person};
use crate::key_endpoints::{Scene, sealed};
use crate::liar::BACKUP;

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
        scene.proxy.aim_at(Victim {
            user_id: scene.alice.user_id.clone(),
            ..Victim::default()
        });
        scene.proxy.play(lie);
        let key = scene.alice.folder.name_of("key");
        sealed(&second, &["setup", "--yes", "--recovery-key-file", &key]).run();
        second.folder.write("key", scene.alice.folder.read("key"));
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
    // What secret storage has is not the key of that one.
    let got = told.machine.get(BACKUP, "key").run();
    got.fails(8).says(&format!("but {evil} is published"));
    assert!(got.stdout.is_empty());
}

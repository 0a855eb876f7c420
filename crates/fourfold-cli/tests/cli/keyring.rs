//! The key of a device's state in a keyring: a real one, of GNOME, on a session bus of its own.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::agents::RunningAgent;
use crate::homeserver::{Homeserver, Person};
use crate::invocation::{Folder, Invocation, missing};

/// Somebody is logged in at the machine, with a keyring that is open. It ends with its value.
struct Session {
    child: Child,
    bus: PathBuf,
}

impl Session {
    /// With the keyring in this folder. `None` where there is no such software.
    fn start(folder: &Folder) -> Option<Self> {
        for program in ["dbus-run-session", "dbus-send", "gnome-keyring-daemon"] {
            let found = Command::new(program).arg("--version").output();
            if found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                missing(program);
                return None;
            }
        }
        // It goes into the background when it is there, and ends with the bus.
        let script = "printf 'of the log-in' | gnome-keyring-daemon --unlock --components=secrets \
                      >/dev/null && echo \"$DBUS_SESSION_BUS_ADDRESS\" && exec cat";
        let mut child = Command::new("dbus-run-session")
            .args(["--", "/bin/sh", "-c", script])
            .env("HOME", folder.path())
            .env("XDG_RUNTIME_DIR", folder.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("GNOME_KEYRING_CONTROL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut bus = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut bus).unwrap();
        assert!(bus.starts_with("unix:"), "the keyring does not start");
        let bus = PathBuf::from(bus.trim_end());
        Some(Self { child, bus })
    }

    fn call(&self, person: &Person, arguments: &[&str]) -> Invocation {
        let call = person.call(arguments);
        call.environment("DBUS_SESSION_BUS_ADDRESS", &self.bus)
    }

    /// As the screen locker does.
    fn lock(&self) {
        let locked = Command::new("dbus-send")
            .env("DBUS_SESSION_BUS_ADDRESS", &self.bus)
            .args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.secrets",
            ])
            .args([
                "/org/freedesktop/secrets",
                "org.freedesktop.Secret.Service.Lock",
            ])
            .arg("array:objpath:/org/freedesktop/secrets/collection/login")
            .output()
            .unwrap();
        assert!(locked.status.success(), "{locked:?}");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Sets everything up, with no word about where the key of the state is.
fn set_up(session: &Session, alice: &Person) {
    let key = alice.folder.name_of("key");
    let setup = ["setup", "--yes", "--recovery-key-out", &key];
    session.call(alice, &setup).run().succeeds();
}

// shows: AGT-10
#[test]
fn the_keyring_keeps_the_key_for_the_next_command() {
    let keyring = Folder::new();
    let Some(session) = Session::start(&keyring) else {
        return;
    };
    let server = Homeserver::start();
    let alice = server.person("alice");
    set_up(&session, &alice);
    let note = std::fs::read_dir(alice.state()).unwrap();
    let note = note.map(|file| file.unwrap().path()).find(|path| {
        path.extension()
            .is_some_and(|extension| extension == "sealing")
    });
    let note = std::fs::read_to_string(note.unwrap()).unwrap();
    let note: Value = serde_json::from_str(&note).unwrap();
    assert_eq!(note["from"], "keyring");
    let devices = session.call(&alice, &["device", "ls", "--json"]).run();
    assert_eq!(devices.json()[0]["is_verified"], true);
    // An agent finds it too.
    let agent = RunningAgent::start(session.call(&alice, &["agent"]));
    alice.unlock("key").run().succeeds();
    alice.call(&["agent", "stop"]).run().succeeds();
    let (status, said) = agent.wait();
    assert!(status.success() && !said.contains("no keys"), "{said}");
    // Another account has a key of its own there.
    let bob = server.person("bob");
    set_up(&session, &bob);
    for person in [&alice, &bob] {
        session.call(person, &["device", "ls"]).run().succeeds();
    }
    // After the next log-in at the machine it is there still.
    drop(session);
    let session = Session::start(&keyring).unwrap();
    session.call(&alice, &["device", "ls"]).run().succeeds();
}

#[test]
fn a_keyring_that_is_locked_or_gone_is_told() {
    let keyring = Folder::new();
    let Some(session) = Session::start(&keyring) else {
        return;
    };
    let server = Homeserver::start();
    let alice = server.person("alice");
    set_up(&session, &alice);
    let says = |session: &Session, words: &str| {
        let text = session.call(&alice, &["device", "ls"]).run();
        text.fails(2).says(words);
        let json = session.call(&alice, &["device", "ls", "--json"]).run();
        let error: Value = serde_json::from_str(&json.fails(2).stderr).unwrap();
        assert!(
            error["message"].as_str().unwrap().contains(words),
            "{error}"
        );
        assert_eq!(error["exit_code"], 2);
        assert!(error["hint"].is_string());
    };
    session.lock();
    says(
        &session,
        "the keyring of the operating system refused access",
    );
    drop(session);
    // Nobody is logged in.
    let nobody = alice.call(&["device", "ls"]);
    nobody
        .environment("DBUS_SESSION_BUS_ADDRESS", &keyring.join("nothing"))
        .run()
        .fails(2)
        .says("the operating system has no keyring");
    // The keyring of somebody else, or a new one.
    let other = Folder::new();
    let session = Session::start(&other).unwrap();
    says(&session, "has lost the key of this device's state");
    drop(session);
    let session = Session::start(&keyring).unwrap();
    session.call(&alice, &["device", "ls"]).run().succeeds();
}

//! Keys that were changed on another device: what an ordinary rotation there means for this machine,
//! and what is no rotation.

use serde_json::json;

use crate::homeserver::{Homeserver, Person};
use crate::hostile::{DEFAULT_KEY, NAME};
use crate::key_endpoints::sealed;

const SECRET: &str = "four folds of paper";

/// Two machines of a user that have both seen the account, the key in the file `key` of both. The
/// first one has rotated it: its new key is in `new`.
struct Rotated {
    server: Homeserver,
    here: Person,
    old: String,
    /// How the old key was described.
    description: String,
}

impl Rotated {
    fn new() -> Self {
        Self::after(|_| {})
    }

    /// As [`new`](Self::new), and before the rotation the other machine does this.
    fn after(before: impl FnOnce(&Person)) -> Self {
        let server = Homeserver::start();
        let elsewhere = server.person("alice");
        elsewhere.set_up("key");
        elsewhere.put(NAME, SECRET, "key").run().succeeds();
        let here = Person::at(&server.address, "alice");
        here.log_in().run().succeeds();
        here.folder.write("key", elsewhere.folder.read("key"));
        assert_eq!(here.get(NAME, "key").run().succeeds(), SECRET);
        let old = here.default_key();
        let other = server.other_client("alice");
        let description = other.content(&format!("m.secret_storage.key.{old}"));
        before(&elsewhere);
        let new = elsewhere.folder.name_of("new");
        let rotate = ["key", "rotate", "--recovery-key-out", &new];
        elsewhere.change(&rotate, &["key"]).run().succeeds();
        here.folder.write("new", elsewhere.folder.read("new"));
        Self {
            server,
            here,
            old,
            description: description.unwrap(),
        }
    }
}

// shows: STO-05
#[test]
fn the_new_key_settles_a_rotation_on_another_device_in_every_command() {
    let commands: [&[&str]; 6] = [
        &["get", NAME],
        &["key", "check"],
        &["put", "org.example.other", "-", "--yes"],
        &["key", "rotate", "--yes", "--recovery-key-out", "newer"],
        &["setup", "--yes", "--password-file", "password"],
        &["kit", "--out", "kit.html"],
    ];
    let accepted = "accepted, because the key";
    for command in commands {
        let rotated = Rotated::new();
        let here = &rotated.here;
        here.folder.write("password", crate::homeserver::PASSWORD);
        let file = |name: &&str| match *name {
            "newer" | "password" | "kit.html" => here.folder.name_of(name),
            name => name.to_owned(),
        };
        let command: Vec<_> = command.iter().map(file).collect();
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let with = |key: &str| {
            let key = here.folder.name_of(key);
            let call = match command[0] {
                "setup" => sealed(here, &command),
                _ => here.call(&command),
            };
            call.arguments(["--recovery-key-file", &key])
                .stdin("x")
                .run()
        };
        // Without the key, or with the one before, nothing is opened and nothing is written.
        let before = rotated.server.other_client("alice").everything();
        with("key").fails(5).says("give the right key");
        assert_eq!(rotated.server.other_client("alice").everything(), before);
        with("new").says(accepted).succeeds();
        // It is told once.
        let again = here.call(&["ls"]).run();
        again.is_silent_about("warning").succeeds();
    }
}

// shows: STO-05, AG-05
#[test]
fn the_new_key_settles_a_rotation_for_an_agent_too() {
    let rotated = Rotated::new();
    let here = &rotated.here;
    let _agent = here.agent(&[]);
    here.unlock("key").run().fails(5).says("give the right key");
    here.unlock("new").run().says("accepted").succeeds();
    let get = here.call(&["get", NAME]).run();
    assert_eq!(get.is_silent_about("warning").succeeds(), SECRET);
    let put = here.call(&["put", NAME, "-", "--yes"]).stdin("newer");
    put.run().succeeds();
}

#[test]
fn a_key_from_a_pipe_settles_a_rotation_and_is_used() {
    let rotated = Rotated::new();
    let here = &rotated.here;
    let key = here.folder.read("new");
    let get = here.call(&["get", NAME, "--recovery-key-file", "-"]);
    assert_eq!(get.stdin(key).run().says("accepted").succeeds(), SECRET);
}

// shows: STO-05, STO-07
#[test]
fn a_homeserver_that_goes_back_after_a_rotation_is_refused() {
    let rotated = Rotated::new();
    let here = &rotated.here;
    here.get(NAME, "new").run().succeeds();
    // What was there before the rotation is shown again, under the old key.
    let other = rotated.server.other_client("alice");
    let old = &rotated.old;
    let description = format!("m.secret_storage.key.{old}");
    other.put(&description, &rotated.description);
    other.put(DEFAULT_KEY, &json!({"key": old, "x": 1}).to_string());
    for key in ["key", "new"] {
        here.get(NAME, key).run().fails(5);
        here.put(NAME, "x", key).run().fails(5);
    }
}

// shows: STO-05
#[test]
fn a_default_key_that_does_not_open_everything_is_refused() {
    let rotated = Rotated::new();
    let here = &rotated.here;
    let other = rotated.server.other_client("alice");
    let new = here.default_key();
    // An entry that nobody with the key has made.
    let forged = json!({"encrypted": {new: {
        "iv": "AAAAAAAAAAAAAAAAAAAAAA",
        "ciphertext": "AAAA",
        "mac": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    }}});
    other.put(NAME, &forged.to_string());
    for _ in 0..2 {
        here.get(NAME, "new")
            .run()
            .fails(5)
            .says("--accept-changes");
        here.put("org.example.other", "x", "new").run().fails(5);
    }
    // Something else that happened is not settled with it.
    let rotated = Rotated::after(|elsewhere| {
        elsewhere
            .put("org.example.gone", "x", "key")
            .run()
            .succeeds();
    });
    let here = &rotated.here;
    here.call(&["ls"]).run().succeeds();
    let other = rotated.server.other_client("alice");
    other.put("org.example.gone", "{}");
    here.put(NAME, "x", "new")
        .run()
        .fails(5)
        .says("disappeared");
}

#[test]
fn a_key_that_was_taken_away_elsewhere_is_settled_by_the_default_key() {
    let server = Homeserver::start();
    let elsewhere = server.person("alice");
    elsewhere.set_up("key");
    elsewhere.put(NAME, SECRET, "key").run().succeeds();
    let paper = elsewhere.new_key("paper");
    let grant = ["key", "grant", &paper];
    elsewhere.change(&grant, &["key", "paper"]).run().succeeds();
    let here = Person::at(&server.address, "alice");
    here.log_in().run().succeeds();
    here.folder.write("key", elsewhere.folder.read("key"));
    here.get(NAME, "key").run().succeeds();
    let remove = ["key", "rm", &paper];
    elsewhere.change(&remove, &["key"]).run().succeeds();
    let put = here.put(NAME, "newer", "key").run();
    put.says("accepted, because the key").succeeds();
    here.call(&["ls"]).run().is_silent_about("warning");
}

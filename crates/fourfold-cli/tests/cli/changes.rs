//! Changes of an account: what is refused, what is carried out, and what happens in between.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, Person};
use crate::proxy::Proxy;
use crate::terminal::Terminal;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";
const DEFAULT_KEY: &str = "m.secret_storage.default_key";

fn alice(server: &Homeserver) -> Person {
    let alice = server.person("alice");
    alice.set_up("key");
    alice
}

#[test]
fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let before = server.other_client("alice").everything();
    let plan = alice.call(&["setup", "--storage-only", "--dry-run"]).run();
    assert_eq!(plan.succeeds(), "");
    plan.says("plan: set up secret storage")
        .says("     put m.secret_storage.default_key\n")
        .is_silent_about("Es");
    let plan = alice
        .call(&["setup", "--storage-only", "--dry-run", "--json"])
        .run()
        .json();
    assert_eq!(plan["title"], "set up secret storage");
    assert_eq!(plan["steps"].as_array().unwrap().len(), 2);
    assert_eq!(server.other_client("alice").everything(), before);
}

// shows: CLI-03
#[test]
fn without_a_terminal_a_change_needs_yes() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let file = alice.folder.name_of("key");
    let setup = alice
        .call(&["setup", "--storage-only", "--recovery-key-out", &file])
        .run();
    setup.fails(2).says("use --yes, or --dry-run");
    assert!(!alice.folder.join("key").exists());
    alice.set_up("key");
    for change in [
        ["rm", NAME].as_slice(),
        &["put", NAME, "-", "--recovery-key-file", &file],
        &[
            "key",
            "new",
            "--recovery-key-out",
            &alice.folder.name_of("other"),
        ],
        &[
            "key",
            "rotate",
            "--recovery-key-file",
            &file,
            "--recovery-key-out",
            "/nonexistent/x",
        ],
    ] {
        alice.put(NAME, SECRET, "key").run().succeeds();
        let before = server.other_client("alice").everything();
        alice.call(change).stdin("new").run().fails(2).says("--yes");
        assert_eq!(server.other_client("alice").everything(), before);
    }
    // A new recovery key needs a place to go.
    alice
        .call(&["key", "new", "--yes"])
        .run()
        .fails(2)
        .says("there is no terminal to show the new recovery key on")
        .says("--recovery-key-out");
}

// shows: STO-06
#[test]
fn secret_storage_is_set_up_once() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let mode = std::fs::metadata(alice.folder.join("key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = server.other_client("alice").everything();
    let again = [
        "setup",
        "--storage-only",
        "--yes",
        "--recovery-key-out",
        &alice.folder.name_of("again"),
    ];
    alice
        .call(&again)
        .run()
        .fails(1)
        .says("secret storage is already set up")
        .says("fourfold key new --default");
    assert!(!alice.folder.join("again").exists());
    // Nor after the server took everything away.
    let server_data = server.other_client("alice");
    server_data.put(DEFAULT_KEY, "{}");
    alice.call(&again).run().fails(5);
    assert_ne!(server.other_client("alice").everything(), before);
}

#[test]
fn a_recovery_key_that_cannot_be_written_changes_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let before = server.other_client("alice").everything();
    let (good, bad) = (
        alice.folder.name_of("good"),
        alice.folder.name_of("no/such/folder"),
    );
    let call = alice
        .call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &bad,
        ])
        .run();
    call.fails(2);
    let call = alice
        .call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &good,
            "--kit",
            &bad,
        ])
        .run();
    call.fails(2);
    let call = alice
        .call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &good,
            "--kit",
            &good,
        ])
        .run();
    call.fails(1);
    assert!(
        !alice.folder.join("good").exists(),
        "a key that opens nothing is left"
    );
    assert_eq!(server.other_client("alice").everything(), before);
}

#[test]
fn secrets_are_stored_opened_and_deleted() {
    let server = Homeserver::start();
    let alice = alice(&server);
    alice.put(NAME, SECRET, "key").run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
    assert_eq!(alice.call(&["ls"]).run().succeeds(), format!("{NAME}\n"));
    alice.put(NAME, "another", "key").run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), "another");
    let deleted = alice.call(&["rm", NAME, "--yes"]).run();
    deleted.succeeds();
    deleted.says("note: all copies of org.example.wallet are deleted");
    alice
        .get(NAME, "key")
        .run()
        .fails(1)
        .says("(it was deleted)");
    assert_eq!(alice.call(&["ls"]).run().succeeds(), "");
    alice
        .call(&["rm", NAME, "--yes"])
        .run()
        .fails(1)
        .says("there is no such secret");
    alice
        .call(&["rm", "org.example.never", "--yes"])
        .run()
        .fails(1);
    // What is not a secret is neither overwritten nor deleted.
    server
        .other_client("alice")
        .put("org.example.settings", r#"{"theme":"dark"}"#);
    alice
        .call(&["rm", "org.example.settings", "--yes"])
        .run()
        .fails(6);
    alice
        .put("org.example.settings", SECRET, "key")
        .run()
        .fails(6);
    alice.put("m.push_rules", SECRET, "key").run().fails(2);
}

// shows: STO-08
#[test]
fn a_value_that_does_not_belong_there_is_not_stored() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let put = alice
        .put("m.megolm_backup.v1", "no key of a backup", "key")
        .run();
    put.fails(8)
        .says("this value does not belong here")
        .is_silent_about("no key of");
    let backup_key = fourfold::base64::encode([7; 32]);
    alice
        .put("m.megolm_backup.v1", &backup_key, "key")
        .run()
        .succeeds();
    assert_eq!(
        alice.get("m.megolm_backup.v1", "key").run().succeeds(),
        backup_key
    );
}

#[test]
fn a_wrong_key_writes_nothing() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let key = alice.default_key();
    alice.new_key("other");
    let before = server.other_client("alice").everything();
    alice
        .put(NAME, SECRET, "other")
        .run()
        .fails(3)
        .says(&format!("this is not the recovery key of the key {key}"));
    assert_eq!(server.other_client("alice").everything(), before);
}

// shows: KEY-07, KD-01
#[test]
fn kdf_floor_is_enforced_on_read_and_write() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let passphrase = alice
        .folder
        .write("passphrase", "seven lanterns under the old bridge\n");
    let key = alice.folder.name_of("key");
    alice
        .call(&[
            "setup",
            "--storage-only",
            "--yes",
            "--recovery-key-out",
            &key,
        ])
        .arguments(["--new-passphrase-file", &passphrase])
        .run()
        .succeeds();
    let bob = Person::at(&server.address, "alice");
    let other = server.other_client("alice");
    let description = format!("m.secret_storage.key.{}", alice.default_key());
    let mut weakened: Value = serde_json::from_str(&other.content(&description).unwrap()).unwrap();
    weakened["passphrase"]["iterations"] = json!(1);
    weakened.as_object_mut().unwrap().remove("mac");
    other.put(&description, &weakened.to_string());
    // A machine that has never seen the account believes what it sees, and still refuses.
    bob.log_in().run().succeeds();
    let before = other.everything();
    let put = |more: &[&str]| {
        let put = bob.call(&["put", NAME, "-", "--yes", "--passphrase-file", &passphrase]);
        put.arguments(more.iter().copied()).stdin(SECRET).run()
    };
    put(&[]).fails(6).says("only 1 iterations");
    put(&["--allow-weak-kdf"]).fails(6).says("may only read");
    // The machine that has seen it refuses whatever key is given.
    alice
        .put(NAME, SECRET, "key")
        .run()
        .fails(5)
        .says("fourfold status --accept");
    assert_eq!(other.everything(), before);
}

#[test]
fn somebody_else_changed_it_in_between() {
    let server = Homeserver::start();
    let alice = alice(&server);
    alice.put(NAME, SECRET, "key").run().succeeds();
    let (state, key) = (alice.state(), alice.folder.name_of("key"));
    let secret = alice.folder.write("secret", "new");
    let put = ["put", NAME, &secret, "--recovery-key-file", &key, "--state"];
    let put: Vec<_> = put.into_iter().chain(state.to_str()).collect();
    let mut terminal = Terminal::run(&put);
    terminal.expect("Continue? [y/N] ");
    let other = server.other_client("alice");
    other.put(
        NAME,
        r#"{"encrypted":{"theirs":{"iv":"AA","ciphertext":"AA","mac":"AA"}}}"#,
    );
    let theirs = other.everything();
    terminal.type_line("y");
    terminal.expect("was changed by another client");
    assert_eq!(terminal.finish().0, Some(5));
    assert_eq!(other.everything(), theirs);
    alice
        .call(&["resume"])
        .run()
        .fails(5)
        .says("resume --abandon");
    alice.call(&["resume", "--abandon"]).run().succeeds();
    alice
        .call(&["resume"])
        .run()
        .says("there is no interrupted change")
        .succeeds();
}

// shows: STO-10
#[test]
fn an_interrupted_change_is_resumed_or_given_up() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    alice.set_up("key");
    alice.put(NAME, SECRET, "key").run().succeeds();
    let rotate = |new: &str, refused_after: usize| {
        proxy.refuse_write_after(refused_after);
        let new = alice.folder.name_of(new);
        alice
            .change(&["key", "rotate", "--recovery-key-out", &new], &["key"])
            .run()
            .fails(4)
            .says("not now")
            .says("once the problem is fixed: fourfold resume");
    };

    rotate("second", 2);
    alice
        .put(NAME, "new", "key")
        .run()
        .fails(5)
        .says("an earlier change was not finished");
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
    alice
        .call(&["resume"])
        .run()
        .says("done: rotate the key")
        .succeeds();
    assert_eq!(alice.get(NAME, "second").run().succeeds(), SECRET);
    alice.get(NAME, "key").run().fails(3);

    std::fs::rename(alice.folder.join("second"), alice.folder.join("key")).unwrap();
    rotate("third", 1);
    alice.call(&["resume", "--abandon"]).run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
    alice.put(NAME, "new", "key").run().succeeds();
}

#[test]
fn a_server_that_goes_back_in_time_is_noticed() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let other = server.other_client("alice");
    alice.put(NAME, "old", "key").run().succeeds();
    let old = other.content(NAME).unwrap();
    alice.put(NAME, "new", "key").run().succeeds();
    other.put(NAME, &old);

    alice
        .get(NAME, "key")
        .run()
        .fails(5)
        .says("fourfold: warning: org.example.wallet was rolled back to an earlier value");
    alice
        .put(NAME, "newer", "key")
        .run()
        .fails(5)
        .says("older or weaker state than this machine has seen")
        .says("fourfold status --accept");
    assert_eq!(other.content(NAME).unwrap(), old);
    alice
        .call(&["status"])
        .run()
        .says("was rolled back to an earlier value");
    alice
        .call(&["status", "--accept-changes"])
        .run()
        .says("accepted")
        .succeeds();
    alice.call(&["status"]).run().is_silent_about("warning");
    alice.put(NAME, "newer", "key").run().succeeds();
}

#[test]
fn what_another_device_changed_is_remembered_too() {
    let server = Homeserver::start();
    let alice = alice(&server);
    // Another machine of hers stores, and this one looks at it.
    let phone = Person::at(&server.address, "alice");
    phone.log_in().run().succeeds();
    phone.folder.write("key", alice.folder.read("key"));
    phone.put(NAME, "old", "key").run().succeeds();
    let other = server.other_client("alice");
    let old = other.content(NAME).unwrap();
    alice
        .call(&["ls"])
        .run()
        .is_silent_about("warning")
        .succeeds();
    phone.put(NAME, "new", "key").run().succeeds();
    alice
        .call(&["ls"])
        .run()
        .is_silent_about("warning")
        .succeeds();
    other.put(NAME, &old);
    alice
        .call(&["ls"])
        .run()
        .says("was rolled back to an earlier value");
    other.put(NAME, "{}");
    alice.call(&["ls"]).run().says("disappeared");
    alice.put("org.example.other", SECRET, "key").run().fails(5);
}

#[test]
fn another_default_key_is_used_when_it_is_accepted() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let (first, second) = (alice.default_key(), alice.new_key("other"));
    let other = server.other_client("alice");
    other.put(DEFAULT_KEY, &json!({"key": second}).to_string());
    alice
        .call(&["ls"])
        .run()
        .says(&format!("the default key changed from {first} to {second}"));
    // The key before does not show that it is right, and the new one does: it came later, and opens
    // all that there is.
    let put = alice.put(NAME, SECRET, "key");
    put.run().fails(5).says("--accept-changes");
    let put = alice.put(NAME, SECRET, "other");
    put.run().says("accepted, because the key").succeeds();
    assert_eq!(alice.get(NAME, "other").run().succeeds(), SECRET);
    alice.call(&["ls"]).run().is_silent_about("changed");
    // Back to the one before: that is what a server would do that wants an old key to be used.
    other.put(DEFAULT_KEY, &json!({"key": first}).to_string());
    alice.put(NAME, SECRET, "key").run().fails(5);
}

#[test]
fn a_second_process_waits_for_the_first() {
    let server = Homeserver::start();
    let alice = alice(&server);
    let (state, key) = (alice.state(), alice.folder.name_of("key"));
    let secret = alice.folder.write("secret", SECRET);
    let put = ["put", NAME, &secret, "--recovery-key-file", &key, "--state"];
    let put: Vec<_> = put.into_iter().chain(state.to_str()).collect();
    let mut first = Terminal::run(&put);
    first.expect("Continue? [y/N] ");
    // It waits for five seconds, and then gives up.
    alice
        .put("org.example.other", "x", "key")
        .run()
        .fails(5)
        .says("is in use by another process");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| alice.put("org.example.other", "x", "key").run());
        first.type_line("y");
        assert_eq!(first.finish().0, Some(0));
        second.join().unwrap().succeeds();
    });
    let names = alice.call(&["ls"]).run().succeeds();
    assert_eq!(names, format!("org.example.other\n{NAME}\n"));
}

#[test]
fn reads_do_not_wait_for_each_other_and_answer_as_json() {
    let server = Homeserver::start();
    let alice = alice(&server);
    alice.put(NAME, SECRET, "key").run().succeeds();
    std::thread::scope(|scope| {
        let reads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| alice.get(NAME, "key").run()))
            .collect();
        for read in reads {
            assert_eq!(read.join().unwrap().succeeds(), SECRET);
        }
    });
    let listed = alice.call(&["ls", "--json"]).run().json();
    assert_eq!(
        listed,
        json!([{"name": NAME, "key_ids": [alice.default_key()]}])
    );
}

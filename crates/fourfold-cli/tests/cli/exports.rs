//! `export` and `import`: secrets in a file, and back.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::{Invocation, Outcome, fourfold};
use crate::key_endpoints::Scene;
use crate::terminal::Terminal;

const MASTER: &str = "m.cross_signing.master";
const STANDARD: [&str; 4] = [
    MASTER,
    "m.cross_signing.self_signing",
    "m.cross_signing.user_signing",
    "m.megolm_backup.v1",
];
const TOKEN: &str = "org.example.token";

/// `export FILE …` with the account's key in the file `key`, and the new one in `FILE.key`.
fn export(person: &Person, file: &str, more: &[&str]) -> Invocation {
    let folder = &person.folder;
    let (file, new) = (folder.name_of(file), folder.name_of(&format!("{file}.key")));
    let call = person
        .call(&["export", &file])
        .arguments(more.iter().copied());
    call.arguments(["--recovery-key-file", &folder.name_of("key")])
        .arguments(["--recovery-key-out", &new])
}

/// `import FILE …` with the keys in these files.
fn import(person: &Person, file: &str, more: &[&str], keys: &[&str]) -> Invocation {
    let file = person.folder.name_of(file);
    let call = person.call(&["import", &file, "--yes"]);
    let mut call = call.arguments(more.iter().copied());
    for key in keys {
        let key = person.folder.name_of(key);
        call = call.arguments(["--recovery-key-file", &key]);
    }
    call
}

fn both(person: &Person, more: &[&str]) -> Outcome {
    import(person, "out", more, &["key", "out.key"]).run()
}

/// Changes the exported file.
fn edit(person: &Person, change: impl FnOnce(&mut Value)) {
    let mut file: Value = serde_json::from_str(&person.folder.read("out")).unwrap();
    change(&mut file);
    person.folder.write("out", file.to_string());
}

fn everything(server: &Homeserver) -> String {
    server.other_client("alice").everything()
}

#[test]
fn what_was_exported_is_imported_again() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let alice = &scene.alice;
    alice.put(TOKEN, "four folds", "key").run().succeeds();
    let before = everything(&server);
    let told = export(alice, "out", &[TOKEN, "--json"]).run().json();
    assert_eq!(told["names"].as_array().unwrap().len(), 5);
    assert_eq!(everything(&server), before);
    for file in ["out", "out.key"] {
        let metadata = std::fs::metadata(alice.folder.join(file)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{file}");
    }
    // It is secret storage as any other, and holds no plaintext.
    let text = alice.folder.read("out");
    let value = |name: &str| alice.get(name, "key").run().succeeds();
    for name in STANDARD.into_iter().chain([TOKEN]) {
        // Not on this machine, which knows the account and would wonder about the other key.
        let file = alice.folder.name_of("out");
        let key = alice.folder.name_of("out.key");
        let get = fourfold(["get", name, "--snapshot", &file]);
        let opened = get.arguments(["--recovery-key-file", &key]).run();
        let opened = opened.succeeds();
        assert_eq!(opened, value(name), "{name}");
        assert!(!text.contains(&opened), "{name}");
    }
    // Nothing to do while the account has all of it; then two were lost.
    both(alice, &[])
        .says("there is nothing to change")
        .succeeds();
    let (token, master) = (value(TOKEN), value(MASTER));
    for name in [TOKEN, MASTER] {
        let removed = alice.call(&["rm", name, "--yes"]).run();
        removed.succeeds();
    }
    let planned = both(alice, &["--dry-run", "--json"]).json();
    assert_eq!(planned["steps"].as_array().unwrap().len(), 2);
    assert!(alice.get(TOKEN, "key").run().status.code() == Some(1));
    both(alice, &[]).succeeds();
    assert_eq!((value(TOKEN), value(MASTER)), (token, master));
}

#[test]
fn an_import_that_was_interrupted_is_resumed() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let alice = &scene.alice;
    let master = alice.get(MASTER, "key").run().succeeds();
    export(alice, "out", &[]).run().succeeds();
    for name in STANDARD {
        alice.call(&["rm", name, "--yes"]).run().succeeds();
    }
    scene.fail_write_after(2, false);
    assert!(!both(alice, &[]).status.success());
    scene.be_honest();
    both(alice, &[]).fails(5).says("fourfold resume");
    alice.call(&["resume"]).run().succeeds();
    assert_eq!(alice.get(MASTER, "key").run().succeeds(), master);
    both(alice, &[])
        .says("there is nothing to change")
        .succeeds();
}

#[test]
fn a_wrong_key_a_changed_file_and_another_account_are_refused() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    alice.put(TOKEN, "four folds", "key").run().succeeds();
    export(&alice, "out", &[TOKEN])
        .run()
        .says("the account has none: m.cross_signing.master")
        .succeeds();
    let before = everything(&server);
    // One key of the two, or a key of neither.
    let wrong = |keys: &[&str]| import(&alice, "out", &["--replace"], keys).run();
    wrong(&["key"])
        .fails(3)
        .says("the key of the file")
        .says("key check --snapshot");
    wrong(&["out.key"]).fails(3).says("the key of the account");
    let sound = alice.folder.read("out");
    let of_token = |file: &mut Value, member: &str, value: &str| {
        let encrypted = &mut file["account_data"][TOKEN]["encrypted"];
        let entry = encrypted.as_object_mut().unwrap().values_mut().next();
        entry.unwrap()[member] = value.into();
    };
    for (member, value) in [
        ("ciphertext", "AAAAAAAAAAAAAA"),
        ("mac", "AAAA"),
        ("iv", "%"),
    ] {
        edit(&alice, |file| of_token(file, member, value));
        both(&alice, &["--replace"]).fails(7).says(TOKEN);
        alice.folder.write("out", &sound);
    }
    edit(&alice, |file| file["user_id"] = "@bob:localhost".into());
    both(&alice, &["--replace"]).fails(5).says("@bob:localhost");
    both(&alice, &["--other-account"]).succeeds();
    for text in ["", "{}", "[]", "no JSON"] {
        alice.folder.write("out", text);
        both(&alice, &[]).fails(7).says("is not a snapshot");
    }
    edit_to_nothing(&alice);
    assert_eq!(everything(&server), before);
    // What the account has is not replaced by an older value that nothing vouches for.
    alice.folder.write("out", &sound);
    alice.put(TOKEN, "newer", "key").run().succeeds();
    both(&alice, &[]).fails(5).says("--replace");
    assert_eq!(alice.get(TOKEN, "key").run().succeeds(), "newer");
    both(&alice, &["--replace"]).succeeds();
    assert_eq!(alice.get(TOKEN, "key").run().succeeds(), "four folds");
}

/// A file whose secrets are gone.
fn edit_to_nothing(alice: &Person) {
    alice.folder.write(
        "empty",
        r#"{"user_id":"@alice:localhost","account_data":{}}"#,
    );
    let refused = import(alice, "empty", &[], &["key", "out.key"]).run();
    assert!(!refused.status.success());
}

#[test]
fn an_older_identity_is_not_imported() {
    let server = Homeserver::start();
    let scene = Scene::new(&server, "alice");
    scene.set_up().run().succeeds();
    let alice = &scene.alice;
    alice.put(TOKEN, "four folds", "key").run().succeeds();
    export(alice, "out", &[TOKEN]).run().succeeds();
    let password = alice.folder.write("password", PASSWORD);
    let reset = scene.set_up().arguments(["--reset-identity"]);
    let reset = reset.arguments(["--password-file", &password]);
    reset.run().succeeds();
    alice.call(&["rm", TOKEN, "--yes"]).run().succeeds();
    let before = everything(&server);
    let refused = both(alice, &["--replace"]);
    refused.fails(8).says("--matching-only");
    assert_eq!(everything(&server), before);
    both(alice, &["--matching-only"])
        .says("is omitted")
        .succeeds();
    assert_eq!(alice.get(TOKEN, "key").run().succeeds(), "four folds");
    let master = alice.get(MASTER, "key").arguments(["--json"]).run().json();
    assert_eq!(master["matches_published_key"], true);
}

// shows: CLI-02
#[test]
fn an_export_touches_no_file_and_leaves_none_that_nobody_can_open() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    export(&alice, "out", &[]).run().fails(1).says("no secrets");
    alice.put(TOKEN, "four folds", "key").run().succeeds();
    alice.folder.write("victim", "untouched");
    for (file, key) in [("victim", "new.key"), ("new", "victim")] {
        let file = alice.folder.name_of(file);
        let refused = alice
            .call(&["export", &file, TOKEN, "--only"])
            .arguments(["--recovery-key-out", &alice.folder.name_of(key)])
            .arguments(["--recovery-key-file", &alice.folder.name_of("key")]);
        refused.run().fails(1).says("exists already");
        assert!(!alice.folder.join("new").exists() && !alice.folder.join("new.key").exists());
    }
    assert_eq!(alice.folder.read("victim"), "untouched");
    // Without a terminal and without a file for the new key there is nowhere to show it.
    let out = alice.folder.name_of("out");
    let call = alice.call(&["export", &out, TOKEN, "--only"]);
    let call = call.arguments(["--recovery-key-file", &alice.folder.name_of("key")]);
    call.run().fails(2).says("--recovery-key-out");
    assert!(!alice.folder.join("out").exists());
    // A recovery key that its owner did not confirm leaves no file.
    let state = alice.state();
    let mut terminal = Terminal::run(&[
        "export",
        &out,
        TOKEN,
        "--only",
        "--recovery-key-file",
        &alice.folder.name_of("key"),
        "--state",
        state.to_str().unwrap(),
    ]);
    for _ in 0..3 {
        terminal.expect("last group of four characters:");
        terminal.type_line("none");
    }
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(1), "{shown}");
    assert!(!alice.folder.join("out").exists());
}

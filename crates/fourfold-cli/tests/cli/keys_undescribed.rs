//! A key whose description is gone, with its recovery key in hand: it still opens, it is described
//! again, and every command says the same about it.

use serde_json::Value;

use crate::homeserver::{Homeserver, Person};
use crate::hostile::NAME;
use crate::key_endpoints::sealed;

const SECRET: &str = "four folds of paper";

/// A user with an identity and a secret, on a machine that has not seen the account before its default
/// key lost its description; and the ID of that key.
fn account(server: &Homeserver) -> (Person, String) {
    let first = server.person("alice");
    let key = first.folder.name_of("key");
    sealed(&first, &["setup", "--yes", "--recovery-key-out", &key])
        .run()
        .succeeds();
    first.put(NAME, SECRET, "key").run().succeeds();
    let id = first.default_key();
    let here = Person::at(&server.address, "alice");
    here.folder.write("key", first.folder.read("key"));
    let description = format!("m.secret_storage.key.{id}");
    server.other_client("alice").put(&description, "{}");
    here.log_in().run().succeeds();
    (here, id)
}

fn is_described(server: &Homeserver, id: &str) -> bool {
    let description = format!("m.secret_storage.key.{id}");
    let content = server.other_client("alice").content(&description).unwrap();
    let content: Value = serde_json::from_str(&content).unwrap();
    content["mac"].is_string()
}

#[test]
fn what_is_shown_names_the_one_repair() {
    let server = Homeserver::start();
    let (here, id) = account(&server);
    let repair = "fourfold doctor --fix, with the recovery key in --recovery-key-file";
    for command in [["status"].as_slice(), &["key", "ls"]] {
        let shown = here.call(command).run().succeeds();
        assert!(
            shown.contains(&format!("{id}  opens 5 secrets, the default")),
            "{shown}"
        );
        assert!(shown.contains(repair), "{shown}");
        assert!(
            !shown.contains("no keys") && !shown.contains("not the default key"),
            "{shown}"
        );
    }
    let status = here.status();
    assert_eq!(status["undescribed"][0]["is_default"], true);
    assert_eq!(status["secrets"][0]["under_default_key"], true);
    let key = here.folder.name_of("key");
    let with_key = |command: &[&str]| here.call(command).arguments(["--recovery-key-file", &key]);
    let check = with_key(&["key", "check"]).run();
    check.says("it opens 5 secrets").says(repair);
    assert!(check.succeeds().contains(&id));
    let get = here.get(NAME, "key").run();
    assert_eq!(get.says("without a description").succeeds(), SECRET);
    // A passphrase needs what the description said.
    let passphrase = here
        .folder
        .write("passphrase", "seven lanterns under the old bridge");
    let check = here.call(&["key", "check", "--passphrase-file", &passphrase]);
    check.run().fails(7).says("use the recovery key");
    // What does not write with it says how it is mended; and following that works.
    let _agent = here.agent(&[]);
    here.unlock("key").run().fails(7).says(repair);
    assert!(!is_described(&server, &id));
    with_key(&["doctor", "--fix", "--yes"]).run();
    assert!(is_described(&server, &id));
    here.unlock("key").run().succeeds();
}

#[test]
fn what_writes_with_it_describes_it_again() {
    let commands: [&[&str]; 5] = [
        &["key", "default", "ID"],
        &["put", NAME, "-"],
        &["setup"],
        &["key", "rotate", "--recovery-key-out", "new"],
        &["key", "grant", "ID"],
    ];
    for command in commands {
        let server = Homeserver::start();
        let (here, id) = account(&server);
        let file = |word: &&str| match *word {
            "ID" => id.clone(),
            "new" => here.folder.name_of("new"),
            word => word.to_owned(),
        };
        let command: Vec<_> = command.iter().map(file).collect();
        let command: Vec<_> = command.iter().map(String::as_str).collect();
        let mut keys = vec!["key"];
        if command.starts_with(&["key", "grant"]) {
            let other = here.new_key("other");
            let grant = ["key", "grant", &other, NAME];
            here.change(&grant, &["key", "other"]).run().succeeds();
            keys.push("other");
        }
        let mut call = sealed(&here, &command);
        if command[0] != "setup" {
            call = here.call(&command);
        }
        call = call.arguments(["--yes"]).stdin(SECRET);
        for key in &keys {
            let key = here.folder.name_of(key);
            call = call.arguments(["--recovery-key-file", &key]);
        }
        let outcome = call.run();
        outcome.succeeds();
        if command.contains(&"rotate") {
            assert_eq!(here.get(NAME, "new").run().succeeds(), SECRET);
        } else {
            assert!(
                is_described(&server, &id),
                "{command:?}: {}",
                outcome.stderr
            );
            here.get(NAME, "key")
                .run()
                .is_silent_about("without a description");
        }
    }
}

#[test]
fn a_device_is_verified_with_it() {
    let server = Homeserver::start();
    let (here, _) = account(&server);
    let key = here.folder.name_of("key");
    let verify = ["device", "verify", "--recovery-key-file", &key];
    sealed(&here, &verify).run().succeeds();
}

#[test]
fn what_this_machine_remembers_of_it_is_put_back() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let (key, words) = (
        alice.folder.name_of("key"),
        "seven lanterns under the old bridge",
    );
    let passphrase = alice.folder.write("passphrase", words);
    let set_up = [
        "setup",
        "--storage-only",
        "--yes",
        "--recovery-key-out",
        &key,
    ];
    let set_up = alice.call(&set_up);
    set_up
        .arguments(["--new-passphrase-file", &passphrase])
        .run()
        .succeeds();
    alice.put(NAME, SECRET, "key").run().succeeds();
    let id = alice.default_key();
    let description = format!("m.secret_storage.key.{id}");
    server.other_client("alice").put(&description, "{}");
    // It is suspicious, until the right key is given.
    alice.call(&["rm", NAME, "--yes"]).run().fails(5);
    let told = alice.change(&["key", "default", &id], &["key"]).run();
    told.says("accepted, because the key").succeeds();
    // With it, the passphrase opens the key as before.
    let get = ["get", NAME, "--passphrase-file", &passphrase];
    assert_eq!(alice.call(&get).run().succeeds(), SECRET);
}

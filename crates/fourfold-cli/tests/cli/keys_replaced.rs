//! `key rotate` where there is more than one key, and where the old one has a passphrase.

use crate::homeserver::{Homeserver, Person};
use crate::hostile::NAME;
use crate::terminal::Terminal;

const SECRET: &str = "four folds of paper";
const OTHER: &str = "org.example.other";
const WORDS: &str = "seven lanterns under the old bridge";

/// A user with two keys, in the files `key` and `paper`: both open one secret, `paper` alone another
/// one. And the ID of `paper`.
fn two_keys(server: &Homeserver) -> (Person, String) {
    let alice = server.person("alice");
    alice.set_up("key");
    let paper = alice.new_key("paper");
    alice.put(NAME, SECRET, "key").run().succeeds();
    let grant = ["key", "grant", &paper];
    alice.change(&grant, &["key", "paper"]).run().succeeds();
    let put = ["put", OTHER, "-", "--under", &paper];
    alice
        .change(&put, &["paper"])
        .stdin(SECRET)
        .run()
        .succeeds();
    (alice, paper)
}

fn rotate(alice: &Person, more: &[&str], keys: &[&str]) -> crate::invocation::Invocation {
    let new = alice.folder.name_of("new");
    let rotate = ["key", "rotate", "--recovery-key-out", &new];
    let call = alice.change(&rotate, keys);
    call.arguments(more.iter().copied())
}

#[test]
fn what_other_keys_open_is_said_and_stays() {
    let server = Homeserver::start();
    let (alice, paper) = two_keys(&server);
    rotate(&alice, &[], &["key"])
        .run()
        .says(&format!(
            "1 secret is under the key {paper} and not under the old one"
        ))
        .says(&format!("the key {paper} still opens 1 of these secrets"))
        .succeeds();
    for (name, key) in [(NAME, "new"), (NAME, "paper"), (OTHER, "paper")] {
        assert_eq!(alice.get(name, key).run().succeeds(), SECRET);
    }
    alice.get(OTHER, "new").run().fails(1);
}

#[test]
fn several_keys_are_replaced_by_one() {
    let server = Homeserver::start();
    let (alice, paper) = two_keys(&server);
    rotate(&alice, &[], &["key", "paper"])
        .run()
        .is_silent_about("still opens")
        .succeeds();
    for name in [NAME, OTHER] {
        assert_eq!(alice.get(name, "new").run().succeeds(), SECRET);
        alice.get(name, "paper").run().fails(3);
    }
    let keys = alice.status()["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 1, "{keys}");
    assert!(!keys.to_string().contains(&paper));
}

#[test]
fn another_key_is_withdrawn_only_where_it_opens_nothing_alone() {
    let server = Homeserver::start();
    let (alice, paper) = two_keys(&server);
    // It alone opens something: it stays, and is spoken of.
    rotate(&alice, &["--withdraw-others"], &["key"])
        .run()
        .says(&format!("the key {paper} still opens"))
        .succeeds();
    assert_eq!(alice.get(OTHER, "paper").run().succeeds(), SECRET);
    std::fs::rename(alice.folder.join("new"), alice.folder.join("key")).unwrap();
    alice.call(&["rm", OTHER, "--yes"]).run().succeeds();
    rotate(&alice, &["--withdraw-others"], &["key"])
        .run()
        .is_silent_about("still opens")
        .succeeds();
    assert_eq!(alice.get(NAME, "new").run().succeeds(), SECRET);
    alice.get(NAME, "paper").run().fails(3);
    assert_eq!(alice.status()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_person_is_asked_for_the_other_keys() {
    let server = Homeserver::start();
    let (alice, _) = two_keys(&server);
    let (state, key) = (alice.state(), alice.folder.name_of("key"));
    let new = alice.folder.name_of("new");
    let mut terminal = Terminal::run(&[
        "key",
        "rotate",
        "--recovery-key-file",
        &key,
        "--recovery-key-out",
        &new,
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("1 secret is under the key");
    terminal.expect_hidden("Recovery key: ");
    terminal.type_line(alice.folder.read("paper").trim());
    terminal.expect("Continue?");
    terminal.type_line("y");
    assert_eq!(terminal.finish().0, Some(0));
    for name in [NAME, OTHER] {
        assert_eq!(alice.get(name, "new").run().succeeds(), SECRET);
    }

    // A key that opens nothing alone is offered to be taken away.
    std::fs::rename(alice.folder.join("new"), alice.folder.join("key")).unwrap();
    let paper = alice.new_key("paper2");
    let grant = ["key", "grant", &paper];
    alice.change(&grant, &["key", "paper2"]).run().succeeds();
    let mut terminal = Terminal::run(&[
        "key",
        "rotate",
        "--recovery-key-file",
        &key,
        "--recovery-key-out",
        &new,
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("Take it away, so that it opens nothing any more? [y/N]");
    terminal.type_line("y");
    terminal.expect("Continue?");
    terminal.type_line("y");
    assert_eq!(terminal.finish().0, Some(0));
    alice.get(NAME, "paper2").run().fails(3);
}

/// A user whose key has a passphrase, which is in the file `passphrase`.
fn with_passphrase(server: &Homeserver) -> Person {
    let alice = server.person("alice");
    let (key, passphrase) = (
        alice.folder.name_of("key"),
        alice.folder.write("passphrase", WORDS),
    );
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
    alice
}

#[test]
fn a_passphrase_is_never_dropped_silently() {
    let server = Homeserver::start();
    let alice = with_passphrase(&server);
    let passphrase = alice.folder.name_of("passphrase");
    let opens = |alice: &Person| {
        let get = ["get", NAME, "--passphrase-file", &passphrase];
        alice.call(&get).run().stdout == SECRET.as_bytes()
    };
    let dropped = "the passphrase of the old key opens nothing any more";
    let keep = |alice: &Person| {
        std::fs::rename(alice.folder.join("new"), alice.folder.join("key")).unwrap();
    };
    // It was not given, so that it cannot be kept.
    let refused = rotate(&alice, &["--keep-passphrase"], &["key"]).run();
    refused.fails(2).says("was not given by its passphrase");
    let given = ["--keep-passphrase", "--passphrase-file", &passphrase];
    rotate(&alice, &given, &[])
        .run()
        .is_silent_about(dropped)
        .succeeds();
    assert!(opens(&alice));
    keep(&alice);
    let new = ["--new-passphrase-file", &passphrase];
    rotate(&alice, &new, &["key"])
        .run()
        .is_silent_about(dropped)
        .succeeds();
    assert!(opens(&alice));
    keep(&alice);
    rotate(&alice, &["--no-passphrase"], &["key"])
        .run()
        .is_silent_about(dropped)
        .succeeds();
    assert!(!opens(&alice));

    let server = Homeserver::start();
    let alice = with_passphrase(&server);
    rotate(&alice, &[], &["key"]).run().says(dropped).succeeds();

    // A person is asked.
    let server = Homeserver::start();
    let alice = with_passphrase(&server);
    let (state, file) = (alice.state(), alice.folder.name_of("passphrase"));
    let new = alice.folder.name_of("new");
    let mut terminal = Terminal::run(&[
        "key",
        "rotate",
        "--passphrase-file",
        &file,
        "--recovery-key-out",
        &new,
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("Keep it for the new key? [y/N]");
    terminal.type_line("y");
    terminal.expect("Continue?");
    terminal.type_line("y");
    assert_eq!(terminal.finish().0, Some(0));
    assert!(opens(&alice));
}

#[test]
fn the_plan_for_many_secrets_is_a_screen_and_not_a_book() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    for number in 0..6 {
        let name = format!("org.example.{number}");
        alice.put(&name, SECRET, "key").run().succeeds();
    }
    let plan = rotate(&alice, &["--dry-run"], &["key"]).run();
    plan.says("encrypt 6 secrets under")
        .says("remove the copy of 6 secrets under")
        .is_silent_about("org.example.3");
    let plan = rotate(&alice, &["--dry-run", "-v"], &["key"]).run();
    plan.says("encrypt org.example.3 under");
    let plan = rotate(&alice, &["--dry-run", "--json"], &["key"])
        .run()
        .json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 15);
}

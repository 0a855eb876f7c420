//! Questions on the terminal: nothing secret is shown, and the terminal is left as it was.

use rustix::process::Signal;
use serde_json::json;

use crate::account_data::{Made, description_of, recovery_key};
use crate::homeserver::Homeserver;
use crate::invocation::Folder;
use crate::terminal::Terminal;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";
const QUESTION: &str = "Recovery key: ";

/// A folder with an account in `snapshot.json`, and the recovery key of the account.
fn account() -> (Folder, String) {
    let folder = Folder::new();
    let (mut made, key) = Made::with_key();
    made.store(NAME, SECRET, &[&key]);
    made.write(&folder);
    (folder, recovery_key(&key))
}

// shows: CLI-02, CL-04
#[test]
fn a_secret_is_not_shown_on_a_terminal_unless_asked() {
    let (folder, key) = account();
    let snapshot = folder.name_of("snapshot.json");
    // It says so before it asks for a key.
    let (code, shown) = Terminal::run(&["get", NAME, "--snapshot", &snapshot]).finish();
    assert_eq!(code, Some(6));
    assert!(shown.contains("fourfold: error: a secret is not shown on a terminal"));
    assert!(!shown.contains("Recovery key"));

    let mut terminal = Terminal::run(&["get", NAME, "--show", "--snapshot", &snapshot]);
    terminal.expect_hidden(QUESTION);
    terminal.type_line(&key);
    terminal.expect(SECRET);
    assert_eq!(terminal.finish().0, Some(0));
}

// shows: CLI-01
#[test]
fn what_is_typed_is_not_shown() {
    let (folder, key) = account();
    let snapshot = folder.name_of("snapshot.json");
    let mut terminal = Terminal::run_redirected(&["get", NAME, "--snapshot", &snapshot]);
    terminal.expect_hidden(QUESTION);
    terminal.type_line(&key);
    assert_eq!(terminal.redirected_output(), SECRET);
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(0));
    for group in key.split(' ') {
        assert!(!shown.contains(group), "{shown}");
    }
    assert!(!shown.contains(SECRET));
}

#[test]
fn a_typing_error_at_the_prompt_is_located() {
    let (folder, key) = account();
    let snapshot = folder.name_of("snapshot.json");
    let mut terminal = Terminal::run(&["key", "check", "--snapshot", &snapshot]);
    terminal.expect_hidden(QUESTION);
    terminal.type_line(&format!("{}0{}", &key[..5], &key[6..]));
    terminal.expect("fourfold: error: character 5 (group 2) is '0'");
    assert_eq!(terminal.finish().0, Some(3));
}

// shows: CLI-06, CL-06
#[test]
fn any_signal_at_a_prompt_leaves_the_terminal_as_it_was() {
    let (folder, _) = account();
    let snapshot = folder.name_of("snapshot.json");
    let prompt = || {
        let mut terminal = Terminal::run(&["key", "check", "--snapshot", &snapshot]);
        terminal.expect_hidden(QUESTION);
        terminal
    };
    let mut terminal = prompt();
    terminal.type_keys("EsTc \u{3}");
    assert_eq!(terminal.finish().0, Some(130));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut terminal = prompt();
        terminal.signal(signal);
        assert_eq!(terminal.finish().0, Some(code));
    }
}

// shows: KEY-05, KD-04
#[test]
fn ctrl_c_ends_a_long_derivation() {
    let folder = Folder::new();
    let mut made = Made::default();
    let key = made.key_of_passphrase("seven lanterns under the old bridge");
    made.edit(&description_of(&key), |description| {
        description["passphrase"]["iterations"] = json!(10_000_000);
    });
    let snapshot = made.write(&folder);
    let mut terminal = Terminal::run(&["key", "check", "--snapshot", &snapshot]);
    terminal.expect_hidden("Recovery key or passphrase: ");
    terminal.type_line("seven lanterns under the old bridge");
    terminal.expect("deriving the key from the passphrase (10000000 iterations)");
    terminal.type_keys("\u{3}");
    assert_eq!(terminal.finish().0, Some(130));
}

#[test]
fn the_end_of_input_is_no_answer() {
    let (folder, _) = account();
    let snapshot = folder.name_of("snapshot.json");
    let mut terminal = Terminal::run(&["key", "check", "--snapshot", &snapshot]);
    terminal.expect_hidden(QUESTION);
    terminal.type_keys("\u{4}");
    terminal.expect("fourfold: error: no answer was given");
    assert_eq!(terminal.finish().0, Some(1));
}

#[test]
fn a_recovery_key_is_confirmed_before_anything_depends_on_it() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let state = alice.state();
    let setup = [
        "setup",
        "--storage-only",
        "--yes",
        "--state",
        state.to_str().unwrap(),
    ];
    let before = server.other_client("alice").everything();

    let mut terminal = Terminal::run(&setup);
    for _ in 0..3 {
        terminal.expect("type its last group of four characters:");
        terminal.type_line("nope");
    }
    terminal.expect("the recovery key was not confirmed; nothing was changed");
    assert_eq!(terminal.finish().0, Some(1));
    assert_eq!(server.other_client("alice").everything(), before);

    let mut terminal = Terminal::run(&setup);
    terminal.expect("    Es");
    terminal.expect("type its last group of four characters:");
    let key = terminal
        .shown()
        .lines()
        .find(|line| line.starts_with("    Es"));
    let key = key.unwrap().trim().to_owned();
    terminal.type_line(key.rsplit(' ').next().unwrap());
    assert_eq!(terminal.finish().0, Some(0));
    alice.folder.write("key", &key);
    alice.put(NAME, SECRET, "key").run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
}

#[test]
fn ctrl_c_while_a_recovery_key_is_shown_changes_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let before = server.other_client("alice").everything();
    let state = alice.state();
    let mut terminal = Terminal::run(&[
        "setup",
        "--storage-only",
        "--yes",
        "--state",
        state.to_str().unwrap(),
    ]);
    terminal.expect("type its last group of four characters:");
    terminal.type_keys("\u{3}");
    assert_eq!(terminal.finish().0, Some(130));
    assert_eq!(server.other_client("alice").everything(), before);
}

#[test]
fn two_different_passphrases_change_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let state = alice.state();
    let setup = [
        "setup",
        "--storage-only",
        "--new-passphrase",
        "--state",
        state.to_str().unwrap(),
    ];
    let mut terminal = Terminal::run(&setup);
    terminal.expect_hidden("New passphrase: ");
    terminal.type_line("seven lanterns under the old bridge");
    terminal.expect_hidden("Repeat the new passphrase: ");
    terminal.type_line("seven lanterns over the old bridge");
    terminal.expect("the two passphrases differ; nothing was changed");
    let (code, shown) = terminal.finish();
    assert_eq!(code, Some(1));
    assert!(!shown.contains("lanterns"));
    assert!(
        server
            .other_client("alice")
            .content("m.secret_storage.default_key")
            .is_none()
    );
}

#[test]
fn a_change_is_only_made_when_the_answer_is_yes() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let (state, key) = (alice.state(), alice.folder.name_of("key"));
    let secret = alice.folder.write("secret", SECRET);
    let put = [
        "put",
        NAME,
        &secret,
        "--recovery-key-file",
        &key,
        "--state",
        state.to_str().unwrap(),
    ];
    for answer in ["", "n", "no", "yep"] {
        let mut terminal = Terminal::run(&put);
        terminal.expect("plan: store org.example.wallet");
        terminal.expect("Continue? [y/N] ");
        terminal.type_line(answer);
        terminal.expect("nothing was changed");
        assert_eq!(terminal.finish().0, Some(1));
    }
    assert!(server.other_client("alice").content(NAME).is_none());
    let mut terminal = Terminal::run(&put);
    terminal.expect("Continue? [y/N] ");
    terminal.type_line("y");
    assert_eq!(terminal.finish().0, Some(0));
    assert_eq!(alice.get(NAME, "key").run().succeeds(), SECRET);
}

// shows: KEY-11
#[test]
fn a_passphrase_is_made_when_it_is_asked_for_or_none_is_typed() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let (state, key) = (alice.state(), alice.folder.name_of("key"));
    let setup = |option: &'static str| {
        let arguments = [
            "setup",
            "--storage-only",
            "--yes",
            option,
            "--recovery-key-out",
            &key,
            "--state",
        ];
        let arguments: Vec<_> = arguments.into_iter().chain(state.to_str()).collect();
        Terminal::run(&arguments)
    };
    let made = |terminal: &mut Terminal| {
        terminal.expect("The new passphrase:");
        terminal.expect("It opens everything");
        let shown = terminal
            .shown()
            .split("The new passphrase:")
            .nth(1)
            .unwrap();
        shown
            .lines()
            .find(|line| line.starts_with("    "))
            .unwrap()
            .trim()
            .to_owned()
    };
    let mut terminal = setup("--generate-passphrase");
    made(&mut terminal);
    for _ in 0..3 {
        terminal.expect_hidden("Repeat the new passphrase: ");
        terminal.type_line("something else");
    }
    terminal.expect("the passphrase was not confirmed; nothing was changed");
    assert_eq!(terminal.finish().0, Some(1));
    assert!(!alice.folder.join("key").exists());

    let mut terminal = setup("--new-passphrase");
    terminal.expect("to get six random words instead");
    terminal.expect_hidden("New passphrase: ");
    terminal.type_line("");
    let words = made(&mut terminal);
    assert_eq!(words.split(' ').count(), 6, "{words}");
    terminal.expect_hidden("Repeat the new passphrase: ");
    terminal.type_line(&words);
    terminal.expect("secret storage is set up");
    assert_eq!(terminal.finish().0, Some(0));
    alice.put(NAME, SECRET, "key").run().succeeds();
    let get = alice.call(&["get", NAME, "--passphrase-file", "-"]);
    assert_eq!(get.stdin(words).run().succeeds(), SECRET);

    // It is never made where nobody can see it.
    let key = ["--recovery-key-out", &alice.folder.name_of("other")];
    let unseen = alice.change(&["key", "new", "--generate-passphrase"], &[]);
    unseen
        .arguments(key)
        .run()
        .fails(2)
        .says("there is no terminal to show the new passphrase on");
}

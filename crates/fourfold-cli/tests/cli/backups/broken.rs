//! Every broken state of the key backup, and every command.

use super::*;

/// A state that the key backup is in.
struct State {
    name: &'static str,
    put: fn(&Account<'_>),
    /// What every command that reads the account says of it.
    warning: Option<&'static str>,
    /// How `setup` ends, what it says, and the state that it tells.
    setup: (i32, &'static str, &'static str),
    /// What `backup status` calls it, and what it says of the stored private key.
    status: (&'static str, &'static str),
    /// How `backup check` and `backup restore-key` end.
    check: i32,
    restore: i32,
    /// What `doctor` finds, with the key.
    finding: Option<&'static str>,
    /// Whether `backup new` helps while the state lasts: not where the server goes on like this.
    new_helps: bool,
}

const STATES: &[State] = &[
    State {
        name: "an internal error without a body",
        put: |account| account.answer_version(Message::answer(500, "text/plain", "")),
        warning: Some("(HTTP status 500)"),
        setup: (4, "it is not known whether there is one", "unavailable"),
        status: ("unavailable", "not_compared"),
        check: 4,
        restore: 4,
        finding: None,
        new_helps: false,
    },
    State {
        name: "an internal error of Matrix",
        put: |account| account.answer_version(Message::error(500, "M_UNKNOWN", "internal")),
        warning: Some("M_UNKNOWN"),
        setup: (4, "it is not known whether there is one", "unavailable"),
        status: ("unavailable", "not_compared"),
        check: 4,
        restore: 4,
        finding: None,
        new_helps: false,
    },
    State {
        name: "a 404 that is none of Matrix",
        put: |account| account.answer_version(Message::answer(404, "text/html", "<html>")),
        warning: Some("(HTTP status 404)"),
        setup: (4, "it is not known whether there is one", "unavailable"),
        status: ("unavailable", "not_compared"),
        check: 4,
        restore: 4,
        finding: None,
        new_helps: false,
    },
    State {
        name: "malformed JSON",
        put: |account| account.answer_version(Message::answer(200, "application/json", "{\"ver")),
        warning: Some("cannot be understood"),
        setup: (4, "it is not known whether there is one", "unavailable"),
        status: ("unavailable", "not_compared"),
        check: 4,
        restore: 4,
        finding: None,
        new_helps: false,
    },
    State {
        name: "a server without key backups",
        put: |account| account.answer_version(Message::error(404, "M_UNRECOGNIZED", "no")),
        warning: None,
        setup: (4, "it is not known whether there is one", "unavailable"),
        status: ("unavailable", "not_compared"),
        check: 4,
        restore: 4,
        finding: None,
        new_helps: false,
    },
    State {
        name: "an unknown algorithm",
        put: |account| {
            let made = json!({"algorithm": "org.example.unknown", "auth_data": {}});
            account.other.call("POST", "room_keys/version", &made);
        },
        warning: Some("unknown algorithm"),
        setup: (8, "unknown algorithm", "unreadable"),
        status: ("unusable", "former"),
        check: 7,
        restore: 7,
        finding: Some("backup-algorithm-unknown"),
        new_helps: true,
    },
    State {
        name: "a public key of 45 bytes",
        put: |account| {
            let auth_data = json!({"public_key": fourfold::base64::encode([7; 45])});
            let algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
            let made = json!({"algorithm": algorithm, "auth_data": auth_data});
            account.other.call("POST", "room_keys/version", &made);
        },
        warning: Some("the public key of the backup version"),
        setup: (8, "cannot be compared", "unreadable"),
        status: ("unusable", "former"),
        check: 7,
        restore: 7,
        finding: Some("backup-data-malformed"),
        new_helps: true,
    },
    State {
        name: "the key of an older version",
        put: |account| drop(account.make_elsewhere()),
        warning: None,
        setup: (
            5,
            "a different key backup than this machine knows",
            "replaced",
        ),
        status: ("usable", "former"),
        check: 8,
        restore: 8,
        finding: Some("backup-key-of-older-version"),
        new_helps: true,
    },
    State {
        name: "deleted",
        put: |account| {
            let version = account.current()["version"].as_str().unwrap().to_owned();
            let path = format!("room_keys/version/{version}");
            account.other.call("DELETE", &path, &json!({}));
        },
        warning: None,
        setup: (5, "does not show the key backup", ""),
        status: ("missing", "not_compared"),
        check: 1,
        restore: 1,
        finding: Some("backup-missing"),
        new_helps: true,
    },
];

#[test]
fn everything_else_works_while_the_backup_does_not() {
    let server = Homeserver::start();
    for (number, state) in STATES.iter().enumerate() {
        let account = Account::new(&server, &format!("alice{number}"));
        (state.put)(&account);
        others(&account, state);
        about_the_backup(&account, state);
    }
}

/// The commands that need no backup.
fn others(account: &Account<'_>, state: &State) {
    let alice = &account.scene.alice;
    let key = alice.folder.name_of("key");
    let new = alice.folder.name_of("new");
    let with_key = ["--recovery-key-file", &key];
    alice.folder.write("value", "a value");
    let value = alice.folder.name_of("value");
    for (command, needs_key) in [
        (&["ls"][..], false),
        (&["status"], false),
        (&["key", "ls"], false),
        (&["get", "m.cross_signing.master"], true),
        (&["put", "org.example.t", &value, "--yes"], true),
        (&["get", "org.example.t"], true),
        (&["rm", "org.example.t", "--yes"], false),
        (&["key", "check"], true),
    ] {
        let mut call = alice.call(command);
        if needs_key {
            call = call.arguments(with_key);
        }
        let told = call.run();
        assert_eq!(
            told.status.code(),
            Some(0),
            "{}: {command:?}: {}",
            state.name,
            told.stderr
        );
        match state.warning {
            Some(warning) => drop(told.says("warning: the key backup").says(warning)),
            None => drop(told.is_silent_about("warning: the key backup")),
        }
    }
    let verified = sealed(alice, &["device", "verify"])
        .arguments(with_key)
        .run();
    assert_eq!(
        verified.status.code(),
        Some(0),
        "{}: {}",
        state.name,
        verified.stderr
    );
    let rotated = alice.call(&["key", "rotate", "--yes", "--recovery-key-out", &new]);
    rotated.arguments(with_key).run().succeeds();
    std::fs::copy(&new, &key).unwrap();
    std::fs::remove_file(&new).unwrap();
    // The private key that is there is the user's, whatever it belongs to.
    let got = alice.get(BACKUP, "key").run();
    got.succeeds();
    if state.status.1 == "former" && state.status.0 == "usable" {
        got.says("warning: this is the private key of another version");
    }
    // The doctor says what it can.
    let told = sealed(alice, &["doctor", "--json"])
        .arguments(with_key)
        .run();
    let report: Value = serde_json::from_str(&told.text()).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let codes: Vec<_> = findings.map(|one| one["code"].as_str().unwrap()).collect();
    match state.finding {
        Some(code) => assert!(codes.contains(&code), "{}: {codes:?}", state.name),
        None => assert!(
            !codes.iter().any(|code| code.starts_with("backup")),
            "{codes:?}"
        ),
    }
}

fn about_the_backup(account: &Account<'_>, state: &State) {
    let name = state.name;
    let status = account.status();
    assert_eq!(status["state"], state.status.0, "{name}");
    assert_eq!(status["stored_key"], state.status.1, "{name}: {status}");
    assert_eq!(
        status["problem"].is_null(),
        matches!(state.status.0, "usable" | "missing")
    );
    let told = account.backup(&["status"]).run();
    told.succeeds();
    told.says("hint: ")
        .is_silent_about("fourfold backup status");
    // It is not set up, and the hint leads out.
    let (code, words, of_setup) = state.setup;
    let told = account.scene.set_up().run();
    told.fails(code).says("the key backup").says(words);
    told.says("fourfold backup")
        .is_silent_about("everything is set up");
    if !of_setup.is_empty() {
        let told = account.scene.set_up().arguments(["--json"]).run();
        let answer: Value = serde_json::from_str(&told.text()).unwrap();
        assert_eq!(answer["backup_state"], of_setup, "{name}");
        assert_eq!(answer["is_device_signed"], true, "{name}");
    }
    account
        .backup(&["check"])
        .run()
        .fails(state.check)
        .says("fourfold backup");
    let restored = account.backup(&["restore-key", "--yes"]).run();
    restored.fails(state.restore).says("fourfold backup");
    // Without a version nobody knows what is to be deleted.
    if matches!(state.status.0, "unavailable" | "missing") {
        let refused = account.bare(&["rm", "--yes"]).run();
        assert_ne!(refused.status.code(), Some(0), "{name}");
        refused.says("fourfold backup rm VERSION");
    }
    // The way out.
    let before = account.get(BACKUP);
    let made = account.backup(&["new", "--yes"]).run();
    if !state.new_helps {
        // A server that goes on like this shows nothing of what it made.
        made.fails(5).says("fourfold resume");
        account.scene.be_honest();
        account.scene.alice.call(&["resume"]).run().succeeds();
    } else {
        assert_eq!(made.status.code(), Some(0), "{name}: {}", made.stderr);
    }
    assert_ne!(account.get(BACKUP), before, "{name}");
    let kept = account.scene.alice.call(&["ls"]).run().succeeds();
    let kept = kept
        .lines()
        .find(|line| line.contains("org.fourfold.megolm_backup.v1."));
    let kept = kept
        .unwrap_or_else(|| panic!("{name}: nothing is kept"))
        .trim()
        .to_owned();
    assert_eq!(account.get(&kept), before, "{name}");
    let told = account.scene.set_up().run();
    told.succeeds();
    told.says("everything is set up");
    assert_eq!(account.status()["stored_key"], "current", "{name}");
}

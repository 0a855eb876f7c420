//! Odd places to run in: no room to speak, a narrow terminal, another language, a strange time zone.

use std::path::Path;
use std::time::Instant;

use crate::homeserver::Homeserver;
use crate::invocation::{Folder, fourfold};
use crate::terminal::Terminal;

const FIXTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../fixtures/rust-sdk-passphrase.json"
);

#[test]
fn a_command_that_cannot_complain_ends_as_it_would() {
    let nobody = Folder::new();
    let state = nobody.name_of("none");
    for (arguments, code) in [
        (["status", "--snapshot", FIXTURE, "-vvv"].as_slice(), 0),
        (&["status", "--state", &state], 2),
        (&["get", "org.example.secret", "--snapshot", FIXTURE], 2),
        (&["get", "org.example.none", "--snapshot", FIXTURE], 1),
        (&["no such command"], 2),
        (&["get", "--json"], 2),
        (&["agent", "log", "--state", &state], 2),
    ] {
        for nowhere in ["/dev/full", "&-"] {
            let complaining = fourfold(arguments).run();
            let silent = fourfold(arguments)
                .after(&format!("exec 2>{nowhere}"))
                .run();
            assert_eq!(silent.status.code(), complaining.status.code());
            assert_eq!(silent.status.code(), Some(code), "{}", complaining.stderr);
            assert_eq!(silent.stdout, complaining.stdout);
        }
    }
}

// shows: AGT-03, LIB-21
#[test]
fn no_command_leaves_a_core_dump_or_lets_others_look_inside() {
    let folder = Folder::new();
    let put = ["put", "a", "-", "--state", &folder.name_of("none")];
    let get = [
        "get",
        "a",
        "--recovery-key-file",
        "-",
        "--snapshot",
        FIXTURE,
    ];
    let data = folder.name_of("data");
    let serve = ["serve", "--bind", "127.0.0.1:0", "--data", &data];
    for arguments in [put.as_slice(), &get, &serve] {
        // It reads what it is given, which does not come; or it serves.
        let call = fourfold(arguments).after("ulimit -c hard 2>/dev/null");
        let mut child = call.spawn();
        let path = format!("/proc/{}/limits", child.id());
        let begun = Instant::now();
        let has_none = || {
            let limits = std::fs::read_to_string(&path).unwrap_or_default();
            let line = limits.lines().find(|line| line.starts_with("Max core"));
            line.is_some_and(|line| line.split_whitespace().skip(4).take(2).eq(["0", "0"]))
        };
        // What is not dumpable belongs to root, so that nobody else may look inside.
        let is_closed = || {
            let owner = std::fs::metadata(format!("/proc/{}/mem", child.id()));
            std::os::unix::fs::MetadataExt::uid(&owner.unwrap()) == 0
        };
        while !has_none() || !is_closed() {
            assert!(begun.elapsed().as_secs() < 30, "{arguments:?}");
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn the_language_and_the_time_zone_change_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    for arguments in [
        ["status"].as_slice(),
        &["ls", "-l"],
        &["key", "ls"],
        &["agent", "log"],
        &["agent", "log", "--json"],
    ] {
        let as_ever = alice.call(arguments).run().succeeds();
        let odd = [
            ("LC_ALL", "C"),
            ("LANG", "xx_XX.UTF-32"),
            ("TZ", "Mars/Olympus+37:99"),
            ("COLUMNS", "20"),
            ("TERM", "dumb"),
        ];
        let call = alice.call(arguments);
        let call = odd.into_iter().fold(call, |call, (name, value)| {
            call.environment(name, Path::new(value))
        });
        assert_eq!(call.run().succeeds(), as_ever, "{arguments:?}");
    }
}

#[test]
fn twenty_columns_are_enough() {
    let key = std::fs::read_to_string(FIXTURE).unwrap();
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let mut terminal =
        Terminal::narrow(&["get", "org.example.secret", "--show", "--snapshot", FIXTURE]);
    terminal.expect_hidden("Recovery key");
    terminal.type_line(key["previous_recovery_key"].as_str().unwrap());
    terminal.expect("s3cr3t value");
    assert_eq!(terminal.finish().0, Some(0));
    for arguments in [
        ["--help"].as_slice(),
        &["agent", "--help"],
        &["key", "ls", "--snapshot", FIXTURE],
    ] {
        let (code, shown) = Terminal::narrow(arguments).finish();
        assert_eq!(code, Some(0), "{shown}");
    }
}

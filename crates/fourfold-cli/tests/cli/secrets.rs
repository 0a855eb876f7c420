//! How secrets come in and go out.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::account_data::{Made, recovery_key};
use crate::homeserver::Homeserver;
use crate::invocation::{Folder, Invocation, fourfold};

const NAME: &str = "org.example.wallet";
const SECRET: &str = "four folds of paper";

/// A folder with an account in `snapshot.json` and its recovery key in `key`.
fn folder() -> Folder {
    folder_with(SECRET)
}

fn folder_with(secret: &str) -> Folder {
    let folder = Folder::new();
    let (mut made, key) = Made::with_key();
    made.store(NAME, secret, &[&key]);
    made.write(&folder);
    folder.write("key", recovery_key(&key));
    folder
}

fn get(folder: &Folder) -> Invocation {
    fourfold(["get", NAME, "--snapshot", &folder.name_of("snapshot.json")])
        .arguments(["--recovery-key-file", &folder.name_of("key")])
}

#[test]
fn a_secret_goes_to_a_pipe_exactly_as_it_is() {
    for secret in ["x", "two\nlines\n", " spaces ", "\u{1b}[2J\0", "🔑"] {
        let outcome = get(&folder_with(secret)).run();
        assert_eq!(outcome.succeeds(), secret);
        outcome.says("opened with the key ");
    }
}

// shows: CLI-02
#[test]
fn a_secret_goes_to_a_new_file_that_only_its_owner_reads() {
    let folder = folder();
    let out = folder.name_of("out");
    let outcome = get(&folder).arguments(["--out", &out]).run();
    assert_eq!(outcome.succeeds(), "");
    assert_eq!(folder.read("out"), SECRET);
    let mode = std::fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

// shows: CLI-02, CL-03
#[test]
fn a_file_that_is_there_is_never_touched() {
    let folder = folder();
    let victim = folder.write("victim", "untouched");
    symlink(&victim, folder.join("link")).unwrap();
    symlink(folder.join("nowhere"), folder.join("dangling")).unwrap();
    std::fs::create_dir(folder.join("folder")).unwrap();
    for name in ["victim", "link", "dangling", "folder"] {
        let out = folder.name_of(name);
        // Before a key is asked for: without a terminal, asking would be exit code 2.
        fourfold([
            "get",
            NAME,
            "--snapshot",
            &folder.name_of("snapshot.json"),
            "--out",
            &out,
        ])
        .run()
        .fails(1)
        .says(&format!("{out} exists already"));
    }
    get(&folder)
        .arguments(["--out", "/dev/full"])
        .run()
        .fails(1);
    assert_eq!(folder.read("victim"), "untouched");
    assert!(!folder.join("nowhere").exists());
    let out = folder.name_of("missing/out");
    get(&folder)
        .arguments(["--out", &out])
        .run()
        .fails(2)
        .says(&out);
}

// shows: CL-03
#[test]
fn a_full_disk_is_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let outcome = get(&folder()).stdout(full).run();
    assert_eq!(outcome.status.code(), Some(2));
    outcome
        .says("fourfold: error: standard output: ")
        .is_silent_about(SECRET);
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let outcome = get(&folder())
        .stdout(File::from(std::os::fd::OwnedFd::from(writer)))
        .run();
    assert_eq!(outcome.status.code(), Some(0));
    outcome.is_silent_about("error");
    for arguments in [["--help"].as_slice(), &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let writer = File::from(std::os::fd::OwnedFd::from(writer));
        let outcome = fourfold(arguments).stdout(writer).run();
        assert_eq!(outcome.status.code(), Some(0));
        assert_eq!(outcome.stderr, "");
    }
}

#[test]
fn a_key_comes_from_a_file_a_descriptor_or_standard_input() {
    let folder = folder();
    let snapshot = folder.name_of("snapshot.json");
    let get_with = |option: &str, source: &str| {
        fourfold(["get", NAME, "--snapshot", &snapshot]).arguments([option, source])
    };
    let file = folder.name_of("key");
    get_with("--recovery-key-file", &file).run().succeeds();
    get_with("--recovery-key-file", "-")
        .stdin(folder.read("key"))
        .run()
        .succeeds();
    let from_descriptor = get_with("--recovery-key-fd", "3").descriptor_3(&folder.join("key"));
    assert_eq!(from_descriptor.run().succeeds(), SECRET);
    get_with("--recovery-key-fd", "77")
        .run()
        .fails(2)
        .says("file descriptor 77");
    get_with("--recovery-key-file", "/nonexistent")
        .run()
        .fails(2)
        .says("/nonexistent");
}

#[test]
fn standard_input_holds_one_secret_only() {
    let folder = folder();
    fourfold(["get", NAME, "--snapshot", &folder.name_of("snapshot.json")])
        .arguments(["--recovery-key-file", "-", "--passphrase-file", "-"])
        .stdin(folder.read("key"))
        .run()
        .fails(2)
        .says("standard input can only be read once");
}

// shows: CLI-01, CL-01
#[test]
fn a_secret_is_not_an_argument() {
    let key = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d";
    for arguments in [
        ["get", NAME, key].as_slice(),
        &["key", "check", key],
        &["unlock", key],
        &["setup", key],
        &["login", "@alice:localhost", "pass word"],
        &["get", NAME, "--recovery-key", key],
        &["get", NAME, "--passphrase", "pass word"],
        &["login", "@alice:localhost", "--password", "pass word"],
        &["login", "@alice:localhost", "--access-token", "syt_token"],
        &["get", NAME, "--passphrase=pass word"],
        &["setup", "--new-passphrase=pass word"],
    ] {
        let outcome = fourfold(arguments).run();
        outcome.fails(2);
        if !arguments.contains(&"unlock") {
            outcome.is_silent_about("EsTc").is_silent_about("pass word");
        }
    }
    fourfold(["get", NAME, key])
        .run()
        .fails(2)
        .says("leave them out to be asked, or use a file or a pipe;");
    // Nor is it the name of a file.
    let folder = folder();
    fourfold(["get", NAME, "--snapshot", &folder.name_of("snapshot.json")])
        .arguments(["--recovery-key-file", key])
        .run()
        .fails(2)
        .says("this is a recovery key, not the name of a file")
        .is_silent_about("EsTc");
}

// shows: CLI-03
#[test]
fn without_a_terminal_nobody_is_asked() {
    let folder = folder();
    fourfold(["get", NAME, "--snapshot", &folder.name_of("snapshot.json")])
        .stdin(folder.read("key"))
        .run()
        .fails(2)
        .says("cannot ask for the recovery key: there is no terminal")
        .says("use --recovery-key-file or --passphrase-file");
}

#[test]
fn an_opened_secret_as_json() {
    let outcome = get(&folder_with("two\nlines")).arguments(["--json"]).run();
    assert!(outcome.text().ends_with("}\n"));
    let answer = outcome.json();
    assert_eq!(answer["secret"], "two\nlines");
    assert_eq!(answer["name"], NAME);
    assert_eq!(answer["is_default_key"], true);
    assert_eq!(answer["is_authenticated"], true);
    assert_eq!(answer["public_key"], serde_json::Value::Null);
}

#[test]
fn what_is_stored_is_what_was_given() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let stored = |bytes: &[u8], exact: bool| {
        let more: &[&str] = if exact { &["--exact"] } else { &[] };
        let put = alice.change(&["put", NAME, "-"], &["key"]).stdin(bytes);
        put.arguments(more.iter().copied()).run().succeeds();
        alice.get(NAME, "key").run().succeeds()
    };
    assert_eq!(stored(b"plain", false), "plain");
    assert_eq!(stored(b"line\n", false), "line");
    assert_eq!(stored(b"line\r\n", false), "line");
    assert_eq!(stored(b"lines\n\n", false), "lines\n");
    assert_eq!(stored(b" space \t", false), " space \t");
    assert_eq!(stored(b"line\n", true), "line\n");
    assert_eq!(stored(b"line\r\n", true), "line\r\n");
    assert_eq!(stored(b"", true), "");
    let from_file = alice.folder.write("secret", "from a file\n");
    alice
        .change(&["put", NAME, &from_file], &["key"])
        .run()
        .succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), "from a file");
}

#[test]
fn what_cannot_be_a_secret_changes_nothing() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    alice.put(NAME, SECRET, "key").run().succeeds();
    let before = server.other_client("alice").everything();
    let put = |bytes: &[u8]| {
        let put = alice.change(&["put", NAME, "-"], &["key"]);
        put.stdin(bytes).run()
    };
    put(b"")
        .fails(2)
        .says("the secret is empty")
        .says("--exact");
    put(b"\n").fails(2).says("the secret is empty");
    put(b"\xff\xfe\x00")
        .fails(2)
        .says("is not UTF-8 text")
        .says("base64");
    put(&vec![b'x'; 1024 * 1024 + 1])
        .fails(2)
        .says("larger than 1048576 bytes");
    // As much as may be read, but more than an event holds.
    put(&vec![b'x'; 1024 * 1024]).fails(2).says("larger than");
    let both = alice.call(&["put", NAME, "-", "--yes", "--recovery-key-file", "-"]);
    both.stdin(alice.folder.read("key"))
        .run()
        .fails(2)
        .says("standard input can only be read once");
    alice
        .change(&["put", NAME, "s3cret"], &["key"])
        .run()
        .fails(2)
        .says("this is the name of a file");
    assert_eq!(server.other_client("alice").everything(), before);
}

#[test]
fn the_largest_secret_survives() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let largest = "x".repeat(fourfold::Secret::MAX_BYTES);
    alice.put(NAME, &largest, "key").run().succeeds();
    assert_eq!(alice.get(NAME, "key").run().succeeds(), largest);
    alice
        .put(NAME, &format!("{largest}x"), "key")
        .run()
        .fails(2);
}

// shows: CLI-06
#[test]
fn no_temporary_files_are_left_when_it_is_stopped() {
    let folder = Folder::new();
    let mut child = fourfold(["quickstart"])
        .environment("TMPDIR", folder.path())
        .spawn();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("A server starts") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0);
    }
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    stdout.read_to_end(&mut Vec::new()).unwrap();
    child.wait().unwrap();
    assert_eq!(
        crate::canary::files(folder.path()),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_quickstart_tells_its_story_and_cleans_up() {
    let folder = Folder::new();
    let told = fourfold(["quickstart"])
        .environment("TMPDIR", folder.path())
        .run()
        .succeeds();
    assert!(told.ends_with("Everything above was done for real, and checked.\n"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_endless_input_is_not_read_to_its_end() {
    let folder = folder();
    let mut child = fourfold(["get", NAME, "--snapshot", &folder.name_of("snapshot.json")])
        .arguments(["--recovery-key-file", "-"])
        .spawn();
    let mut stdin = child.stdin.take().unwrap();
    // Only ends because the reader does.
    while stdin.write_all(&[b'x'; 4096]).is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

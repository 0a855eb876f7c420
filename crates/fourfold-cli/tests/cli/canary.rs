//! One full story, after which every place is searched for what must not be there.

#[path = "../canary/mod.rs"]
mod scanner;

pub(crate) use scanner::{Canary, files};
use serde_json::Value;

use crate::homeserver::{Homeserver, PASSWORD, Person};
use crate::invocation::{Invocation, Outcome};
use crate::proxy::Proxy;

const NAME: &str = "org.example.wallet";
const SECRET: &str = "the canary sings four folds of paper";
const PASSPHRASE: &str = "seven canaries under the old bridge";

/// Everything that the processes of a story showed to the world.
#[derive(Default)]
struct Shown {
    outcomes: Vec<Outcome>,
}

impl Shown {
    /// Runs a command with the most talkative log.
    fn run(&mut self, call: Invocation) -> &Outcome {
        let outcome = call.arguments(["-vvv"]).run();
        self.outcomes.push(outcome);
        self.outcomes.last().unwrap()
    }
}

// shows: LIB-18, CLI-01, CLI-05, CL-08
#[test]
fn no_secret_is_where_it_does_not_belong() {
    let server = Homeserver::start_with(&["-vvv"]);
    let proxy = Proxy::to(&server.address);
    server.register("alice");
    let alice = Person::at(&proxy.address, "alice");
    let folder = &alice.folder;
    let passphrase = folder.write("passphrase", PASSPHRASE);
    let (first, second) = (folder.name_of("first"), folder.name_of("second"));
    let mut shown = Shown::default();

    shown.run(alice.log_in()).succeeds();
    let setup = alice.call(&[
        "setup",
        "--storage-only",
        "--yes",
        "--recovery-key-out",
        &first,
    ]);
    let setup = setup
        .arguments(["--new-passphrase-file", "-"])
        .stdin(PASSPHRASE);
    shown.run(setup).succeeds();
    shown.run(alice.put(NAME, SECRET, "first")).succeeds();
    // Read on standard input, so that the process is seen from outside while it waits.
    for (option, key) in [
        ("--recovery-key-file", folder.read("first")),
        ("--passphrase-file", PASSPHRASE.to_owned()),
    ] {
        let out = folder.name_of(&format!("out{option}"));
        let get = alice
            .call(&["get", NAME, "--out", &out, option, "-"])
            .stdin(key);
        shown.run(get).succeeds();
        assert_eq!(folder.read(&format!("out{option}")), SECRET);
    }
    let wrong = alice.call(&["get", NAME, "--passphrase-file", "-"]);
    shown.run(wrong.stdin(format!("{PASSPHRASE} "))).fails(3);
    shown.run(alice.call(&["status"])).succeeds();
    shown
        .run(alice.call(&["key", "check", "--passphrase-file", &passphrase]))
        .succeeds();
    let rotate = ["key", "rotate", "--recovery-key-out", &second];
    shown.run(alice.change(&rotate, &["first"])).succeeds();
    let damaged = r#"{"encrypted":{"x":{"iv":"AA","ciphertext":"AA","mac":"AA"}}}"#;
    server.other_client("alice").put(NAME, damaged);
    shown.run(alice.get(NAME, "second")).fails(1);
    let token = access_token(&proxy);
    shown.run(alice.call(&["rm", NAME, "--yes"])).succeeds();
    let database = files(&alice.state())
        .into_iter()
        .find(|file| {
            file.extension()
                .is_some_and(|extension| extension == "sqlite")
        })
        .unwrap();
    let token = Canary::new("the access token", &token);
    assert!(
        token.is_in(&std::fs::read(database).unwrap()),
        "the scanner sees nothing"
    );
    shown.run(alice.call(&["logout"])).succeeds();

    let canaries = [
        Canary::new("the secret", SECRET),
        Canary::new("the passphrase", PASSPHRASE),
        Canary::recovery_key("the first recovery key", folder.read("first").trim()),
        Canary::recovery_key("the second recovery key", folder.read("second").trim()),
    ];
    let password = Canary::new("the password", PASSWORD);
    let (server_data, server_log) = server.stop();
    for canary in canaries.iter().chain([&password, &token]) {
        for outcome in &shown.outcomes {
            canary.is_not_in("standard output", &outcome.stdout);
            canary.is_not_in("the log", outcome.stderr.as_bytes());
            canary.is_not_in(
                "the arguments or the environment",
                &outcome.seen_from_outside,
            );
        }
        // The token was in there until the log-out.
        canary.is_in_no_file(&alice.state());
        canary.is_in_no_file(&server_data.join("data"));
        canary.is_not_in("the log of the server", server_log.as_bytes());
    }
    // Something was looked at.
    let is_loud = |outcome: &Outcome| outcome.stderr.contains("TRACE");
    assert!(shown.outcomes.iter().all(is_loud));
    let is_seen = |outcome: &Outcome| outcome.seen_from_outside.starts_with(b"/");
    assert!(!cfg!(target_os = "linux") || shown.outcomes.iter().any(is_seen));
    assert!(server_log.contains("DEBUG") || server_log.contains("TRACE"));
    search_requests(&proxy, &canaries, &password, &token);
}

/// Only the header `Authorization` holds the token, and only the log-in the password.
fn search_requests(proxy: &Proxy, canaries: &[Canary], password: &Canary, token: &Canary) {
    let mut logins = 0;
    for (request, answer) in proxy.seen() {
        let (line, headers) = request.head.split_once("\r\n").unwrap();
        let (authorization, other): (Vec<_>, Vec<_>) = headers
            .lines()
            .partition(|header| header.to_lowercase().starts_with("authorization:"));
        let other = other.join("\n");
        for canary in canaries {
            canary.is_not_in(line, request.head.as_bytes());
            canary.is_not_in(line, &request.body);
            canary.is_not_in(line, &answer.body);
        }
        token.is_not_in("an address", line.as_bytes());
        token.is_not_in("another header", other.as_bytes());
        token.is_not_in("a body", &request.body);
        password.is_not_in("a head", request.head.as_bytes());
        password.is_not_in("an answer", &answer.body);
        if request.is_login() {
            assert!(password.is_in(&request.body) && token.is_in(&answer.body));
            assert!(authorization.is_empty());
            logins += 1;
        } else {
            password.is_not_in(line, &request.body);
            token.is_not_in("an answer", &answer.body);
        }
    }
    assert_eq!(logins, 1);
}

fn access_token(proxy: &Proxy) -> String {
    let seen = proxy.seen();
    let login = seen.iter().find(|(request, _)| request.is_login()).unwrap();
    let answer: Value = serde_json::from_slice(&login.1.body).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

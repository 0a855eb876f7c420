//! What programs get: one shape of answer for every change, and one for every error.

use serde_json::{Value, json};

use crate::homeserver::{Homeserver, Person};
use crate::invocation::{Outcome, fourfold};
use crate::proxy::Proxy;

const NAME: &str = "org.example.wallet";

/// A change that was carried out, in the shape that all changes have.
#[track_caller]
fn changed(outcome: &Outcome) -> Value {
    let answer = outcome.json();
    assert_eq!(answer["changed"], true, "{answer}");
    assert!(answer["title"].is_string(), "{answer}");
    assert!(answer["warnings"].is_array(), "{answer}");
    for step in answer["steps"].as_array().unwrap() {
        assert!(step["event_type"].is_string() && step["reason"].is_string());
        assert!(step["removed"].is_boolean());
    }
    answer
}

/// An error, as the last line of standard error.
#[track_caller]
fn error(outcome: &Outcome, exit_code: i32) -> Value {
    assert_eq!(outcome.status.code(), Some(exit_code), "{}", outcome.stderr);
    assert!(outcome.stdout.is_empty());
    let error: Value = serde_json::from_str(outcome.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["exit_code"], exit_code);
    assert!(error["error"].is_string() && error["message"].is_string());
    error
}

fn change(alice: &Person, arguments: &[&str], keys: &[&str]) -> Outcome {
    let call = alice.change(arguments, keys).arguments(["--json"]);
    call.stdin("four folds of paper").run()
}

#[test]
fn every_change_answers_in_one_shape() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let file = alice.folder.name_of("first");
    let setup = change(
        &alice,
        &["setup", "--storage-only", "--recovery-key-out", &file],
        &[],
    );
    let first = changed(&setup)["key_id"].as_str().unwrap().to_owned();
    let file = alice.folder.name_of("second");
    let new = change(&alice, &["key", "new", "--recovery-key-out", &file], &[]);
    let second = changed(&new)["key_id"].as_str().unwrap().to_owned();

    let put = changed(&change(&alice, &["put", NAME, "-"], &["first"]));
    assert_eq!(put["title"], "store org.example.wallet");
    assert_eq!(
        put["steps"],
        json!([{
            "done": format!("put {NAME}"),
            "event_type": NAME,
            "reason": format!("encrypt {NAME} under {first}"),
            "removed": false
        }])
    );
    let grant = ["key", "grant", &second];
    changed(&change(&alice, &grant, &["first", "second"]));
    let again = change(&alice, &grant, &["first", "second"]).json();
    assert_eq!(again["changed"], false);
    assert_eq!(again["steps"], json!([]));
    changed(&change(
        &alice,
        &["key", "revoke", &second, NAME],
        &["first"],
    ));
    changed(&change(&alice, &grant, &["first", "second"]));
    changed(&change(&alice, &["key", "default", &second], &["second"]));
    let removed = changed(&change(&alice, &["key", "rm", &first], &["second"]));
    assert_eq!(removed["steps"].as_array().unwrap().len(), 2);
    assert_eq!(removed["steps"][1]["removed"], true);
    assert_eq!(removed["warnings"].as_array().unwrap().len(), 1);
    let file = alice.folder.name_of("third");
    let rotate = ["key", "rotate", "--recovery-key-out", &file];
    let rotated = changed(&change(&alice, &rotate, &["second"]));
    assert_eq!(rotated["old_key_id"], second);
    assert!(rotated["key_id"].is_string());
    changed(&change(&alice, &["rm", NAME], &[]));
    for resume in [["resume"].as_slice(), &["resume", "--abandon"]] {
        let answer = alice.call(resume).arguments(["--json"]).run().json();
        assert_eq!(answer["changed"], false);
        assert!(answer["title"].is_string());
    }
    let logout = alice.call(&["logout", "--json"]).run().json();
    assert_eq!(logout, json!({"user_id": "@alice:localhost"}));
}

// shows: CLI-04
#[test]
fn every_error_is_one_object() {
    let nobody = crate::invocation::Folder::new();
    let none = nobody.name_of("none");
    let state = ["--state", none.as_str()];
    let call = |arguments: &[&str]| fourfold(arguments).arguments(state).run();
    assert_eq!(
        error(&call(&["rm", NAME, "--json"]), 2)["message"],
        "not logged in"
    );

    let unknown = error(
        &call(&["--json", "get", "--recovery-key-fil", "x", NAME]),
        2,
    );
    assert_eq!(unknown["error"], "usage");
    let message = "unexpected argument '--recovery-key-fil' found";
    assert_eq!(unknown["message"], message);
    let hint = "a similar argument exists: '--recovery-key-file'";
    assert_eq!(unknown["hint"], hint);
    let missing = error(&call(&["get", "--json"]), 2);
    let message = "the following required arguments were not provided: <NAME>";
    assert_eq!(missing["message"], message);
    assert_eq!(missing["hint"], "--help shows the usage");
    let secret = call(&["put", NAME, "-", "s3cret", "--json"]);
    assert_eq!(error(&secret, 2)["message"], "unexpected argument");
    secret.is_silent_about("s3cret");
    let alone = error(&fourfold(["--json"]).run(), 2);
    let message = alone["message"].as_str().unwrap();
    assert!(message.contains("requires a subcommand"), "{message}");
    // What stands behind "--" is no option.
    fourfold(["gte", "--", "--json"])
        .run()
        .fails(2)
        .says("fourfold: error: unrecognized subcommand");
}

/// Not even under a wrong key, where a client could be led to mend or to try.
// shows: STO-09
#[test]
fn what_only_reads_writes_nothing() {
    let server = Homeserver::start();
    let proxy = Proxy::to(&server.address);
    let alice = server.person_through(&proxy, "alice");
    alice.set_up("key");
    alice.put(NAME, "four folds", "key").run().succeeds();
    let before = proxy.seen().len();
    let stored = server.other_client("alice").everything();

    alice.get(NAME, "key").run().succeeds();
    alice.get("org.example.none", "key").run().fails(1);
    let wrong = fourfold::recovery_key::encode(&[7; 32]);
    alice.folder.write("wrong", wrong.as_str());
    alice.get(NAME, "wrong").run().fails(3);
    for reads in [&["ls"][..], &["status"], &["whoami"], &["key", "ls"]] {
        alice.call(reads).run().succeeds();
    }
    let key = alice.folder.name_of("key");
    let check = ["key", "check", "--recovery-key-file", &key];
    alice.call(&check).run().succeeds();

    let seen = proxy.seen();
    assert!(seen.len() > before + 5, "nothing was looked at");
    for (request, _) in seen.iter().skip(before) {
        let line = request.first_line();
        let is_query = line.starts_with("POST ") && line.contains("/keys/query ");
        assert!(line.starts_with("GET ") || is_query, "{line}");
    }
    assert_eq!(server.other_client("alice").everything(), stored);
}

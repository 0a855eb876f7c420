//! How data of other clients deviates from the specification: named in JSON, and said in words where
//! it may matter.

use fourfold::{Secret, SecretName, base64};
use serde_json::{Value, json};

use crate::account_data::{Made, description_of, recovery_key, rng};
use crate::invocation::{Folder, Outcome, fourfold};

const MATTERS: &str = "other clients may not";

fn run(made: &Made, key: &str, arguments: &[&str]) -> Outcome {
    let folder = Folder::new();
    let file = made.write(&folder);
    let mut invocation = fourfold(arguments).arguments(["--snapshot", &file]);
    if !arguments.contains(&"ls") && !arguments.contains(&"status") {
        invocation = invocation
            .arguments(["--recovery-key-file", "-"])
            .stdin(key.as_bytes());
    }
    invocation.run()
}

/// Pads what is base64 in an object, as matrix-js-sdk does.
fn pad(object: &mut Value) {
    for member in ["ciphertext", "iv", "mac"] {
        if let Some(text) = object[member].as_str() {
            let padding = "=".repeat((4 - text.len() % 4) % 4);
            object[member] = json!(format!("{text}{padding}"));
        }
    }
}

#[test]
fn what_is_harmless_is_named_and_not_spoken_of() {
    let (mut made, key) = Made::with_key();
    made.store("org.example.token", "four", &[&key]);
    let text = recovery_key(&key);
    let id = key.key().id().as_str();
    for (quirks, padded) in [(json!([]), false), (json!(["padded_base64"]), true)] {
        if padded {
            made.edit(&description_of(&key), pad);
            made.edit("org.example.token", |content| {
                pad(&mut content["encrypted"][id]);
            });
        }
        let got = run(&made, &text, &["get", "org.example.token", "--json"]);
        assert_eq!(got.json()["quirks"], quirks);
        got.is_silent_about(MATTERS);
        let keys = run(&made, &text, &["key", "ls", "--json"]).json();
        assert_eq!(keys[0]["quirks"], quirks);
        let status = run(&made, &text, &["status", "--json"]).json();
        assert_eq!(status["keys"][0]["quirks"], quirks);
        let checked = run(&made, &text, &["key", "check", "--json"]).json();
        assert_eq!(checked["quirks"], quirks);
        assert!(
            !run(&made, &text, &["key", "ls"])
                .succeeds()
                .contains(MATTERS)
        );
    }
}

#[test]
fn a_key_in_a_form_that_others_may_not_read_is_told_when_it_is_opened() {
    let (mut made, key) = Made::with_key();
    let name = SecretName::backup_key();
    let text = recovery_key(&key);
    for (value, quirk, words) in [
        (
            ["7"; 32].join(","),
            "comma_separated_bytes",
            "list of numbers",
        ),
        (
            format!("{}\n", base64::encode([7; 32])),
            "surrounding_whitespace",
            "white space",
        ),
    ] {
        let entry = key.key().seal(&name, &Secret::new(value), &mut rng());
        let entry: Value = serde_json::from_str(&entry.unwrap().to_json()).unwrap();
        let id = key.key().id().as_str();
        made.put(name.as_str(), &json!({"encrypted": {id: entry}}));
        let got = run(&made, &text, &["get", name.as_str(), "--json"]);
        assert_eq!(got.json()["quirks"], json!([quirk]));
        got.says(words).says(MATTERS);
    }
}

#[test]
fn check_data_that_others_may_not_accept_is_told_with_the_keys() {
    let (mut made, key) = Made::with_key();
    made.edit(&description_of(&key), |description| {
        let iv = description["iv"].as_str().unwrap();
        let mut iv = base64::decode(iv).unwrap().bytes.to_vec();
        iv.extend([1; 16]);
        description["iv"] = json!(base64::encode(iv));
    });
    let text = recovery_key(&key);
    let keys = run(&made, &text, &["key", "ls", "--json"]).json();
    assert_eq!(keys[0]["quirks"], json!(["long_iv"]));
    let shown = run(&made, &text, &["key", "ls"]).succeeds();
    assert!(shown.contains("the IV is longer than 16 bytes"), "{shown}");
    assert!(shown.contains(MATTERS), "{shown}");
    let checked = run(&made, &text, &["key", "check", "--json"]).json();
    assert_eq!(checked["quirks"], json!(["long_iv"]));
}

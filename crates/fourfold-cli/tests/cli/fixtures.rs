//! Account data of real clients, read from files: everything opens, and nothing else is needed.

use serde_json::Value;

use crate::invocation::{Folder, Invocation, Outcome, fourfold};

const FIXTURES: [&str; 3] = [
    "js-sdk-recovery-key",
    "mautrix-recovery-key",
    "rust-sdk-passphrase",
];

/// A fixture, and its keys in files.
struct Fixture {
    path: String,
    content: Value,
    folder: Folder,
}

impl Fixture {
    fn all() -> impl Iterator<Item = Self> {
        FIXTURES.into_iter().map(Self::named)
    }

    fn named(name: &str) -> Self {
        let path = format!("{}/../../fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let content = std::fs::read_to_string(&path).unwrap();
        let content: Value = serde_json::from_str(&content).unwrap();
        let folder = Folder::new();
        for key in ["recovery_key", "previous_recovery_key", "passphrase"] {
            if let Some(text) = content[key].as_str() {
                folder.write(key, format!("{text}\n"));
            }
        }
        Self {
            path,
            content,
            folder,
        }
    }

    fn call(&self, arguments: &[&str]) -> Invocation {
        fourfold(arguments).arguments(["--snapshot", self.path.as_str()])
    }

    /// With the option that gives this key.
    fn with(&self, arguments: &[&str], key: &str) -> Outcome {
        let option = if key == "passphrase" {
            "--passphrase-file"
        } else {
            "--recovery-key-file"
        };
        self.call(arguments)
            .arguments([option, &self.folder.name_of(key)])
            .run()
    }

    fn default_key(&self) -> &str {
        self.content["account_data"]["m.secret_storage.default_key"]["key"]
            .as_str()
            .unwrap()
    }

    /// The ID of the key that is given as this.
    fn id_of(&self, key: &str) -> String {
        if key != "previous_recovery_key" {
            return self.default_key().to_owned();
        }
        let types = self.content["account_data"].as_object().unwrap().keys();
        types
            .filter_map(|event_type| event_type.strip_prefix("m.secret_storage.key."))
            .find(|id| *id != self.default_key())
            .unwrap()
            .to_owned()
    }

    fn keys(&self) -> impl Iterator<Item = &'static str> {
        ["recovery_key", "previous_recovery_key", "passphrase"]
            .into_iter()
            .filter(|key| self.content[*key].is_string())
    }

    fn secrets(&self) -> Vec<&str> {
        let secrets = self.content["expected_plaintext"].as_object().unwrap();
        secrets.keys().map(String::as_str).collect()
    }
}

#[test]
fn every_secret_opens_with_every_key_to_exactly_what_was_stored() {
    let mut opened = 0;
    for fixture in Fixture::all() {
        for key in fixture.keys() {
            for name in fixture.secrets() {
                let expected = &fixture.content["expected_plaintext"][name];
                let outcome = fixture.with(&["get", name], key);
                match expected[fixture.id_of(key)].as_str() {
                    Some(expected) => {
                        assert_eq!(outcome.succeeds(), expected, "{} {name}", fixture.path);
                        opened += 1;
                    }
                    None => {
                        outcome.fails(1).says("is not encrypted under this key");
                    }
                }
            }
        }
    }
    // 5 + 4 + 5 of the previous key + twice 4 of the default key.
    assert_eq!(opened, 22);
}

#[test]
fn a_choice_of_keys_opens_with_the_one_that_fits() {
    let fixture = Fixture::named("rust-sdk-passphrase");
    let outcome = fixture
        .call(&["get", "org.example.secret", "--json"])
        .arguments([
            "--recovery-key-file",
            &fixture.folder.name_of("recovery_key"),
        ])
        .arguments([
            "--recovery-key-file",
            &fixture.folder.name_of("previous_recovery_key"),
        ])
        .run();
    let answer = outcome.json();
    assert_eq!(answer["secret"], "s3cr3t value ✓");
    assert_eq!(answer["key_id"], fixture.id_of("previous_recovery_key"));
    assert_eq!(answer["is_default_key"], false);
    assert_eq!(answer["is_authenticated"], true);
}

#[test]
fn what_belongs_to_a_published_key_is_verified() {
    for fixture in Fixture::all() {
        let outcome = fixture.with(&["get", "m.cross_signing.master", "--json"], "recovery_key");
        let answer = outcome.json();
        let is_published = fixture.content["keys_query"].is_object();
        assert_eq!(
            answer["matches_published_key"], is_published,
            "{}",
            fixture.path
        );
    }
}

#[test]
fn ls_lists_the_names_and_the_keys() {
    for fixture in Fixture::all() {
        let names = fixture.call(&["ls"]).run().succeeds();
        assert_eq!(names.lines().collect::<Vec<_>>(), fixture.secrets());
        let long = fixture.call(&["ls", "-l"]).run().succeeds();
        for line in long.lines() {
            let (name, ids) = line.split_once('\t').unwrap();
            let expected = fixture.content["expected_plaintext"][name]
                .as_object()
                .unwrap();
            assert_eq!(
                ids.split(' ').collect::<Vec<_>>(),
                expected.keys().collect::<Vec<_>>(),
            );
        }
        let json = fixture.call(&["ls", "--json"]).run().json();
        assert_eq!(json.as_array().unwrap().len(), fixture.secrets().len());
    }
}

#[test]
fn status_is_easy_to_read() {
    for fixture in Fixture::all() {
        let status = fixture.call(&["status"]).run().succeeds();
        for line in status.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        insta::assert_snapshot!(format!("status-{}", fixture.name()), status);
    }
}

#[test]
fn status_as_json_tells_what_opens_what() {
    for fixture in Fixture::all() {
        let status = fixture.call(&["status", "--json"]).run().json();
        assert_eq!(status["user_id"], fixture.content["user_id"]);
        assert_eq!(status["default_key"], fixture.default_key());
        assert_eq!(status["default_key_state"], "ok");
        let secrets = status["secrets"].as_array().unwrap();
        assert_eq!(secrets.len(), fixture.secrets().len());
        for secret in secrets {
            let expected = &fixture.content["expected_plaintext"][secret["name"].as_str().unwrap()];
            assert_eq!(secret["state"], "encrypted");
            let ids = secret["key_ids"].as_array().unwrap();
            assert_eq!(ids.len(), expected.as_object().unwrap().len());
            let by_default = expected[fixture.default_key()].is_string();
            assert_eq!(secret["under_default_key"], by_default);
        }
    }
}

#[test]
fn key_ls_describes_every_key() {
    for fixture in Fixture::all() {
        let keys = fixture.call(&["key", "ls", "--json"]).run().json();
        let default = keys
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["is_default"] == true);
        let default = default.unwrap();
        assert_eq!(default["id"], fixture.default_key());
        assert_eq!(default["has_key_check"], true);
        let has_passphrase = fixture.content["passphrase"].is_string();
        assert_eq!(default["passphrase"]["state"] == "usable", has_passphrase);
        let text = fixture.call(&["key", "ls"]).run().succeeds();
        assert!(text.contains(fixture.default_key()));
    }
}

#[test]
fn key_check_names_the_key() {
    for fixture in Fixture::all() {
        for key in fixture.keys() {
            let checked = fixture.with(&["key", "check", "--json"], key).json();
            assert_eq!(checked["key_id"], fixture.id_of(key));
            assert_eq!(checked["is_verified"], true);
            let text = fixture.with(&["key", "check"], key).succeeds();
            let is_default = key != "previous_recovery_key";
            assert_eq!(text.contains("not the default key"), !is_default, "{text}");
        }
    }
}

#[test]
fn a_key_of_somebody_else_is_told() {
    let (js, mautrix) = (Fixture::named(FIXTURES[0]), Fixture::named(FIXTURES[1]));
    let key = js.folder.name_of("recovery_key");
    let checked = mautrix
        .call(&["key", "check"])
        .arguments(["--recovery-key-file", &key])
        .run();
    checked
        .fails(3)
        .says("this is not the recovery key of the key Me3n4Td/");
}

#[test]
fn the_key_of_the_backup_is_told_from_one_of_secret_storage() {
    let fixture = Fixture::named("rust-sdk-passphrase");
    let secret = fixture
        .with(&["get", "m.megolm_backup.v1"], "recovery_key")
        .succeeds();
    let bytes = fourfold::base64::decode_array::<32>(&secret).unwrap();
    let recovery_key = fourfold::recovery_key::encode(&bytes);
    let outcome = fixture
        .call(&["key", "check", "--recovery-key-file", "-"])
        .stdin(recovery_key.as_bytes())
        .run();
    outcome.fails(3).says("this is the key of the key backup");
}

impl Fixture {
    fn name(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap();
        name.strip_suffix(".json").unwrap()
    }
}

//! The doctor: what it says of an account, in which words, and with which exit code; and what it
//! repairs.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::homeserver::Homeserver;
use crate::invocation::{Folder, Invocation, Outcome, fourfold};
use crate::key_endpoints::sealed;

const MASTER: &str = "m.cross_signing.master";
const FLAG: &str = "m.key_backup";
const OLD_FLAG: &str = "m.org.matrix.custom.backup_disabled";

/// An account of another client, as a file that can be broken at will.
struct Patient {
    folder: Folder,
    json: Value,
}

impl Patient {
    fn of(fixture: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures");
        let json = std::fs::read_to_string(format!("{folder}/{fixture}.json")).unwrap();
        Self {
            folder: Folder::new(),
            json: serde_json::from_str(&json).unwrap(),
        }
    }

    fn healthy() -> Self {
        Self::of("js-sdk-recovery-key")
    }

    fn broken(mut self, how: impl FnOnce(&mut Value)) -> Self {
        how(&mut self.json["account_data"]);
        self
    }

    /// With a warning that account data mends.
    fn with_flags(self) -> Self {
        self.broken(|data| {
            data[FLAG] = json!({"enabled": true});
            data[OLD_FLAG] = json!({"disabled": true});
        })
    }

    fn call(&self, arguments: &[&str]) -> Invocation {
        let file = self.folder.write("account.json", self.json.to_string());
        fourfold(["doctor", "--snapshot", &file]).arguments(arguments.iter().copied())
    }

    /// With the recovery key.
    fn with_key(&self, arguments: &[&str]) -> Invocation {
        let key = self.json["recovery_key"].as_str().unwrap();
        self.call(arguments)
            .arguments(["--recovery-key-file", "-"])
            .stdin(key)
    }
}

/// The report, which is one that the schema allows.
#[track_caller]
fn report(outcome: &Outcome, code: i32) -> Value {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/schemas/health.json"
        );
        let schema = std::fs::read_to_string(path).unwrap();
        jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap()
    });
    assert_eq!(outcome.status.code(), Some(code), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.text()).unwrap();
    let checked = report.get("health").unwrap_or(&report);
    let errors: Vec<_> = VALIDATOR
        .iter_errors(checked)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    report
}

/// The codes above info.
fn codes(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap().iter();
    let above = findings.filter(|one| one["severity"] != "info");
    above.map(|one| one["code"].as_str().unwrap()).collect()
}

#[test]
fn nothing_is_made_up_about_accounts_of_other_clients() {
    // The last one rotated its key, and left a secret of another program under the old one.
    for (fixture, found, verdict) in [
        ("js-sdk-recovery-key", &[][..], "healthy"),
        ("mautrix-recovery-key", &[], "healthy"),
        (
            "rust-sdk-passphrase",
            &["custom-secret-left-behind"],
            "attention",
        ),
    ] {
        let patient = Patient::of(fixture);
        for call in [patient.call(&["--json"]), patient.with_key(&["--json"])] {
            let report = report(&call.run(), 0);
            assert_eq!(codes(&report), found, "{fixture}");
            assert_eq!(report["verdict"], verdict, "{fixture}");
            assert_eq!(report["source"], "snapshot");
        }
    }
}

#[test]
fn a_broken_account_is_explained_with_the_command_that_helps() {
    let patient = Patient::healthy().broken(|data| {
        data.as_object_mut().unwrap().remove(MASTER);
    });
    let outcome = patient.call(&[]).run();
    assert_eq!(outcome.status.code(), Some(9), "{}", outcome.stderr);
    let text = outcome.text();
    for part in [
        "health   ",
        "[secret-missing]",
        "    what    ",
        "    cause   ",
        "    repair  ask another device for m.cross_signing.master\n",
        "fourfold request m.cross_signing.master --out FILE\n",
        "not examined\n",
        "--recovery-key-file",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    // The verdict stands before what was found, and the worst before the rest.
    assert!(text.find("health   ") < text.find("error: "));
    assert!(text.find("error: ") < text.find("info: ").or(Some(usize::MAX)));
    let report = report(&patient.call(&["--json"]).run(), 9);
    assert_eq!(report["verdict"], "needs_input");
    let status = fourfold([
        "status",
        "--snapshot",
        &patient.folder.name_of("account.json"),
    ]);
    let line = "health   something is wrong; fourfold doctor says what repairs it\n";
    assert!(status.run().succeeds().contains(line));
}

#[test]
fn every_exit_code_is_that_of_the_contract() {
    let warned = Patient::healthy().with_flags();
    report(&warned.call(&["--json"]).run(), 0);
    report(&warned.call(&["--json", "--strict"]).run(), 9);
    let wrong = Patient::healthy()
        .call(&["--json", "--recovery-key-file", "-"])
        .stdin("EsTR 62YR Vx6H vWco WDUB hn7T XTyi VGyN AsEF XjbL SbhB CdfR")
        .run();
    let tried = report(&wrong, 3);
    assert_eq!(tried["keys_tried"].as_array().unwrap().len(), 1);
    wrong.says("\"wrong_key\"");
    for (arguments, code) in [
        (&["--snapshot", "/nonexistent"][..], 2),
        (&["--yes"], 2),
        (&["--explain", "nothing"], 2),
        (&["--fix", "nothing", "--dry-run"], 2),
        // Nobody is logged in.
        (&["--state", "/nonexistent"], 2),
    ] {
        let call = fourfold(["doctor"]).arguments(arguments.iter().copied());
        call.run().fails(code);
    }
}

#[test]
fn conditions_are_explained() {
    let text = fourfold(["doctor", "--explain", "secret-missing"]).run();
    assert!(text.succeeds().starts_with("## secret-missing\n"));
    let json = fourfold(["doctor", "--explain", "secret-missing", "--json"]).run();
    assert_eq!(json.json()["code"], "secret-missing");
    assert!(json.json()["likely_cause"].is_string());
}

#[test]
fn an_earlier_snapshot_is_compared() {
    let patient = Patient::healthy();
    let folder = Folder::new();
    let mut earlier = patient.json.clone();
    let baseline = folder.write("earlier.json", earlier.to_string());
    let without = report(&patient.call(&["--json"]).run(), 0);
    let is_open = |report: &Value| {
        let mut open = report["not_checked"].as_array().unwrap().iter();
        open.any(|one| one["code"] == "key-description-changed")
    };
    assert!(is_open(&without));
    let with = patient.call(&["--json", "--baseline", &baseline]).run();
    assert!(!is_open(&report(&with, 0)));
    earlier["account_data"]["m.secret_storage.default_key"] = json!({"key": "another"});
    let baseline = folder.write("other-default.json", earlier.to_string());
    let with = patient.call(&["--json", "--baseline", &baseline]).run();
    assert!(codes(&report(&with, 0)).contains(&"default-key-changed"));
    earlier["user_id"] = json!("@somebody:else");
    let foreign = folder.write("foreign.json", earlier.to_string());
    let call = patient.call(&["--baseline", &foreign]);
    call.run().fails(2).says("another account");
}

#[test]
fn a_snapshot_is_repaired_into_a_new_file() {
    let patient = Patient::healthy().with_flags();
    let out = patient.folder.name_of("repaired.json");
    patient.call(&["--fix", "--yes"]).run().fails(2);
    patient
        .call(&["--fix", "--out", &out])
        .run()
        .fails(2)
        .says("use --yes, or --dry-run");
    let plan = patient.call(&["--fix", "--dry-run", "--json"]).run().json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 1);
    assert!(!patient.folder.join("repaired.json").exists());

    let fixed = patient.call(&["--fix", "--yes", "--json", "--out", &out]);
    let fixed = report(&fixed.run(), 0);
    assert_eq!(fixed["changed"], true);
    assert_eq!(fixed["health"]["verdict"], "healthy");
    let repaired: Value = serde_json::from_str(&patient.folder.read("repaired.json")).unwrap();
    assert_ne!(
        repaired["account_data"][OLD_FLAG],
        patient.json["account_data"][OLD_FLAG]
    );
    let again = fourfold(["doctor", "--strict", "--json", "--snapshot", &out]).run();
    assert_eq!(report(&again, 0)["verdict"], "healthy");
    // What is there already is never touched.
    let call = patient.call(&["--fix", "--yes", "--out", &out]);
    call.run().fails(1).says("exists already");
}

#[test]
fn only_what_is_named_is_repaired() {
    let patient = Patient::healthy().with_flags();
    let named = |code: &str| {
        let call = patient.call(&["--fix", code, "--dry-run", "--json"]);
        call.run().json()["steps"].as_array().unwrap().len()
    };
    assert_eq!(named("secret-missing"), 0);
    assert_eq!(named("backup-flags-disagree"), 1);
}

#[test]
fn an_account_is_repaired_at_its_homeserver() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let key = alice.folder.name_of("key");
    sealed(&alice, &["setup", "--yes", "--recovery-key-out", &key])
        .run()
        .succeeds();
    let doctor = |arguments: &[&str]| {
        let call = sealed(&alice, &["doctor", "--json"]);
        call.arguments(arguments.iter().copied()).run()
    };
    let other = server.other_client("alice");
    let whole = report(&doctor(&["--recovery-key-file", &key]), 0);
    assert_eq!(whole["source"], "server");
    assert_eq!(whole["keys_tried"][0]["outcome"], "verified");
    other.put(FLAG, r#"{"enabled": true}"#);
    other.put(OLD_FLAG, r#"{"disabled": true}"#);
    let before = other.everything();
    assert!(codes(&report(&doctor(&[]), 0)).contains(&"backup-flags-disagree"));
    doctor(&["--fix", "--dry-run"]).succeeds();
    assert_eq!(other.everything(), before);

    let fixed = report(&doctor(&["--fix", "--yes"]), 0);
    assert_eq!(fixed["changed"], true);
    assert!(!codes(&fixed["health"]).contains(&"backup-flags-disagree"));
    assert!(other.content(OLD_FLAG).unwrap().contains("false"));
    let again = report(&doctor(&["--fix", "--yes"]), 0);
    assert_eq!(again["changed"], false);
}

#[test]
fn a_secret_that_was_left_behind_is_encrypted_under_the_default_key_too() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let name = "org.example.wallet";
    alice.set_up("first");
    alice.put(name, "four folds", "first").run().succeeds();
    let second = alice.new_key("second");
    alice
        .change(&["key", "default", &second], &["second"])
        .run()
        .succeeds();
    alice.get(name, "second").run().fails(1);
    let fix = ["doctor", "--fix", "custom-secret-left-behind", "--json"];
    // Without the other key nothing can be encrypted again.
    let fixed = alice.change(&fix, &["second"]).run();
    assert_eq!(report(&fixed, 0)["changed"], false);
    let fixed = report(&alice.change(&fix, &["first", "second"]).run(), 0);
    assert_eq!(fixed["changed"], true);
    assert!(!codes(&fixed["health"]).contains(&"custom-secret-left-behind"));
    assert_eq!(alice.get(name, "second").run().succeeds(), "four folds");
    assert_eq!(alice.get(name, "first").run().succeeds(), "four folds");
}

#[test]
fn what_this_machine_remembers_is_put_back_when_the_user_says_so() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let other = server.other_client("alice");
    let default: Value =
        serde_json::from_str(&other.content("m.secret_storage.default_key").unwrap()).unwrap();
    let event_type = format!("m.secret_storage.key.{}", default["key"].as_str().unwrap());
    let right = other.content(&event_type).unwrap();
    let mut wrong: Value = serde_json::from_str(&right).unwrap();
    wrong["mac"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    other.put(&event_type, &wrong.to_string());

    let code = "key-description-changed";
    let doctor = |arguments: &[&str]| {
        let call = alice.call(&["doctor", "--json"]);
        call.arguments(arguments.iter().copied()).run()
    };
    // It is found as often as it is looked for: an examination accepts nothing.
    for _ in 0..2 {
        assert!(codes(&report(&doctor(&[]), 9)).contains(&code));
    }
    doctor(&["--fix", code, "--yes"]).fails(5);
    let fixed = doctor(&["--fix", code, "--yes", "--accept-changes"]);
    let fixed: Value = serde_json::from_str(&fixed.text()).unwrap();
    assert_eq!(fixed["changed"], true, "{fixed}");
    let now: Value = serde_json::from_str(&other.content(&event_type).unwrap()).unwrap();
    assert_eq!(now, serde_json::from_str::<Value>(&right).unwrap());
}

#[test]
fn nobody_is_asked_for_the_passphrase_of_this_machine() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    let key = alice.folder.name_of("key");
    let seal = alice.folder.write("seal", "four folds of paper at night");
    let seal = ["--store-passphrase-file", &seal];
    let setup = alice.call(&["setup", "--yes", "--recovery-key-out", &key]);
    setup.arguments(seal).run().succeeds();
    let without = alice.call(&["doctor"]).run();
    without.succeeds();
    without.says("fourfold: note: without what this machine keeps sealed: ");
    let with = alice.call(&["doctor"]).arguments(seal).run();
    with.succeeds();
    with.is_silent_about("keeps sealed");
    // Who wants what is sealed is asked.
    let wanted = alice.call(&["doctor", "--from-this-machine"]).run();
    wanted.fails(2).says("--store-passphrase-file");
}

#[test]
fn a_key_file_that_others_can_read_is_named() {
    let patient = Patient::healthy();
    let key = patient.json["recovery_key"].as_str().unwrap();
    let file = patient.folder.write("key.txt", key);
    let mode = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&file, permissions).unwrap();
        let call = patient.call(&["--json", "--recovery-key-file", &file]);
        report(&call.run(), 0)
    };
    assert_eq!(codes(&mode(0o640)), ["file-readable-by-others"]);
    assert_eq!(codes(&mode(0o600)), [""; 0]);
}

#[test]
fn a_report_shows_no_secret() {
    let patient = Patient::healthy().broken(|data| {
        data["m.cross_signing.self_signing"] = data[MASTER].clone();
    });
    let key = patient.json["recovery_key"].as_str().unwrap().to_owned();
    let secrets = patient.json["expected_plaintext"].as_object().unwrap();
    for json in [&[][..], &["--json"]] {
        let outcome = patient.with_key(json).run();
        outcome.is_silent_about(&key);
        for copies in secrets.values() {
            for secret in copies.as_object().unwrap().values() {
                outcome.is_silent_about(secret.as_str().unwrap());
            }
        }
    }
}

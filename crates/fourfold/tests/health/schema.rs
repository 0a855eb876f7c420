//! The schema of the report is made from the table, and every report that the tests make is checked
//! against it.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use fourfold::health::{
    CONDITIONS, Condition, Evidence, KeyInput, KeyOutcome, Need, Report, Requirement, Risk,
    Severity, Source, SubjectKind, Verdict,
};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::account::{Account, examine, rng};

/// Asserts that a report is what the schema says, and has no member that the schema does not name.
pub(crate) fn check(report: &Report) {
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    let errors: Vec<_> = errors(&json);
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn the_schema_says_what_the_table_says() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/health.json");
    let expected = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("FOURFOLD_WRITE_DOCUMENTS").is_some() {
        fs::write(&page, &expected).unwrap();
    }
    assert_eq!(
        fs::read_to_string(page).unwrap(),
        expected,
        "run with FOURFOLD_WRITE_DOCUMENTS=1"
    );
}

#[test]
fn what_the_schema_does_not_allow_is_found() {
    let mut account = Account::healthy().with_key();
    let id = account.key_id();
    account.json["account_data"]["m.cross_signing.master"]["encrypted"][&id]["iv"] = Value::Null;
    account.json["account_data"]["m.key_backup"] = json!({"enabled": true});
    account.json["account_data"]["m.org.matrix.custom.backup_disabled"] = json!({"disabled": true});
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    let mut report = examine(&evidence);
    let (plan, _) = report.draft_repairs(&evidence, |_, repair| repair.is_chosen, &mut rng());
    assert!(!plan.is_empty());
    // With the steps of the plan.
    check(&report);
    let json: Value = serde_json::from_str(&report.to_json()).unwrap();
    let changes: [(&str, Value); 9] = [
        ("/schema", json!("fourfold.health/2")),
        ("/verdict", json!("well")),
        ("/examined_at", json!(1)),
        ("/keys_tried/0/outcome", json!("yes")),
        ("/findings/0/code", json!("nothing")),
        // A severity, and none that this condition can have.
        ("/findings/0/severity", json!("info")),
        ("/findings/0/subject/kind", json!("account_data")),
        ("/findings/0/repairs/0/needs", json!(["luck"])),
        ("/not_checked/0/needs", json!([])),
    ];
    for (path, value) in changes {
        let mut changed = json.clone();
        *changed.pointer_mut(path).unwrap() = value;
        assert!(!errors(&changed).is_empty(), "{path}");
    }
    let mut more = json.clone();
    more["findings"][0]["secret"] = json!("s3cret");
    assert!(!errors(&more).is_empty());
}

fn errors(json: &Value) -> Vec<String> {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let mut schema = schema();
        close(&mut schema);
        jsonschema::validator_for(&schema).unwrap()
    });
    let errors = VALIDATOR.iter_errors(json);
    errors.map(|error| error.to_string()).collect()
}

/// Readers ignore members that they do not know. What this version writes are these and no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn schema() -> Value {
    let codes: Vec<_> = CONDITIONS.iter().map(Condition::code).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": Report::SCHEMA,
        "description": "The report of an examination of an account, as `fourfold doctor --json` \
            prints it. Generated from the table of conditions. Members may be added: ignore those \
            that you do not know.",
        "type": "object",
        "required": ["schema", "user_id", "source", "examined_at", "verdict", "keys_tried",
            "findings", "not_checked"],
        "properties": {
            "schema": {"const": Report::SCHEMA},
            "user_id": {"type": "string"},
            "source": {"enum": [Source::Server, Source::Snapshot]},
            "examined_at": {
                "description": "When it was examined; null where nobody told the time.",
                "type": ["string", "null"],
                "format": "date-time",
            },
            "verdict": {"enum": [Verdict::Healthy, Verdict::Attention, Verdict::Repairable,
                Verdict::NeedsInput, Verdict::Unrecoverable]},
            "keys_tried": {"type": "array", "items": {"$ref": "#/$defs/key_tried"}},
            "findings": {"type": "array", "items": {"$ref": "#/$defs/finding"}},
            "not_checked": {"type": "array", "items": {"$ref": "#/$defs/not_checked"}},
        },
        "$defs": {
            "code": {"enum": codes},
            "key_tried": key_tried(),
            "finding": finding(),
            "subject": subject(),
            "repair": repair(),
            "step": step(),
            "not_checked": not_checked(),
        },
    })
}

fn key_tried() -> Value {
    json!({
        "type": "object",
        "required": ["input", "key_id", "outcome"],
        "properties": {
            "input": {"enum": [KeyInput::RecoveryKey, KeyInput::Passphrase, KeyInput::BackupKey]},
            "key_id": {"type": ["string", "null"]},
            "outcome": {"enum": [KeyOutcome::Verified, KeyOutcome::Unverifiable,
                KeyOutcome::Mismatch, KeyOutcome::NotAKey]},
        },
    })
}

/// Each condition with the severities that it can have.
fn finding() -> Value {
    let condition = |condition: &Condition| {
        json!({
            "description": condition.what(),
            "properties": {
                "code": {"const": condition.code()},
                "severity": {"enum": condition.severities()},
            },
        })
    };
    let conditions: Vec<_> = CONDITIONS.iter().map(condition).collect();
    json!({
        "type": "object",
        "required": ["code", "severity", "subject", "message", "detail", "repairs"],
        "properties": {
            "code": {"$ref": "#/$defs/code"},
            "severity": {"enum": [Severity::Info, Severity::Warning, Severity::Error,
                Severity::Fatal]},
            "subject": {"$ref": "#/$defs/subject"},
            "message": {"description": "One sentence.", "type": "string"},
            "detail": {"description": "What was found, by condition.", "type": "object"},
            "likely_cause": {"type": "string"},
            "repairs": {
                "description": "The safest first.",
                "type": "array",
                "items": {"$ref": "#/$defs/repair"},
            },
        },
        "oneOf": conditions,
    })
}

fn subject() -> Value {
    json!({
        "type": "object",
        "required": ["kind", "id"],
        "properties": {
            "kind": {"enum": [SubjectKind::Account, SubjectKind::Key, SubjectKind::Secret,
                SubjectKind::Entry, SubjectKind::Device, SubjectKind::Identity,
                SubjectKind::KeyBackup, SubjectKind::Server, SubjectKind::Local]},
            "id": {"type": "string"},
            "key_id": {"description": "Of an entry.", "type": "string"},
        },
    })
}

fn repair() -> Value {
    json!({
        "type": "object",
        "required": ["title", "risk", "needs", "is_chosen", "steps"],
        "properties": {
            "title": {"type": "string"},
            "risk": {"enum": [Risk::None, Risk::Consent]},
            "needs": {
                "description": "What is not at hand: `key:` is followed by the ID of a key.",
                "type": "array",
                "items": {"anyOf": [
                    {"enum": [Requirement::Password, Requirement::Device, Requirement::Approval,
                        Requirement::OtherCopy]},
                    {"type": "string", "pattern": "^key:"},
                ]},
            },
            "is_chosen": {
                "description": "Whether it is made when nothing else is said.",
                "type": "boolean",
            },
            "steps": {
                "description": "As in a plan, once it was drafted.",
                "type": "array",
                "items": {"$ref": "#/$defs/step"},
            },
        },
    })
}

fn step() -> Value {
    json!({
        "type": "object",
        "required": ["reason", "action"],
        "properties": {
            "reason": {"type": "string"},
            "action": {
                "description": "One member: what is done, with what it is done to.",
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
            },
        },
    })
}

fn not_checked() -> Value {
    json!({
        "type": "object",
        "required": ["code", "needs"],
        "properties": {
            "code": {"$ref": "#/$defs/code"},
            "needs": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": {"enum": [Need::Key, Need::KeysQuery, Need::BackupVersion,
                    Need::Baseline, Need::Server]},
            },
        },
    })
}

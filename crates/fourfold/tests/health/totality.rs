//! There is a report for every input.

use fourfold::health::Evidence;
use fourfold::{AccountData, Snapshot};
use serde_json::{Value, json};

use crate::account::{Account, examine, rng};

/// Every member of an account, replaced by everything that it should not be.
#[test]
fn every_member_can_be_anything() {
    let mut account = Account::healthy().with_key();
    let data = account.json["account_data"].as_object_mut().unwrap();
    data.remove("m.push_rules");
    let mut paths = Vec::new();
    for member in ["account_data", "keys_query", "backup_version"] {
        collect(
            &account.json[member],
            format!("/{}", escaped(member)),
            &mut paths,
        );
    }
    assert!(paths.len() > 50);
    let values = [
        json!(null),
        json!({}),
        json!([]),
        json!(""),
        json!(-1),
        json!("ü\u{0}"),
    ];
    for path in &paths {
        for value in &values {
            let mut json = account.json.clone();
            *json.pointer_mut(path).unwrap() = value.clone();
            let Ok(snapshot) = Snapshot::from_json(&json.to_string()) else {
                continue;
            };
            let mut evidence = Evidence::of(&snapshot);
            evidence.keys = account.offered(&snapshot);
            let mut report = examine(&evidence);
            let _ = report.draft_repairs(&evidence, |_, _| true, &mut rng());
            assert!(
                serde_json::from_str::<Value>(&report.to_json()).is_ok(),
                "{path}"
            );
        }
    }
}

/// As many events as are read, each of them a secret that something is wrong with.
#[test]
fn findings_of_a_condition_are_bounded() {
    let mut account = Account::healthy();
    let data = account.json["account_data"].as_object_mut().unwrap();
    for number in data.len()..AccountData::MAX_EVENTS {
        data.insert(
            format!("org.example.{number}"),
            json!({"encrypted": {"gone": {"iv": 1}}}),
        );
    }
    let report = account.report();
    assert_eq!(report.of_code("entry-malformed").count(), 1000);
    assert_eq!(report.of_code("custom-secret-left-behind").count(), 1000);
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(value, format!("{path}/{}", escaped(name)), paths);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, format!("{path}/{index}"), paths);
            }
        }
        _ => {}
    }
    paths.push(path);
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

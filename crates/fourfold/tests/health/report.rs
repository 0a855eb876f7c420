//! The table and the report.

use std::collections::BTreeSet;

use fourfold::health::{CONDITIONS, Condition, NotChecked};
use serde_json::Value;

use crate::account::Account;

#[test]
fn the_table_is_complete() {
    let codes: BTreeSet<_> = CONDITIONS.iter().map(Condition::code).collect();
    assert_eq!(codes.len(), CONDITIONS.len());
    for condition in &CONDITIONS {
        let code = condition.code();
        let is_kebab = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-';
        assert!(code.chars().all(is_kebab), "{code}");
        assert!(!condition.severities().is_empty(), "{code}");
        let texts = [
            condition.what(),
            condition.cause(),
            condition.repair(),
            condition.cost(),
        ];
        for text in texts {
            assert!(
                text.ends_with('.') && !text.contains("  "),
                "{code}: {text}"
            );
        }
    }
    assert!(Condition::of("secret-missing").is_some());
    assert!(Condition::of("nothing").is_none());
}

#[test]
fn a_code_is_found_or_not_checked_or_neither() {
    let mut account = Account::healthy();
    account.json.as_object_mut().unwrap().remove("keys_query");
    let report = account.report();
    let found: BTreeSet<_> = report.findings.iter().map(|one| one.code).collect();
    let open: BTreeSet<_> = report
        .not_checked
        .iter()
        .map(|one: &NotChecked| one.code)
        .collect();
    assert!(found.is_disjoint(&open));
    assert!(open.contains("secret-missing") && open.contains("entry-does-not-open"));
    for finding in &report.findings {
        let condition = Condition::of(finding.code).unwrap();
        assert!(
            condition.severities().contains(&finding.severity),
            "{}",
            finding.code
        );
    }
}

#[test]
fn the_json_is_the_contract() {
    let mut account = Account::healthy().with_key();
    let id = account.key_id();
    account.json["account_data"]["m.cross_signing.master"]["encrypted"][&id]["iv"] = Value::Null;
    let json: Value = serde_json::from_str(&account.report().to_json()).unwrap();
    assert_eq!(json["schema"], "fourfold.health/1");
    assert_eq!(json["source"], "snapshot");
    assert_eq!(json["verdict"], "needs_input");
    assert_eq!(json["keys_tried"][0]["outcome"], "verified");
    let finding = &json["findings"][0];
    assert_eq!(finding["code"], "entry-malformed");
    assert_eq!(finding["subject"]["kind"], "entry");
    assert_eq!(finding["subject"]["key_id"], id.as_str());
    let repair = &finding["repairs"][0];
    assert_eq!(repair["needs"][0], "device");
    assert_eq!(repair["risk"], "none");
    assert!(json["not_checked"][0]["needs"][0].is_string());
}

#[test]
fn a_report_shows_no_secret() {
    let account = Account::healthy().with_key();
    let json = account.report().to_json();
    for name in [
        "m.cross_signing.master",
        "m.megolm_backup.v1",
        "org.example.secret",
    ] {
        assert!(
            !json.contains(account.plaintext(name).expose_secret()),
            "{name}"
        );
    }
    assert!(!json.contains(&account.keys[0]));
}

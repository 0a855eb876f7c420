//! The server, the session, this machine, and the device that is left.

use fourfold::Timestamp;
use fourfold::health::{Evidence, Machine, Observed, Records, SampledSessions, Verdict};
use serde_json::json;

use crate::account::{Account, DEVICE, MASTER, codes, examine, finds, has};

#[test]
fn what_the_server_says_of_the_session_is_looked_at() {
    for (whoami, is_found) in [
        (json!({"user_id": "@a:b.org", "device_id": "A"}), false),
        (json!({"user_id": "@a:b.org", "is_guest": true}), true),
        (
            json!({"errcode": "M_UNKNOWN_TOKEN", "soft_logout": true}),
            true,
        ),
    ] {
        let server = json!({"whoami": whoami});
        let account = Account::healthy().broken(|json| json["server"] = server);
        assert_eq!(has(&account.report(), "session-invalid"), is_found);
    }
    let report = Account::healthy().report();
    assert!(
        report
            .not_checked
            .iter()
            .any(|one| one.code == "session-invalid")
    );
}

#[test]
fn what_the_server_wants_is_said() {
    let account = Account::healthy().broken(|json| {
        json["server"] = json!({
            "auth_metadata": {
                "account_management_actions_supported": ["org.matrix.cross_signing_reset"]},
            "well_known": {"io.element.e2ee": {"secure_backup_required": true}},
        });
    });
    let report = finds(&account, &[], Verdict::Healthy);
    assert!(has(&report, "reset-authorisation") && has(&report, "server-wants"));
}

#[test]
fn what_was_tried_at_the_server_is_told() {
    let account = Account::healthy().with_key();
    let snapshot = account.snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = account.offered(&snapshot);
    let mut observed = Observed::default();
    observed.stale = Some(vec![MASTER.to_owned()]);
    observed.is_echoed = Some(false);
    observed.backup_quirk = Some(Some("the newest version is not the current one".to_owned()));
    observed.sampled_sessions = Some(SampledSessions {
        tried: 5,
        opened: 4,
    });
    evidence.observed = Some(observed);
    let expected = [
        "account-data-stale",
        "account-data-not-echoed",
        "server-backup-quirk",
        "backup-keys-do-not-open",
    ];
    assert_eq!(codes(&examine(&evidence)), expected.into());
}

#[test]
fn this_machine_is_looked_at() {
    let snapshot = Account::healthy().snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.now = Some(Timestamp::from_millis(1_764_000_000_000));
    let mut machine = Machine::default();
    machine.readable_files = vec!["key.txt".to_owned()];
    machine.changed_meanwhile = true;
    evidence.machine = Some(machine.clone());
    // Nothing is said of what a program that notes nothing cannot know.
    let report = examine(&evidence);
    assert!(!has(&report, "drill-overdue") && !has(&report, "no-snapshot-kept"));
    machine.records = Some(Records::default());
    evidence.machine = Some(machine);
    let report = examine(&evidence);
    assert_eq!(
        codes(&report),
        ["file-readable-by-others", "changed-while-examined"].into()
    );
    assert!(has(&report, "drill-overdue") && has(&report, "no-snapshot-kept"));
}

#[test]
fn the_last_device_is_named_when_something_is_wrong() {
    assert!(!has(&Account::healthy().report(), "last-device"));
    let broken = Account::healthy().broken(|json| {
        json["account_data"].as_object_mut().unwrap().remove(MASTER);
    });
    let report = broken.report();
    assert_eq!(
        report.of_code("last-device").next().unwrap().subject.id,
        DEVICE
    );
}

#[test]
fn a_dehydrated_device_needs_its_key() {
    let account = Account::healthy().broken(|json| {
        let id = json["account_data"][crate::account::DEFAULT]["key"]
            .as_str()
            .unwrap()
            .to_owned();
        let entry = json["account_data"][MASTER]["encrypted"][&id].clone();
        json["account_data"]["org.matrix.msc3814"] = json!({"encrypted": {(id): entry}});
    });
    finds(&account, &["dehydrated-device-broken"], Verdict::Attention);
}

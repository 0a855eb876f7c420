//! The key backup.

use fourfold::health::Verdict;
use serde_json::json;

use crate::account::{Account, BACKUP, finds, has};

#[test]
fn a_backup_that_should_be_there_is_missed() {
    let account = Account::healthy().broken(|json| {
        json["backup_version"] = json!(null);
        json["account_data"]["m.key_backup"] = json!({"enabled": true});
    });
    finds(&account, &["backup-missing"], Verdict::Attention);
}

#[test]
fn a_backup_without_its_key_is_found() {
    let account = Account::healthy().broken(|json| {
        json["account_data"].as_object_mut().unwrap().remove(BACKUP);
    });
    finds(&account, &["backup-key-missing"], Verdict::NeedsInput);
    // Nobody looked for a backup: then nothing is said about one.
    let unknown = account.broken(|json| {
        json.as_object_mut().unwrap().remove("backup_version");
    });
    let report = finds(&unknown, &[], Verdict::Healthy);
    assert!(
        report
            .not_checked
            .iter()
            .any(|one| one.code == "backup-key-missing")
    );
}

#[test]
fn a_damaged_version_is_found() {
    for (member, value, code) in [
        (
            "auth_data",
            json!({"public_key": "A".repeat(60)}),
            "backup-data-malformed",
        ),
        ("auth_data", json!(7), "backup-data-malformed"),
        (
            "algorithm",
            json!("org.example"),
            "backup-algorithm-unknown",
        ),
    ] {
        let account = Account::healthy().broken(|json| json["backup_version"][member] = value);
        finds(&account, &[code], Verdict::NeedsInput);
        finds(&account.with_key(), &[code], Verdict::Repairable);
    }
}

#[test]
fn the_signature_of_the_master_key_is_looked_at() {
    let unsigned = Account::healthy().broken(|json| {
        json["backup_version"]["auth_data"]["signatures"] = json!({});
    });
    finds(&unsigned, &["backup-unsigned"], Verdict::Attention);
    let mut invalid = Account::healthy();
    let user_id = invalid.user_id();
    let signatures = &mut invalid.json["backup_version"]["auth_data"]["signatures"][user_id];
    for signature in signatures.as_object_mut().unwrap().values_mut() {
        *signature = json!("A".repeat(86));
    }
    finds(&invalid, &["backup-signature-invalid"], Verdict::NeedsInput);
    finds(
        &invalid.with_key(),
        &["backup-signature-invalid"],
        Verdict::Repairable,
    );
}

#[test]
fn the_key_of_an_older_version_is_told_from_a_foreign_one() {
    let mut account = Account::healthy();
    let older = account.json["backup_version"].clone();
    account.json["backup_versions"] = json!([older]);
    let current = &mut account.json["backup_version"];
    current["version"] = json!("3");
    current["auth_data"] = json!({"public_key": fourfold::base64::encode([9; 32])});
    let expected = ["backup-key-of-older-version", "backup-unsigned"];
    finds(&account.with_key(), &expected, Verdict::Attention);
}

#[test]
fn two_flags_that_disagree_are_found() {
    let with = |disabled| {
        Account::healthy().broken(|json| {
            json["account_data"]["m.key_backup"] = json!({"enabled": true});
            json["account_data"]["m.org.matrix.custom.backup_disabled"] =
                json!({"disabled": disabled});
        })
    };
    finds(&with(false), &[], Verdict::Healthy);
    finds(&with(true), &["backup-flags-disagree"], Verdict::Attention);
}

#[test]
fn an_empty_backup_is_only_worth_knowing() {
    let account = Account::healthy().broken(|json| json["backup_version"]["count"] = json!(0));
    assert!(has(&finds(&account, &[], Verdict::Healthy), "backup-empty"));
}

#[test]
fn a_passphrase_of_the_backup_is_told() {
    let account = Account::healthy().broken(|json| {
        json["backup_version"]["auth_data"]["private_key_salt"] = json!("abc");
    });
    assert!(has(&account.report(), "backup-has-passphrase"));
}

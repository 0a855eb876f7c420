//! Keys: which there are, which is the default, what their descriptions say, what is offered.

use fourfold::health::{KeyOutcome, Severity, SubjectKind, Verdict};
use serde_json::json;

use crate::account::{Account, BACKUP, DEFAULT, MASTER, SELF_SIGNING, USER_SIGNING, finds, has};

#[test]
fn healthy_accounts_of_other_clients_are_healthy() {
    for name in ["js-sdk-recovery-key.json", "mautrix-recovery-key.json"] {
        finds(&Account::fixture(name), &[], Verdict::Healthy);
        let report = finds(&Account::fixture(name).with_key(), &[], Verdict::Healthy);
        assert_eq!(report.keys_tried[0].outcome, KeyOutcome::Verified, "{name}");
    }
    // Its recovery key was replaced, and a secret of another program was left behind.
    let rust = Account::fixture("rust-sdk-passphrase.json");
    finds(&rust, &["custom-secret-left-behind"], Verdict::Attention);
}

#[test]
fn an_account_without_anything_is_told_from_one_that_was_switched_off() {
    let empty = Account::healthy().broken(|json| {
        json["account_data"] = json!({});
        json["keys_query"] = json!({"device_keys": {}});
        json["backup_version"] = json!(null);
    });
    assert!(has(
        &finds(&empty, &[], Verdict::Healthy),
        "storage-not-set-up"
    ));
    let off = empty.broken(|json| {
        json["account_data"] = json!({
            (DEFAULT): {},
            "m.secret_storage.key.abc": {},
            "m.cross_signing.master": {"encrypted": {}},
        });
    });
    finds(&off, &["storage-switched-off"], Verdict::Attention);
}

#[test]
fn a_default_that_names_nothing_is_repaired_with_the_key() {
    for (content, code) in [
        (None, "default-key-missing"),
        (Some(json!({})), "default-key-malformed"),
        (Some(json!({"key": 7})), "default-key-malformed"),
        (Some(json!(null)), "default-key-malformed"),
    ] {
        let broken = Account::healthy().broken(|json| match content {
            None => drop(
                json["account_data"]
                    .as_object_mut()
                    .unwrap()
                    .remove(DEFAULT),
            ),
            Some(content) => json["account_data"][DEFAULT] = content,
        });
        finds(&broken, &[code], Verdict::NeedsInput);
        finds(&broken.with_key(), &[code], Verdict::Repairable);
    }
}

#[test]
fn a_default_without_description_is_described_again() {
    let mut broken = Account::healthy();
    *broken.description() = json!({});
    finds(&broken, &["default-key-undescribed"], Verdict::NeedsInput);
    finds(
        &broken.clone().with_key(),
        &["default-key-undescribed"],
        Verdict::Repairable,
    );
    // With a key that opens nothing it is lost, until the right one is found.
    broken
        .keys
        .push("EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d".to_owned());
    let report = finds(
        &broken,
        &["default-key-undescribed", "offered-key-unknown"],
        Verdict::NeedsInput,
    );
    assert!(report.only_wrong_keys());
}

#[test]
fn descriptions_are_read_member_by_member() {
    for (member, value, code, severity) in [
        (
            "algorithm",
            json!(null),
            "key-algorithm-unsupported",
            Severity::Error,
        ),
        (
            "algorithm",
            json!("org.example.new"),
            "key-algorithm-unsupported",
            Severity::Error,
        ),
        ("mac", json!("AAAA"), "key-check-malformed", Severity::Error),
        ("iv", json!(1), "key-check-malformed", Severity::Error),
        (
            "passphrase",
            json!({"algorithm": "org.example"}),
            "passphrase-malformed",
            Severity::Error,
        ),
        (
            "passphrase",
            json!({"algorithm": "m.pbkdf2", "salt": "12345678", "iterations": 1000}),
            "passphrase-too-cheap",
            Severity::Warning,
        ),
        (
            "passphrase",
            json!({"algorithm": "m.pbkdf2", "salt": "12345678", "iterations": 4_000_000_000_u32}),
            "passphrase-too-costly",
            Severity::Error,
        ),
    ] {
        let mut broken = Account::healthy();
        broken.description()[member] = value;
        let report = broken.report();
        let finding = report.of_code(code).next();
        assert_eq!(
            finding.map(|one| one.severity),
            Some(severity),
            "{code} {member}"
        );
    }
}

#[test]
fn a_description_that_is_no_object_is_told_from_one_that_is_gone() {
    for description in [json!("nothing"), json!([]), json!(7)] {
        let mut broken = Account::healthy();
        *broken.description() = description;
        let expected = ["default-key-undescribed", "key-description-malformed"];
        finds(&broken, &expected, Verdict::NeedsInput);
        finds(&broken.with_key(), &expected, Verdict::Repairable);
    }
    // Nobody needs this one.
    let other = Account::healthy().broken(|json| {
        json["account_data"]["m.secret_storage.key.other"] = json!([]);
    });
    finds(&other, &[], Verdict::Healthy);
}

#[test]
fn base64_of_another_form_is_only_worth_knowing() {
    let with = |iv: &str, entry_iv: &str| {
        let mut account = Account::healthy();
        for member in ["iv", "mac"] {
            let text = account.description()[member].as_str().unwrap().to_owned();
            account.description()[member] = json!(text.trim_end_matches('='));
        }
        let id = account.key_id();
        for name in [
            MASTER,
            SELF_SIGNING,
            USER_SIGNING,
            BACKUP,
            "org.example.secret",
        ] {
            let entry = &mut account.json["account_data"][name]["encrypted"][&id];
            for text in entry.as_object_mut().unwrap().values_mut() {
                *text = json!(text.as_str().unwrap().trim_end_matches('='));
            }
        }
        let description = account.description();
        description["iv"] = json!(format!("{}{iv}", description["iv"].as_str().unwrap()));
        let entry = &mut account.json["account_data"][MASTER]["encrypted"][&id];
        entry["iv"] = json!(format!("{}{entry_iv}", entry["iv"].as_str().unwrap()));
        let report = finds(&account, &[], Verdict::Healthy);
        let found = report.of_code("base64-not-canonical");
        found.map(|one| one.subject.kind).collect::<Vec<_>>()
    };
    assert_eq!(with("", ""), []);
    assert_eq!(with("==", ""), [SubjectKind::Key]);
    assert_eq!(with("", "=="), [SubjectKind::Entry]);
}

#[test]
fn missing_check_data_is_added_with_the_key() {
    let mut broken = Account::healthy();
    broken.description().as_object_mut().unwrap().remove("mac");
    finds(&broken, &["key-check-missing"], Verdict::Attention);
}

#[test]
fn an_offered_key_is_told_what_it_is() {
    let mut account = Account::healthy();
    account
        .keys
        .push("EsU5 QHZW FFpn EyoZ mDqo 11GU eTaU af2Y mMXK HZUi G2JN srfX".to_owned());
    let report = finds(&account, &["offered-key-mistyped"], Verdict::NeedsInput);
    assert_eq!(report.keys_tried[0].outcome, KeyOutcome::NotAKey);
    assert!(report.only_wrong_keys());

    let mut account = Account::healthy();
    let further = account.further_key();
    account
        .keys
        .push(further.key().key().expose_recovery_key().to_string());
    let report = finds(&account, &["offered-key-not-default"], Verdict::Attention);
    assert!(has(&report, "key-opens-nothing"));
}

#[test]
fn the_private_key_of_the_backup_is_recognised() {
    let mut account = Account::healthy();
    let value = account.plaintext("m.megolm_backup.v1");
    let bytes = fourfold::base64::decode_array(value.expose_secret()).unwrap();
    account
        .keys
        .push(fourfold::recovery_key::encode(&bytes).to_string());
    finds(&account, &["offered-key-is-backup-key"], Verdict::Attention);
}

#[test]
fn white_space_around_a_passphrase_is_told() {
    let mut account = Account::fixture("rust-sdk-passphrase.json");
    let passphrase = account.json["passphrase"].as_str().unwrap().to_owned();
    account.keys.push(format!("{passphrase} "));
    let expected = ["passphrase-variant", "custom-secret-left-behind"];
    finds(&account, &expected, Verdict::Attention);
}

#[test]
fn a_key_of_2019_is_found_with_what_points_to_it() {
    let mut account = Account::healthy();
    account.json["account_data"]["m.secret_storage.key.old"] = json!({
        "algorithm": "m.secret_storage.v1.curve25519-aes-sha2",
        "pubkey": fourfold::base64::encode([9; 32]),
    });
    finds(&account, &["key-algorithm-2019"], Verdict::Attention);
    let backup = &mut account.json["account_data"]["m.megolm_backup.v1"];
    backup["encrypted"]["old"] = json!({"passthrough": true});
    let expected = ["key-algorithm-2019", "secret-passthrough"];
    finds(&account, &expected, Verdict::Attention);
}

#[test]
fn an_id_that_must_be_escaped_is_only_worth_knowing() {
    let report = Account::fixture("mautrix-recovery-key.json").report();
    assert!(has(&report, "key-id-needs-escaping"));
}

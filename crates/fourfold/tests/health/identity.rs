//! The published identity and the devices.

use fourfold::SecretName;
use fourfold::health::{Evidence, Severity, Verdict};
use serde_json::{Value, json};

use crate::account::{Account, DEVICE, MASTER, examine, finds, has};

fn published<'a>(account: &'a mut Account, what: &str) -> &'a mut Value {
    let user_id = account.user_id();
    &mut account.json["keys_query"][what][user_id]
}

#[test]
fn stored_keys_without_a_published_identity_are_found() {
    let mut account = Account::healthy();
    for what in ["master_keys", "self_signing_keys", "user_signing_keys"] {
        account.json["keys_query"][what] = json!({});
    }
    finds(&account, &["identity-not-published"], Verdict::NeedsInput);
}

#[test]
fn a_signing_key_must_be_signed_by_the_master_key() {
    let mut account = Account::healthy();
    published(&mut account, "self_signing_keys")["signatures"] = json!({});
    // Then no device is verified either.
    let codes = ["signing-key-unsigned"];
    finds(&account, &codes, Verdict::NeedsInput);
}

#[test]
fn a_malformed_published_key_is_found_once() {
    let mut account = Account::healthy();
    published(&mut account, "user_signing_keys")["usage"] = json!(["master"]);
    finds(&account, &["published-key-malformed"], Verdict::NeedsInput);
}

#[test]
fn a_device_is_unsigned_wrongly_signed_or_signed_by_a_former_key() {
    let user_id = Account::healthy().user_id();
    let signatures = |account: &mut Account| {
        published(account, "device_keys")[DEVICE]["signatures"][&user_id].clone()
    };
    let with = |change: &dyn Fn(&mut serde_json::Map<String, Value>, String)| {
        let mut account = Account::healthy();
        let mut all = signatures(&mut account).as_object().unwrap().clone();
        let own = format!("ed25519:{DEVICE}");
        let by_identity = all.keys().find(|id| **id != own).unwrap().clone();
        change(&mut all, by_identity);
        published(&mut account, "device_keys")[DEVICE]["signatures"][&user_id] = all.into();
        account
    };
    let unsigned = with(&|all, id| drop(all.remove(&id)));
    let report = finds(&unsigned, &["device-unsigned"], Verdict::Attention);
    assert!(has(&report, "no-device-can-share"));
    let wrong = with(&|all, id| drop(all.insert(id, json!("A".repeat(86)))));
    let codes = ["device-signature-invalid"];
    finds(&wrong, &codes, Verdict::NeedsInput);
    let former = with(&|all, id| {
        let signature = all.remove(&id).unwrap();
        let former = format!("ed25519:{}", fourfold::base64::encode([9; 32]));
        all.insert(former, signature);
    });
    let codes = ["device-signed-by-old-key"];
    finds(&former, &codes, Verdict::NeedsInput);
}

#[test]
fn lists_of_devices_are_compared() {
    let list = |ids: &[&str]| {
        let devices: Vec<_> = ids.iter().map(|id| json!({"device_id": id})).collect();
        Account::healthy().broken(|json| json["devices"] = json!({"devices": devices}))
    };
    finds(&list(&[DEVICE]), &[], Verdict::Healthy);
    finds(&list(&[]), &["device-not-listed"], Verdict::Attention);
    assert!(has(
        &list(&[DEVICE, "OTHER"]).report(),
        "device-without-keys"
    ));
    let this = list(&[DEVICE, "OTHER"]).broken(|json| json["device_id"] = json!("OTHER"));
    finds(&this, &["device-without-keys"], Verdict::NeedsInput);
    // Where storage is used alone, no device needs keys.
    let alone = this.broken(|json| {
        let user_id = json["user_id"].as_str().unwrap().to_owned();
        json["keys_query"] = json!({"device_keys": {(user_id): {}}});
        let data = json["account_data"].as_object_mut().unwrap();
        data.retain(|name, _| !name.starts_with("m.cross_signing."));
    });
    finds(&alone, &[], Verdict::Healthy);
    assert!(has(&alone.report(), "device-without-keys"));
}

#[test]
fn a_master_key_that_no_device_signed_is_only_worth_knowing() {
    let mut account = Account::healthy();
    published(&mut account, "master_keys")["signatures"] = json!({});
    let report = finds(&account, &[], Verdict::Healthy);
    assert!(has(&report, "master-key-unsigned-by-device"));
}

#[test]
fn many_devices_are_only_worth_knowing() {
    let list = |count: usize, seen: u64| {
        let mut devices = vec![json!({"device_id": DEVICE, "last_seen_ts": seen})];
        devices.extend((1..count).map(|id| json!({"device_id": id.to_string()})));
        Account::healthy().broken(|json| {
            json["devices"] = json!({"devices": devices});
            json["taken_at"] = json!(100_000_000_000_u64);
        })
    };
    assert!(!has(&list(50, 90_000_000_000).report(), "many-devices"));
    assert!(has(&list(51, 90_000_000_000).report(), "many-devices"));
    assert!(has(&list(1, 1_000_000_000).report(), "many-devices"));
}

/// An account with one device is healthy; once a secret is missing, nobody is there to send it.
#[test]
fn a_device_that_could_share_is_missed_when_a_secret_is() {
    let this = Account::healthy().broken(|json| json["device_id"] = json!(DEVICE));
    let severity = |account: &Account| {
        let report = account.report();
        let found = report.of_code("no-device-can-share").next();
        found.map(|one| one.severity)
    };
    assert_eq!(severity(&this), Some(Severity::Info));
    finds(&this, &[], Verdict::Healthy);
    // Another device looks: this one could share.
    assert_eq!(severity(&Account::healthy()), None);
    let missing = this.broken(|json| {
        json["account_data"].as_object_mut().unwrap().remove(MASTER);
    });
    assert_eq!(severity(&missing), Some(Severity::Warning));
    // What is held here nobody needs to send.
    let snapshot = missing.clone().with_key().snapshot();
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = missing.clone().with_key().offered(&snapshot);
    evidence.secrets = vec![(SecretName::master_key(), missing.plaintext(MASTER))];
    let report = examine(&evidence);
    let found = report.of_code("no-device-can-share").next().unwrap();
    assert_eq!(found.severity, Severity::Info);
}

//! Any two conditions at once: both are found, and what mends them harms nothing.

use std::collections::BTreeSet;

use fourfold::Snapshot;
use fourfold::health::{Evidence, OfferedKey, Report};
use fourfold::plan::Action;
use serde_json::json;

use crate::account::{
    Account, BACKUP, CUSTOM, DEVICE, MASTER, SELF_SIGNING, USER_SIGNING, codes, examine, rng,
};

type Break = fn(&mut Account);

/// Faults of different parts of an account, so that none hides another one.
const BREAKS: [(&str, Break); 15] = [
    ("secret-missing", |account| {
        account.json["account_data"]
            .as_object_mut()
            .unwrap()
            .remove(SELF_SIGNING);
    }),
    ("entry-malformed", |account| {
        let id = account.key_id();
        account.json["account_data"][USER_SIGNING]["encrypted"][&id]["mac"] = json!("AAAA");
    }),
    ("entry-does-not-open", |account| {
        account.json["account_data"][MASTER] = account.json["account_data"][BACKUP].clone();
    }),
    ("custom-secret-left-behind", |account| {
        let further = account.further_key();
        let value = account.plaintext(CUSTOM);
        account.json["account_data"][CUSTOM] = json!({"encrypted": {}});
        account.put_entry(CUSTOM, &value, further.key());
        let key = further.key().key().expose_recovery_key().to_string();
        account.keys.push(key);
    }),
    ("entry-key-undescribed", |account| {
        let id = account.key_id();
        let encrypted = &mut account.json["account_data"][BACKUP]["encrypted"];
        encrypted["gone"] = encrypted[&id].clone();
    }),
    ("key-check-missing", |account| {
        account.description().as_object_mut().unwrap().remove("mac");
    }),
    ("passphrase-too-cheap", |account| {
        account.description()["passphrase"] =
            json!({"algorithm": "m.pbkdf2", "salt": "12345678", "iterations": 1000});
    }),
    ("key-algorithm-2019", |account| {
        account.json["account_data"]["m.secret_storage.key.old"] = json!({
            "algorithm": "m.secret_storage.v1.curve25519-aes-sha2",
            "pubkey": fourfold::base64::encode([9; 32]),
        });
    }),
    ("backup-flags-disagree", |account| {
        account.json["account_data"]["m.key_backup"] = json!({"enabled": true});
        account.json["account_data"]["m.org.matrix.custom.backup_disabled"] =
            json!({"disabled": true});
    }),
    ("encrypted-account-data", |account| {
        account.json["account_data"]["org.example.notes"] =
            json!({"encrypted": {"iv": "AAAA", "ciphertext": "AAAA", "mac": "AAAA"}});
    }),
    ("dehydrated-device-broken", |account| {
        let key = account.json["account_data"][CUSTOM].clone();
        account.json["account_data"]["org.matrix.msc3814"] = key;
        let value = account.plaintext(CUSTOM);
        let key = account.proven();
        account.put_entry("org.matrix.msc3814", &value, &key);
    }),
    ("backup-empty", |account| {
        account.json["backup_version"]["count"] = json!(0);
    }),
    ("device-unsigned", |account| {
        let user_id = account.user_id();
        let device = &mut account.json["keys_query"]["device_keys"][&user_id][DEVICE];
        let own = format!("ed25519:{DEVICE}");
        let signatures = device["signatures"][&user_id].as_object_mut().unwrap();
        signatures.retain(|id, _| *id == own);
    }),
    ("device-without-keys", |account| {
        account.json["devices"] =
            json!({"devices": [{"device_id": DEVICE}, {"device_id": "OTHER"}]});
    }),
    ("session-invalid", |account| {
        account.json["server"] = json!({"whoami": {"errcode": "M_UNKNOWN_TOKEN"}});
    }),
];

#[test]
fn two_conditions_at_once_are_both_found_and_repaired() {
    for (index, (one, break_one)) in BREAKS.iter().enumerate() {
        let mut alone = Account::healthy().with_key();
        break_one(&mut alone);
        treat(&alone, &[one]);
        for (other, break_other) in &BREAKS[index + 1..] {
            let mut account = Account::healthy().with_key();
            break_one(&mut account);
            break_other(&mut account);
            treat(&account, &[one, other]);
        }
    }
}

/// Examines and repairs: nothing new is found, a second time changes nothing, and whatever opened
/// opens, after every single step.
#[track_caller]
fn treat(account: &Account, expected: &[&str]) {
    let snapshot = account.snapshot();
    let keys = || account.offered(&snapshot);
    let mut evidence = Evidence::of(&snapshot);
    evidence.keys = keys();
    let mut before = examine(&evidence);
    for code in expected {
        let is_found = before.of_code(code).next().is_some();
        assert!(is_found, "{expected:?}: {:#?}", before.findings);
    }
    let (plan, left) = before.draft_repairs(&evidence, |_, one| one.is_chosen, &mut rng());
    assert!(left.is_empty(), "{expected:?}: {left:?}");
    let opened = open(&snapshot, &evidence.keys);
    let mut mended = snapshot.clone();
    for step in &plan.steps {
        let Action::PutAccountData(put) = &step.action else {
            panic!("{expected:?}: {step:?}");
        };
        mended.account_data.insert(&put.event_type, &put.content);
        let still = open(&mended, &evidence.keys);
        assert!(opened.is_subset(&still), "{expected:?}: {step:?}");
    }
    let mut after = Evidence::of(&mended);
    after.keys = account.offered(&mended);
    let mut again = examine(&after);
    let new: Vec<_> = codes(&again).difference(&codes(&before)).copied().collect();
    assert!(new.is_empty(), "{expected:?}: {new:?}");
    let chosen = |report: &Report| {
        let repairs = report.findings.iter().flat_map(|one| &one.repairs);
        repairs.filter(|one| one.is_chosen).count()
    };
    let (second, _) = again.draft_repairs(&after, |_, one| one.is_chosen, &mut rng());
    assert!(
        second.is_empty() && chosen(&again) == 0,
        "{expected:?}: {second:?}"
    );
}

/// The copies that open, with what they open to.
fn open(snapshot: &Snapshot, keys: &[OfferedKey]) -> BTreeSet<(String, String, String)> {
    let storage = snapshot.storage();
    let mut opened = BTreeSet::new();
    for (name, _) in storage.secrets() {
        for key in keys.iter().filter_map(OfferedKey::as_key) {
            if let Ok(copy) = storage.open(&name, key) {
                let value = copy.secret.expose_secret().to_owned();
                opened.insert((
                    name.as_str().to_owned(),
                    key.id().as_str().to_owned(),
                    value,
                ));
            }
        }
    }
    opened
}

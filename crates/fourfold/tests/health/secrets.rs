//! Secrets, their encrypted copies and what they open to.

use fourfold::Secret;
use fourfold::health::Verdict;
use serde_json::json;

use crate::account::{Account, BACKUP, MASTER, SELF_SIGNING, USER_SIGNING, finds, has};

#[test]
fn a_published_key_whose_secret_is_not_there_is_found() {
    let missing = Account::healthy().broken(|json| {
        json["account_data"].as_object_mut().unwrap().remove(MASTER);
    });
    finds(&missing, &["secret-missing"], Verdict::NeedsInput);
    for emptied in [json!({}), json!({"encrypted": {}}), json!(null)] {
        let emptied =
            Account::healthy().broken(|json| json["account_data"][SELF_SIGNING] = emptied);
        finds(&emptied, &["secret-emptied"], Verdict::NeedsInput);
    }
}

#[test]
fn what_lies_under_another_key_than_the_default_is_found() {
    let mut account = Account::healthy();
    let new = account.further_key();
    account.make_default(new.key().id());
    let expected = ["secret-not-under-default", "custom-secret-left-behind"];
    let report = finds(&account, &expected, Verdict::NeedsInput);
    assert_eq!(report.of_code("secret-not-under-default").count(), 4);
    account
        .keys
        .push(new.key().key().expose_recovery_key().to_string());
    finds(&account, &expected, Verdict::NeedsInput);
    let expected = [
        "secret-not-under-default",
        "custom-secret-left-behind",
        "offered-key-not-default",
    ];
    finds(&account.with_key(), &expected, Verdict::Repairable);
}

#[test]
fn a_damaged_entry_is_found_without_a_key_and_one_that_does_not_open_with_it() {
    let mut malformed = Account::healthy();
    let id = malformed.key_id();
    malformed.json["account_data"][MASTER]["encrypted"][&id]["iv"] = json!("AAAA");
    finds(&malformed, &["entry-malformed"], Verdict::NeedsInput);
    finds(
        &malformed.with_key(),
        &["entry-malformed"],
        Verdict::NeedsInput,
    );

    let mut changed = Account::healthy();
    let other = changed.json["account_data"][SELF_SIGNING].clone();
    changed.json["account_data"][MASTER] = other;
    finds(&changed, &[], Verdict::Healthy);
    finds(
        &changed.with_key(),
        &["entry-does-not-open"],
        Verdict::NeedsInput,
    );
}

#[test]
fn an_entry_of_a_key_that_is_gone_is_found() {
    let mut account = Account::healthy();
    let id = account.key_id();
    let entry = account.json["account_data"][MASTER]["encrypted"][&id].clone();
    account.json["account_data"][MASTER]["encrypted"]["gone"] = entry;
    let report = finds(&account, &["entry-key-undescribed"], Verdict::Attention);
    assert!(has(&report, "several-keys"));
}

#[test]
fn a_value_is_compared_with_what_is_published() {
    for (name, code, verdict) in [
        (MASTER, "master-key-mismatch", Verdict::NeedsInput),
        (SELF_SIGNING, "signing-key-mismatch", Verdict::NeedsInput),
        (USER_SIGNING, "signing-key-mismatch", Verdict::NeedsInput),
        // A new version of the backup takes nothing but the default key.
        (BACKUP, "backup-key-mismatch", Verdict::Repairable),
    ] {
        let mut account = Account::healthy();
        let key = account.proven();
        let other = Secret::new(fourfold::base64::encode([7; 32]));
        account.store(name, &other, &key);
        finds(&account, &[], Verdict::Healthy);
        finds(&account.with_key(), &[code], verdict);
    }
}

#[test]
fn swapped_secrets_are_told_from_foreign_ones() {
    let mut account = Account::healthy();
    let key = account.proven();
    let (first, second) = (
        account.plaintext(SELF_SIGNING),
        account.plaintext(USER_SIGNING),
    );
    account.store(SELF_SIGNING, &second, &key);
    account.store(USER_SIGNING, &first, &key);
    let report = finds(
        &account.with_key(),
        &["secrets-swapped"],
        Verdict::NeedsInput,
    );
    assert_eq!(report.of_code("secrets-swapped").count(), 2);
}

#[test]
fn old_ways_to_write_a_value_are_found() {
    let mut account = Account::healthy();
    let key = account.proven();
    let value = account.plaintext(BACKUP);
    let bytes = fourfold::base64::decode(value.expose_secret())
        .unwrap()
        .bytes;
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    account.put_entry(BACKUP, &Secret::new(numbers.join(",")), &key);
    finds(
        &account.with_key(),
        &["secret-value-not-canonical"],
        Verdict::Attention,
    );
}

#[test]
fn a_value_that_is_no_key_is_found() {
    let mut account = Account::healthy();
    let key = account.proven();
    account.put_entry(MASTER, &Secret::new("not a key"), &key);
    finds(
        &account.with_key(),
        &["secret-value-malformed"],
        Verdict::NeedsInput,
    );
}

#[test]
fn copies_that_differ_are_not_replaced_in_silence() {
    let mut account = Account::healthy();
    let new = account.further_key();
    account
        .keys
        .push(new.key().key().expose_recovery_key().to_string());
    let other = Secret::new(fourfold::base64::encode([7; 32]));
    account.put_entry(BACKUP, &other, new.key());
    let expected = ["copies-differ", "offered-key-not-default"];
    finds(&account.with_key(), &expected, Verdict::NeedsInput);
}

#[test]
fn encrypted_account_data_is_left_alone() {
    let account = Account::healthy().broken(|json| {
        json["account_data"]["org.example.notes"] =
            json!({"encrypted": {"iv": "AAAA", "ciphertext": "AAAA", "mac": "AAAA"}});
    });
    let report = finds(&account, &[], Verdict::Healthy);
    assert!(has(&report, "encrypted-account-data"));
}

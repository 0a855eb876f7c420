//! Plans for secrets.

use fourfold::plan::{AddKeyError, DeleteError, StoreError, TakeKeyAwayError, WritingKey};
use fourfold::{
    AccountData, Content, KeyDescriptionError, NewKey, OpenError, Plan, PublishedKeys, Secret,
    SecretName, SecretNameError, SecretState, SecretValueError, base64, plan, recovery_key,
};

use crate::account::{Account, Identity, USER, puts};
use crate::dice::Dice;

fn name() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}

fn new_keys(count: usize) -> (Account, Dice) {
    let mut dice = Dice::new(4);
    let keys = (0..count)
        .map(|_| NewKey::random(None, &mut dice))
        .collect();
    (Account::with_keys(keys), dice)
}

fn store(
    account: &Account,
    name: &SecretName,
    secret: &Secret,
    keys: &[usize],
    published_keys: &PublishedKeys,
) -> Result<Plan, StoreError> {
    let keys: Vec<_> = keys
        .iter()
        .map(|index| WritingKey::Proven(account.keys[*index].key()))
        .collect();
    plan::store(
        &account.storage(),
        name,
        secret,
        &keys,
        published_keys,
        &mut Dice::new(5),
    )
}

fn store_token(account: &Account, value: &str, keys: &[usize]) -> Result<Plan, StoreError> {
    store(
        account,
        &name(),
        &Secret::new(value),
        keys,
        &PublishedKeys::default(),
    )
}

fn add(account: &Account, from: usize, to: usize, dice: &mut Dice) -> Result<Plan, AddKeyError> {
    plan::add_key(
        &account.storage(),
        &name(),
        account.key(from),
        account.keys[to].key(),
        &PublishedKeys::default(),
        dice,
    )
}

fn value(account: &Account, key: usize) -> Result<String, OpenError> {
    let opened = account.storage().open(&name(), account.key(key))?;
    Ok(opened.secret.expose_secret().to_owned())
}

// shows: STO-03
#[test]
fn a_new_value_drops_and_names_what_it_does_not_refresh() {
    let (mut account, mut dice) = new_keys(3);
    account.encrypt(&name(), &Secret::new("old"), 0, &mut dice);
    account.encrypt(&name(), &Secret::new("old"), 1, &mut dice);
    account.insert_entry(&name(), "unknown", &Content::from_json("{}").unwrap());
    let plan = store_token(&account, "new", &[0, 2]).unwrap();
    let lost: Vec<_> = plan.warnings.iter().map(|said| &said[8..40]).collect();
    assert_eq!(plan.warnings.len(), 2, "{lost:?}");
    for id in [account.id(1).as_str(), "unknown"] {
        assert!(plan.warnings.iter().any(|said| said.contains(id)), "{id}");
    }
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, 0).unwrap(), "new");
    assert_eq!(value(&account, 2).unwrap(), "new");
    let key_ids = vec![account.id(0).clone(), account.id(2).clone()];
    let mut sorted = key_ids;
    sorted.sort();
    assert_eq!(
        value(&account, 1).unwrap_err(),
        OpenError::NotEncryptedUnderKey { key_ids: sorted }
    );
}

// shows: LIB-16, STO-01
#[test]
fn members_beside_the_entries_survive_a_new_value() {
    let metadata = r#"{"n":12345678901234567890,"f":[1.50]}"#;
    for encrypted in ["{}", r#"{"abc":{"iv":1}}"#] {
        let (mut account, _) = new_keys(1);
        let json = format!(r#"{{"com.beeper.metadata":{metadata},"encrypted":{encrypted}}}"#);
        account.data.insert_json(name().as_str(), json).unwrap();
        let plan = store_token(&account, "new", &[0]).unwrap();
        let content = &puts(&plan)[0].content;
        assert_eq!(
            content.raw("com.beeper.metadata"),
            Some(metadata),
            "{encrypted}"
        );
        plan.apply_to(&mut account.data);
        assert_eq!(value(&account, 0).unwrap(), "new");
    }
}

// shows: STO-01, STO-11, SE-14
#[test]
fn other_and_damaged_account_data_is_not_overwritten() {
    for (json, error) in [
        (r#"{"theme":"dark"}"#, StoreError::NotASecret),
        (r#"{"encrypted":{"iv":"AAAA"}}"#, StoreError::NotASecret),
        ("[]", damaged("[]")),
        ("7", damaged("7")),
        (r#"{"encrypted":[]}"#, damaged(r#"{"encrypted":[]}"#)),
        (r#"{"encrypted":null}"#, damaged(r#"{"encrypted":null}"#)),
        (r#"{"a":1,"a":2}"#, damaged(r#"{"a":1,"a":2}"#)),
    ] {
        let (mut account, _) = new_keys(1);
        account.data.insert_json(name().as_str(), json).unwrap();
        assert_eq!(
            store_token(&account, "new", &[0]).unwrap_err(),
            error,
            "{json}"
        );
        let deleted = plan::delete(&account.storage(), &name()).unwrap_err();
        let not_a_secret = deleted == DeleteError::NotASecret;
        assert!(
            not_a_secret || matches!(deleted, DeleteError::Damaged(_)),
            "{json}"
        );
    }
}

fn damaged(json: &str) -> StoreError {
    match SecretState::from_json(json) {
        SecretState::Malformed(error) => StoreError::Damaged(error),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_deleted_in_any_way_is_written_again() {
    for json in ["{}", "null", r#"{"encrypted":{}}"#] {
        let (mut account, _) = new_keys(1);
        account.data.insert_json(name().as_str(), json).unwrap();
        let plan = store_token(&account, "new", &[0]).unwrap();
        assert!(plan.warnings.is_empty());
        plan.apply_to(&mut account.data);
        assert_eq!(value(&account, 0).unwrap(), "new", "{json}");
    }
}

// shows: STO-11
#[test]
fn reserved_names_name_no_secret() {
    for name in [
        "m.push_rules",
        "m.direct",
        "m.secret_storage.default_key",
        "m.tag",
    ] {
        assert_eq!(
            SecretName::new(name),
            Err(SecretNameError::Reserved),
            "{name}"
        );
    }
}

#[test]
fn a_secret_needs_a_key_and_a_size() {
    let (account, _) = new_keys(1);
    assert_eq!(
        store_token(&account, "x", &[]).unwrap_err(),
        StoreError::NoKey
    );
    let longest = "é".repeat(Secret::MAX_BYTES / 2);
    assert!(store_token(&account, &longest, &[0]).is_ok());
    let error = store_token(&account, &(longest + "x"), &[0]).unwrap_err();
    assert_eq!(error, StoreError::TooLarge);
    assert_eq!(error.to_string(), "the secret is larger than 65536 bytes");
}

// shows: KEY-01
#[test]
fn a_key_of_2019_is_not_written_with_by_accident() {
    let mut dice = Dice::new(6);
    let master = Identity::ALICE.master_key();
    let old = NewKey::random_2019("old", USER, &master, &mut dice).unwrap();
    let account = Account::with_keys(vec![old]);
    let error = store_token(&account, "x", &[0]).unwrap_err();
    assert_eq!(error, StoreError::Needs2019Profile);
}

// shows: STO-08
#[test]
fn standard_secrets_are_compared_and_written_in_one_form() {
    let (mut account, _) = new_keys(1);
    let (identity, published_keys) = (Identity::ALICE, Identity::ALICE.published_keys());
    let backup = SecretName::backup_key();
    for text in [
        base64::encode(identity.backup),
        base64::encode(identity.backup) + "=",
        format!(" {}\n", base64::encode(identity.backup)),
        identity.backup.map(|byte| byte.to_string()).join(","),
    ] {
        let plan = store(&account, &backup, &Secret::new(text), &[0], &published_keys).unwrap();
        let mut data = AccountData::default();
        std::mem::swap(&mut data, &mut account.data);
        plan.apply_to(&mut data);
        account.data = data;
        let opened = account.storage().open(&backup, account.key(0)).unwrap();
        let written = opened.secret.expose_secret();
        assert_eq!(written, base64::encode(identity.backup));
    }
    let swapped = Secret::new(base64::encode(identity.self_signing));
    for (name, wrong) in [
        (SecretName::master_key(), &swapped),
        (SecretName::user_signing_key(), &swapped),
        (backup, &swapped),
    ] {
        let error = store(&account, &name, wrong, &[0], &published_keys).unwrap_err();
        let StoreError::Value(SecretValueError::Mismatch { .. }) = error else {
            panic!("{error:?}");
        };
    }
    for text in ["", "not base64!", "AAAA", &"A".repeat(44)] {
        let name = SecretName::master_key();
        let error = store(
            &account,
            &name,
            &Secret::new(text),
            &[0],
            &PublishedKeys::default(),
        );
        assert!(matches!(error, Err(StoreError::Value(_))), "{text}");
    }
}

// Other clients show the private key of a backup in the form that keys of secret storage have too.
// shows: STO-08
#[test]
fn the_key_of_the_published_backup_may_be_given_as_a_recovery_key() {
    let (mut account, _) = new_keys(1);
    let (identity, published_keys) = (Identity::ALICE, Identity::ALICE.published_keys());
    let backup = SecretName::backup_key();
    let as_shown = |bytes| Secret::new(recovery_key::encode(bytes).to_string());
    let shown = as_shown(&identity.backup);
    let plan = store(&account, &backup, &shown, &[0], &published_keys).unwrap();
    plan.apply_to(&mut account.data);
    let opened = account.storage().open(&backup, account.key(0)).unwrap();
    let written = opened.secret.expose_secret();
    assert_eq!(written, base64::encode(identity.backup));

    let not_of_the_backup = as_shown(&identity.self_signing);
    let error = store(&account, &backup, &not_of_the_backup, &[0], &published_keys).unwrap_err();
    let StoreError::Value(SecretValueError::Mismatch { .. }) = error else {
        panic!("{error:?}");
    };
    // Nothing tells whether it is the key of secret storage; and the seeds are shown by nobody.
    for (name, text, published_keys) in [
        (backup, shown, PublishedKeys::default()),
        (
            SecretName::master_key(),
            as_shown(&identity.master),
            published_keys,
        ),
    ] {
        let error = store(&account, &name, &text, &[0], &published_keys).unwrap_err();
        let StoreError::Value(SecretValueError::Base64(_)) = error else {
            panic!("{error:?}");
        };
    }
}

#[test]
fn deleting_empties_the_event_and_says_so() {
    let (mut account, mut dice) = new_keys(1);
    let none = plan::delete(&account.storage(), &name()).unwrap_err();
    assert_eq!(none, DeleteError::NoSuchSecret);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    let plan = plan::delete(&account.storage(), &name()).unwrap();
    assert!(puts(&plan)[0].is_removal());
    assert_eq!(plan.warnings.len(), 1);
    plan.apply_to(&mut account.data);
    assert_eq!(account.data.raw(name().as_str()), Some("{}"));
    assert_eq!(value(&account, 0).unwrap_err(), OpenError::NoSuchSecret);
}

// shows: STO-01, STO-03
#[test]
fn one_more_key_changes_no_other_entry() {
    let (mut account, mut dice) = new_keys(2);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    let odd = r#"{"deep":{"a":[1e400]},"iv":1.50,"n":100000000000000000000001}"#;
    account.insert_entry(&name(), "odd", &Content::from_json(odd).unwrap());
    let before = Content::from_json(account.data.raw(name().as_str()).unwrap()).unwrap();
    let plan = add(&account, 0, 1, &mut dice).unwrap();
    assert!(plan.warnings.is_empty());
    let after = puts(&plan)[0].content.object("encrypted").unwrap().unwrap();
    let before = before.object("encrypted").unwrap().unwrap();
    for id in before.members() {
        assert_eq!(before.raw(id), after.raw(id), "{id}");
    }
    assert_eq!(after.raw("odd"), Some(odd));
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, 1).unwrap(), "x");
    let again = add(&account, 0, 1, &mut dice).unwrap();
    assert!(again.is_empty());
}

// shows: STO-03
#[test]
fn one_more_key_never_replaces_another_value() {
    let (mut account, mut dice) = new_keys(2);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    account.encrypt(&name(), &Secret::new("y"), 1, &mut dice);
    let error = add(&account, 0, 1, &mut dice);
    assert_eq!(error.unwrap_err(), AddKeyError::OtherValue);
}

#[test]
fn a_damaged_copy_is_replaced_when_its_key_is_added() {
    let (mut account, mut dice) = new_keys(2);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    let id = account.id(1).clone();
    account.insert_entry(&name(), id.as_str(), &Content::from_json("{}").unwrap());
    let plan = add(&account, 0, 1, &mut dice).unwrap();
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, 1).unwrap(), "x");
}

#[test]
fn what_anybody_could_have_written_is_carried_over_with_a_warning() {
    let mut dice = Dice::new(7);
    let master = Identity::ALICE.master_key();
    let keys = vec![
        NewKey::random_2019("m.default", USER, &master, &mut dice).unwrap(),
        NewKey::random(None, &mut dice),
    ];
    let mut account = Account::with_keys(keys);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    let plan = add(&account, 0, 1, &mut dice).unwrap();
    assert!(plan.warnings[0].contains("could have been written by anybody"));
}

#[test]
fn a_key_is_taken_away_only_when_another_one_opens_the_secret() {
    let (mut account, mut dice) = new_keys(3);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    account.encrypt(&name(), &Secret::new("x"), 1, &mut dice);
    let take = |account: &Account, id: usize, remaining: usize| {
        plan::take_key_away(
            &account.storage(),
            &name(),
            account.id(id),
            account.key(remaining),
            &PublishedKeys::default(),
        )
    };
    assert_eq!(
        take(&account, 0, 0).unwrap_err(),
        TakeKeyAwayError::LastCopy
    );
    let error = take(&account, 2, 0).unwrap_err();
    assert_eq!(error, TakeKeyAwayError::NotEncryptedUnderKey);
    assert!(matches!(
        take(&account, 0, 2),
        Err(TakeKeyAwayError::Open(_))
    ));
    let plan = take(&account, 0, 1).unwrap();
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, 1).unwrap(), "x");
    assert!(value(&account, 0).is_err());
    assert!(take(&account, 0, 1).is_err());
}

#[test]
fn a_secret_that_does_not_fit_its_published_key_is_neither_copied_nor_left_alone() {
    let (mut account, mut dice) = new_keys(3);
    let (identity, master) = (Identity::ALICE, SecretName::master_key());
    let (right, wrong) = (
        identity.secret(&master),
        identity.secret(&SecretName::backup_key()),
    );
    let published_keys = identity.published_keys();
    account.encrypt(&master, &right, 0, &mut dice);
    account.encrypt(&master, &wrong, 1, &mut dice);
    let mut add = |from: usize| {
        let (storage, to) = (account.storage(), account.keys[2].key());
        plan::add_key(
            &storage,
            &master,
            account.key(from),
            to,
            &published_keys,
            &mut dice,
        )
    };
    let error = add(1).unwrap_err();
    assert!(
        matches!(error, AddKeyError::Value(SecretValueError::Mismatch { .. })),
        "{error}"
    );
    assert!(add(0).is_ok());
    let take = |id: usize, remaining: usize| {
        let (id, remaining) = (account.id(id), account.key(remaining));
        plan::take_key_away(&account.storage(), &master, id, remaining, &published_keys)
    };
    let error = take(0, 1).unwrap_err();
    assert!(matches!(error, TakeKeyAwayError::Value(_)), "{error}");
    assert!(take(1, 0).is_ok());
}

// shows: KEY-02
#[test]
fn nothing_is_encrypted_under_a_key_that_account_data_does_not_describe() {
    let (mut account, mut dice) = new_keys(3);
    account.encrypt(&name(), &Secret::new("x"), 0, &mut dice);
    account.data.remove(&account.id(1).event_type());
    let none = plan::NotDescribed::NoDescription(KeyDescriptionError::Missing);
    assert_eq!(
        store_token(&account, "new", &[0, 1]).unwrap_err(),
        StoreError::NotDescribed(none)
    );
    assert_eq!(
        add(&account, 0, 1, &mut dice).unwrap_err(),
        AddKeyError::NotDescribed(none)
    );
    // Under its ID stands another key.
    let other = account.keys[2].description().content().clone();
    account.data.insert(account.id(1).event_type(), &other);
    let other = plan::NotDescribed::OtherKey;
    assert_eq!(
        store_token(&account, "new", &[0, 1]).unwrap_err(),
        StoreError::NotDescribed(other)
    );
    assert_eq!(
        add(&account, 0, 1, &mut dice).unwrap_err(),
        AddKeyError::NotDescribed(other)
    );
}

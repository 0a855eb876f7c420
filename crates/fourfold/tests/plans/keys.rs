//! Plans for keys.

use fourfold::plan::{RemoveKeyError, SetUpError};
use fourfold::{
    AccountData, Content, DefaultKey, KeyDescriptionError, KeyId, NewKey, Plan, PublishedKeys,
    Secret, SecretName, SecretStorage, SecretStorageKey, plan,
};

use crate::account::{Account, Identity, event_types};
use crate::dice::Dice;

fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

fn new_keys(count: usize) -> (Account, Dice) {
    let mut dice = Dice::new(3);
    let keys = (0..count)
        .map(|_| NewKey::random(None, &mut dice))
        .collect();
    (Account::with_keys(keys), dice)
}

fn remove(
    account: &Account,
    id: &KeyId,
    remaining: &[&SecretStorageKey],
) -> Result<Plan, RemoveKeyError> {
    plan::remove_key(&account.storage(), id, remaining, &PublishedKeys::default())
}

#[test]
fn the_first_key_is_described_before_it_is_the_default() {
    let new = NewKey::random(Some("mine"), &mut Dice::new(1));
    let mut data = AccountData::default();
    let plan = plan::set_up(&SecretStorage::new(&data), &new).unwrap();
    let id = new.key().id();
    assert_eq!(
        event_types(&plan),
        [&id.event_type(), DefaultKey::EVENT_TYPE]
    );
    plan.apply_to(&mut data);
    let storage = SecretStorage::new(&data);
    assert_eq!(storage.default_key(), DefaultKey::Key(id.clone()));
    assert_eq!(storage.key(id).unwrap().name().as_deref(), Some("mine"));
    let again = plan::set_up(&storage, &new);
    assert_eq!(again.unwrap_err(), SetUpError::AlreadySetUp);
}

// shows: STO-06
#[test]
fn nothing_is_set_up_over_what_a_key_may_still_open() {
    for (event_type, json) in [
        ("m.secret_storage.key.abc", "[]"),
        ("m.cross_signing.master", r#"{"encrypted":7}"#),
        ("org.example.token", r#"{"encrypted":{"abc":{}}}"#),
        ("org.example.token", r#"{"encrypted":{},"encrypted":{}}"#),
    ] {
        let plan = set_up_over(event_type, json);
        assert_eq!(
            plan.unwrap_err(),
            SetUpError::AlreadySetUp,
            "{event_type} {json}"
        );
    }
}

/// Other clients empty events when the user switches secret storage off. A machine that remembers
/// what was in them still refuses: that the server shows them empty is suspicious there.
#[test]
fn storage_that_was_switched_off_is_set_up_again() {
    for (event_type, json) in [
        ("m.secret_storage.default_key", "{}"),
        ("m.secret_storage.default_key", "null"),
        ("m.secret_storage.default_key", "7"),
        ("m.secret_storage.key.a/b+c==", "{}"),
        ("m.cross_signing.master", "{}"),
        ("m.cross_signing.master", "null"),
        ("m.megolm_backup.v1", r#"{"encrypted":{}}"#),
        ("org.example.token", r#"{"encrypted":{}}"#),
        ("m.direct", "{}"),
        ("m.push_rules", r#"{"global":{}}"#),
        ("org.example.list", "[]"),
        ("org.example.deleted", "{}"),
        ("org.example.other", r#"{"encrypted":{"iv":"AAAA"}}"#),
    ] {
        let plan = set_up_over(event_type, json);
        assert!(plan.is_ok(), "{event_type} {json}");
    }
}

fn set_up_over(event_type: &str, json: &str) -> Result<Plan, SetUpError> {
    let new = NewKey::random(None, &mut Dice::new(1));
    let mut data = AccountData::default();
    data.insert_json(event_type, json).unwrap();
    plan::set_up(&SecretStorage::new(&data), &new)
}

#[test]
fn another_key_leaves_the_default_alone() {
    let (mut account, mut dice) = new_keys(1);
    account.make_default(0);
    let new = NewKey::random(None, &mut dice);
    let plan = plan::create_key(&account.storage(), &new);
    assert_eq!(event_types(&plan), [&new.key().id().event_type()]);
    plan.apply_to(&mut account.data);
    assert_eq!(
        account.storage().default_key().key_id(),
        Some(account.id(0))
    );
    assert!(plan::create_key(&account.storage(), &new).is_empty());
}

#[test]
fn a_new_default_key_names_what_it_does_not_open() {
    let (mut account, mut dice) = new_keys(1);
    account.make_default(0);
    account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
    let new = NewKey::random(None, &mut dice);
    let plan = plan::create_default_key(&account.storage(), &new);
    let id = new.key().id();
    assert_eq!(
        event_types(&plan),
        [&id.event_type(), DefaultKey::EVENT_TYPE]
    );
    assert_eq!(
        plan.warnings,
        [format!("org.example.a is not encrypted under {id}")]
    );
    plan.apply_to(&mut account.data);
    assert!(
        account
            .storage()
            .open(&name("org.example.a"), account.key(0))
            .is_ok()
    );
}

#[test]
fn the_default_is_changed_to_a_described_key_only() {
    let (mut account, mut dice) = new_keys(2);
    account.make_default(0);
    account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
    account.encrypt(&name("org.example.b"), &Secret::new("b"), 1, &mut dice);
    let plan = plan::change_default(&account.storage(), account.keys[1].key()).unwrap();
    assert_eq!(event_types(&plan), [DefaultKey::EVENT_TYPE]);
    assert_eq!(plan.warnings.len(), 1);
    assert!(plan.warnings[0].starts_with("org.example.a "));
    plan.apply_to(&mut account.data);
    let again = plan::change_default(&account.storage(), account.keys[1].key()).unwrap();
    assert!(again.is_empty());

    account
        .data
        .insert(account.id(1).event_type(), &Content::default());
    let error = plan::change_default(&account.storage(), account.keys[1].key()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key has no usable description: the key was deleted"
    );
}

#[test]
fn the_default_key_is_not_removed() {
    let (mut account, _) = new_keys(2);
    account.make_default(0);
    let error = remove(&account, account.id(0), &account.all_keys());
    assert_eq!(error.unwrap_err(), RemoveKeyError::IsDefault);
}

#[test]
fn a_last_copy_is_never_removed() {
    let (mut account, mut dice) = new_keys(3);
    let (a, b) = (name("org.example.a"), name("org.example.b"));
    account.encrypt(&a, &Secret::new("a"), 0, &mut dice);
    account.encrypt(&b, &Secret::new("b"), 0, &mut dice);
    account.encrypt(&b, &Secret::new("b"), 1, &mut dice);
    let last = |names: &[&SecretName]| RemoveKeyError::LastCopy {
        names: names.iter().map(|name| (*name).clone()).collect(),
    };
    let remove = |account: &Account, remaining: &[usize]| {
        let keys: Vec<_> = remaining.iter().map(|index| account.key(*index)).collect();
        remove(account, account.id(0), &keys)
    };
    assert_eq!(remove(&account, &[]).unwrap_err(), last(&[&a, &b]));
    assert_eq!(remove(&account, &[0]).unwrap_err(), last(&[&a, &b]));
    assert_eq!(remove(&account, &[0, 1, 2]).unwrap_err(), last(&[&a]));
    assert_eq!(
        remove(&account, &[1]).unwrap_err().to_string(),
        "these secrets would become unreadable: org.example.a"
    );

    account.encrypt(&a, &Secret::new("a"), 1, &mut dice);
    let plan = remove(&account, &[1]).unwrap();
    assert_eq!(
        event_types(&plan),
        [a.as_str(), b.as_str(), &account.id(0).event_type()]
    );
    plan.apply_to(&mut account.data);
    assert_eq!(
        account.storage().key(account.id(0)).unwrap_err(),
        KeyDescriptionError::Deleted
    );
    assert_eq!(
        remove(&account, &[1]).unwrap_err(),
        RemoveKeyError::NoSuchKey
    );
}

#[test]
fn another_value_under_the_removed_key_is_a_last_copy() {
    let (mut account, mut dice) = new_keys(2);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("new"), 0, &mut dice);
    account.encrypt(&a, &Secret::new("old"), 1, &mut dice);
    let plan = remove(&account, account.id(0), &account.all_keys());
    assert_eq!(
        plan.unwrap_err(),
        RemoveKeyError::LastCopy { names: vec![a] }
    );
}

#[test]
fn a_wrong_or_damaged_copy_does_not_count() {
    let (mut account, mut dice) = new_keys(2);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("a"), 0, &mut dice);
    let id = account.id(1).clone();
    for entry in [
        "{}",
        r#"{"iv":"AAAAAAAAAAAAAAAAAAAAAA","ciphertext":"AA","mac":"AA"}"#,
    ] {
        account.insert_entry(&a, id.as_str(), &Content::from_json(entry).unwrap());
        let plan = remove(&account, account.id(0), &account.all_keys());
        assert!(
            matches!(plan, Err(RemoveKeyError::LastCopy { .. })),
            "{entry}"
        );
    }
}

#[test]
fn a_key_that_a_damaged_secret_mentions_is_kept() {
    let (mut account, mut dice) = new_keys(2);
    let id = account.id(0).clone();
    let json = format!(r#"{{"encrypted":{{"{id}":{{}}}},"encrypted":{{"{id}":{{}}}}}}"#);
    account
        .data
        .insert_json("org.example.twice", json.clone())
        .unwrap();
    let plan = remove(&account, &id, &account.all_keys());
    let names = vec![name("org.example.twice")];
    assert_eq!(plan.unwrap_err(), RemoveKeyError::LastCopy { names });

    let new = NewKey::random(None, &mut dice);
    let plan = plan::rotate(
        &account.storage(),
        account.key(0),
        plan::Destination::New(&new),
        &PublishedKeys::default(),
        &mut dice,
    )
    .unwrap();
    plan.apply_to(&mut account.data);
    assert!(account.storage().key(&id).is_ok());
    assert_eq!(account.data.raw("org.example.twice"), Some(json.as_str()));
    assert!(
        plan.warnings
            .contains(&"org.example.twice is damaged and is not changed".to_owned())
    );
}

#[test]
fn entries_of_a_key_without_description_can_be_removed() {
    let (mut account, mut dice) = new_keys(1);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("a"), 0, &mut dice);
    let entry = Content::from_json("{}").unwrap();
    account.insert_entry(&a, "gone", &entry);
    let gone = KeyId::new("gone").unwrap();
    let plan = remove(&account, &gone, &[account.key(0)]).unwrap();
    assert_eq!(event_types(&plan), [a.as_str()]);
}

#[test]
fn a_remaining_copy_that_does_not_fit_the_published_key_does_not_count() {
    let (mut account, mut dice) = new_keys(2);
    let (identity, master) = (Identity::ALICE, SecretName::master_key());
    let (right, wrong) = (
        identity.secret(&master),
        identity.secret(&SecretName::backup_key()),
    );
    let published_keys = identity.published_keys();
    let remove = |account: &Account, keys: &[&SecretStorageKey]| {
        plan::remove_key(&account.storage(), account.id(0), keys, &published_keys)
    };
    account.encrypt(&master, &right, 0, &mut dice);
    account.encrypt(&master, &wrong, 1, &mut dice);
    let names = vec![master.clone()];
    assert_eq!(
        remove(&account, &[account.key(1)]).unwrap_err(),
        RemoveKeyError::OnlyWrongCopies { names }
    );
    assert!(matches!(
        remove(&account, &account.all_keys()),
        Err(RemoveKeyError::LastCopy { .. })
    ));
    // Nothing is lost when both hold the same wrong value.
    account.encrypt(&master, &wrong, 0, &mut dice);
    let plan = remove(&account, &account.all_keys()).unwrap();
    assert!(
        plan.warnings[0].contains("is wrong under"),
        "{:?}",
        plan.warnings
    );
    account.encrypt(&master, &right, 1, &mut dice);
    let plan = remove(&account, &[account.key(1)]).unwrap();
    assert_eq!(plan.warnings.len(), 1);
}

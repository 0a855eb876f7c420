//! The plan for the standard secrets.

use fourfold::plan::{self, CompleteError, StoreError};
use fourfold::{
    Content, DefaultKey, NewKey, Plan, PublishedKeys, Secret, SecretName, SecretValueError, base64,
};

use crate::account::{Account, Identity, event_types};
use crate::dice::Dice;

fn names() -> [SecretName; 4] {
    [
        SecretName::master_key(),
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
        SecretName::backup_key(),
    ]
}

fn secrets() -> [(SecretName, Secret); 4] {
    names().map(|name| {
        let secret = Identity::ALICE.secret(&name);
        (name, secret)
    })
}

fn account() -> (Account, Dice) {
    let mut dice = Dice::new(11);
    let keys = vec![
        NewKey::random(None, &mut dice),
        NewKey::random(None, &mut dice),
    ];
    (Account::with_keys(keys), dice)
}

fn complete(account: &Account, published_keys: &PublishedKeys) -> Result<Plan, CompleteError> {
    let (key, rng) = (account.keys[0].key(), &mut Dice::new(12));
    plan::complete(&account.storage(), key, &secrets(), published_keys, rng)
}

// shows: STO-10
#[test]
fn stores_everything_once_and_the_default_key_last() {
    let (mut account, _) = account();
    let published_keys = Identity::ALICE.published_keys();
    let plan = complete(&account, &published_keys).unwrap();
    let mut expected: Vec<_> = names()
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect();
    expected.push("m.key_backup".to_owned());
    expected.push("m.secret_storage.default_key".to_owned());
    assert_eq!(event_types(&plan), expected);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    plan.apply_to(&mut account.data);
    for (name, secret) in secrets() {
        let opened = account.storage().open(&name, account.key(0)).unwrap();
        assert!(opened.secret.is_same(&secret), "{name}");
    }
    assert_eq!(
        account.data.raw("m.key_backup"),
        Some(r#"{"enabled":true}"#)
    );
    let id = account.id(0).clone();
    assert_eq!(account.storage().default_key(), DefaultKey::Key(id));
    assert!(complete(&account, &published_keys).unwrap().is_empty());
}

#[test]
fn goes_on_after_every_step() {
    let published_keys = Identity::ALICE.published_keys();
    let (account, _) = account();
    let steps = complete(&account, &published_keys).unwrap().steps.len();
    for done in 0..=steps {
        let (mut account, _) = self::account();
        let plan = complete(&account, &published_keys).unwrap();
        for put in plan.account_data().take(done) {
            account.data.insert(&put.event_type, &put.content);
        }
        let rest = complete(&account, &published_keys).unwrap();
        assert_eq!(rest.steps.len(), steps - done);
        rest.apply_to(&mut account.data);
        assert!(complete(&account, &published_keys).unwrap().is_empty());
    }
}

#[test]
fn another_default_key_and_what_is_said_about_backups_stay() {
    let (mut account, _) = account();
    let mut default = Content::default();
    default.insert("key", account.id(1));
    account
        .data
        .insert("m.secret_storage.default_key", &default);
    let mut wish = Content::default();
    wish.insert("enabled", &false);
    wish.insert("org.example.since", &7);
    account.data.insert("m.key_backup", &wish);
    let plan = complete(&account, &Identity::ALICE.published_keys()).unwrap();
    assert!(!event_types(&plan).contains(&"m.secret_storage.default_key"));
    assert!(!event_types(&plan).contains(&"m.key_backup"));
    // What is not an answer is replaced, and what stands beside it stays.
    wish.insert("enabled", "maybe");
    account.data.insert("m.key_backup", &wish);
    let plan = complete(&account, &Identity::ALICE.published_keys()).unwrap();
    plan.apply_to(&mut account.data);
    assert_eq!(
        account.data.raw("m.key_backup"),
        Some(r#"{"enabled":true,"org.example.since":7}"#)
    );
}

#[test]
fn without_the_key_of_a_backup_nothing_is_said_about_backups() {
    let (account, _) = account();
    let [master, ..] = secrets();
    let plan = plan::complete(
        &account.storage(),
        account.keys[0].key(),
        &[master],
        &PublishedKeys::default(),
        &mut Dice::new(12),
    );
    assert_eq!(
        event_types(&plan.unwrap()),
        ["m.cross_signing.master", "m.secret_storage.default_key"]
    );
}

#[test]
fn another_value_is_replaced_only_when_the_published_key_says_so() {
    let (mut account, mut dice) = account();
    let (name, other) = (
        SecretName::master_key(),
        Secret::new(base64::encode([9; 32])),
    );
    account.encrypt(&name, &other, 0, &mut dice);
    assert_eq!(
        complete(&account, &PublishedKeys::default()).unwrap_err(),
        CompleteError::OtherValue { name: name.clone() }
    );
    let plan = complete(&account, &Identity::ALICE.published_keys()).unwrap();
    assert!(plan.warnings[0].contains("is different"));
    plan.apply_to(&mut account.data);
    let opened = account.storage().open(&name, account.key(0)).unwrap();
    assert!(opened.secret.is_same(&Identity::ALICE.secret(&name)));
}

// shows: STO-08
#[test]
fn a_seed_of_another_identity_is_not_stored() {
    let (account, mut dice) = account();
    let (name, other) = (
        SecretName::master_key(),
        Secret::new(base64::encode([9; 32])),
    );
    let error = plan::complete(
        &account.storage(),
        account.keys[0].key(),
        &[(name.clone(), other)],
        &Identity::ALICE.published_keys(),
        &mut dice,
    );
    assert!(matches!(
        error.unwrap_err(),
        CompleteError::Store {
            error: StoreError::Value(SecretValueError::Mismatch { .. }),
            ..
        }
    ));
}

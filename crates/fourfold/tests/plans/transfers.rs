//! Rotation and migration, case by case.

use fourfold::plan::{Destination, TransferError};
use fourfold::{
    Algorithm, BackupVersion, Content, DefaultKey, KeyDescriptionError, KeyId, NewKey, OpenError,
    Plan, PublishedKeys, Secret, SecretName, SecretStorageKey, Verdict, base64, plan,
};

use crate::account::{Account, Identity, USER, event_types, puts};
use crate::dice::Dice;

fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

fn new_keys(count: usize) -> (Account, Dice) {
    let mut dice = Dice::new(9);
    let keys = (0..count)
        .map(|_| NewKey::random(None, &mut dice))
        .collect();
    (Account::with_keys(keys), dice)
}

/// An account of 2019 with its key `m.default`, and the key that it is migrated to.
fn account_2019() -> (Account, Dice) {
    let mut dice = Dice::new(10);
    let master = Identity::ALICE.master_key();
    let keys = vec![
        NewKey::random_2019("m.default", USER, &master, &mut dice).unwrap(),
        NewKey::random(None, &mut dice),
    ];
    let mut account = Account::with_keys(keys);
    let id = account.id(1).event_type();
    account.data.remove(&id);
    (account, dice)
}

fn migrate(account: &Account, published_keys: &PublishedKeys) -> Result<Plan, TransferError> {
    let destination = Destination::New(&account.keys[1]);
    let old = [account.key(0)];
    plan::migrate(
        &account.storage(),
        &old,
        destination,
        published_keys,
        &mut Dice::new(11),
    )
}

fn rotate(account: &Account, published_keys: &PublishedKeys) -> Result<Plan, TransferError> {
    let destination = Destination::Existing(account.keys[1].key());
    let old = account.key(0);
    plan::rotate(
        &account.storage(),
        old,
        destination,
        published_keys,
        &mut Dice::new(11),
    )
}

fn value(account: &Account, name: &SecretName, key: usize) -> Result<String, OpenError> {
    let opened = account.storage().open(name, account.key(key))?;
    Ok(opened.secret.expose_secret().to_owned())
}

// shows: STO-10
#[test]
fn rotation_goes_in_the_order_that_keeps_the_account_usable() {
    let (mut account, mut dice) = new_keys(1);
    account.make_default(0);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("a"), 0, &mut dice);
    let new = NewKey::random(None, &mut dice);
    let (storage, old) = (account.storage(), account.key(0));
    let plan = plan::rotate(
        &storage,
        old,
        Destination::New(&new),
        &PublishedKeys::default(),
        &mut dice,
    )
    .unwrap();
    assert_eq!(
        event_types(&plan),
        [
            new.key().id().event_type(),
            a.as_str().to_owned(),
            DefaultKey::EVENT_TYPE.to_owned(),
            a.as_str().to_owned(),
            old.id().event_type(),
        ]
    );
    assert!(
        plan.warnings
            .iter()
            .any(|said| said.contains("must be replaced too"))
    );
    assert!(puts(&plan)[4].is_removal());
}

#[test]
fn the_default_moves_only_if_the_old_key_was_it() {
    let published_keys = PublishedKeys::default();
    for (default, expected) in [(Some(0), 1), (Some(2), 2), (None, 1)] {
        let (mut account, _) = new_keys(3);
        if let Some(index) = default {
            account.make_default(index);
        }
        rotate(&account, &published_keys)
            .unwrap()
            .apply_to(&mut account.data);
        let id = account.id(expected).clone();
        assert_eq!(
            account.storage().default_key(),
            DefaultKey::Key(id),
            "{default:?}"
        );
    }
}

#[test]
fn secrets_of_every_name_are_rotated() {
    let (mut account, mut dice) = new_keys(2);
    let names = [
        "org.matrix.msc3814",
        "m.megolm_backup.v1.recovery_key",
        "🔑",
        "a/b",
    ];
    for text in names {
        account.encrypt(&name(text), &Secret::new(text), 0, &mut dice);
    }
    rotate(&account, &PublishedKeys::default())
        .unwrap()
        .apply_to(&mut account.data);
    for text in names {
        assert_eq!(value(&account, &name(text), 1).unwrap(), text);
    }
    assert_eq!(
        account.storage().key(account.id(0)).unwrap_err(),
        KeyDescriptionError::Deleted
    );
}

#[test]
fn a_wrong_old_key_moves_nothing_and_takes_no_default() {
    let (mut account, mut dice) = new_keys(2);
    account.make_default(0);
    account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
    let rotate_with = |account: &Account, bytes: [u8; 32]| {
        let id = account.id(0).clone();
        let key = SecretStorageKey::from_bytes(id, Algorithm::AesHmacSha2, bytes.into());
        let destination = Destination::Existing(account.keys[1].key());
        plan::rotate(
            &account.storage(),
            &key,
            destination,
            &PublishedKeys::default(),
            &mut Dice::new(1),
        )
    };
    let wrong = TransferError::WrongKey {
        id: account.id(0).clone(),
    };
    assert_eq!(rotate_with(&account, [7; 32]).unwrap_err(), wrong);

    // Nor when only the secret tells.
    let mut content = account.keys[0].description().content().clone();
    content.remove("iv");
    content.remove("mac");
    let event_type = account.id(0).event_type();
    account.data.insert(event_type, &content);
    assert_eq!(rotate_with(&account, [7; 32]).unwrap_err(), wrong);
    assert!(rotate(&account, &PublishedKeys::default()).is_ok());
}

#[test]
fn a_key_that_opens_its_secrets_is_rotated_whatever_its_description_says() {
    let (mut account, mut dice) = new_keys(2);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("a"), 0, &mut dice);
    let mut content = account.keys[0].description().content().clone();
    content.insert("mac", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let event_type = account.id(0).event_type();
    account.data.insert(event_type, &content);
    rotate(&account, &PublishedKeys::default())
        .unwrap()
        .apply_to(&mut account.data);
    assert_eq!(value(&account, &a, 1).unwrap(), "a");
}

#[test]
fn nothing_is_moved_to_a_key_that_is_not_described() {
    for json in [None, Some("{}"), Some("[]")] {
        let (mut account, mut dice) = new_keys(2);
        account.make_default(0);
        account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
        let event_type = account.id(1).event_type();
        account.data.remove(&event_type);
        if let Some(json) = json {
            account.data.insert_json(event_type, json).unwrap();
        }
        let error = rotate(&account, &PublishedKeys::default()).unwrap_err();
        assert!(matches!(error, TransferError::NotDescribed(_)), "{json:?}");
    }
}

#[test]
fn a_key_is_not_moved_to_itself_or_to_one_of_2019() {
    let (account, mut dice) = new_keys(1);
    let (storage, published_keys) = (account.storage(), PublishedKeys::default());
    let same = Destination::Existing(account.keys[0].key());
    let error = plan::rotate(&storage, account.key(0), same, &published_keys, &mut dice);
    assert_eq!(error.unwrap_err(), TransferError::SameKey);
    let none = plan::migrate(&storage, &[], same, &published_keys, &mut dice);
    assert_eq!(none.unwrap_err(), TransferError::SameKey);
    let master = Identity::ALICE.master_key();
    let old = NewKey::random_2019("m.default", USER, &master, &mut dice).unwrap();
    let to_2019 = Destination::New(&old);
    let error = plan::rotate(
        &storage,
        account.key(0),
        to_2019,
        &published_keys,
        &mut dice,
    );
    assert_eq!(error.unwrap_err(), TransferError::Needs2019Profile);
}

// shows: STO-04, SE-16
#[test]
fn copies_that_differ_are_left_for_the_user() {
    let (mut account, mut dice) = new_keys(2);
    account.make_default(0);
    let a = name("org.example.a");
    account.encrypt(&a, &Secret::new("one"), 0, &mut dice);
    account.encrypt(&a, &Secret::new("two"), 1, &mut dice);
    let plan = rotate(&account, &PublishedKeys::default()).unwrap();
    assert!(
        plan.warnings
            .iter()
            .any(|said| said.contains("it differs from another copy"))
    );
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, &a, 0).unwrap(), "one");
    assert_eq!(value(&account, &a, 1).unwrap(), "two");
    assert!(account.storage().key(account.id(0)).is_ok());
}

#[test]
fn two_texts_of_one_key_do_not_differ() {
    let (mut account, mut dice) = new_keys(2);
    let backup = SecretName::backup_key();
    let text = base64::encode(Identity::ALICE.backup);
    for (first, second) in [
        (text.clone() + "=", text.clone() + "="),
        (text.clone() + "=", text.clone()),
        (text.clone(), text.clone() + "="),
    ] {
        account.encrypt(&backup, &Secret::new(first), 0, &mut dice);
        account.encrypt(&backup, &Secret::new(second), 1, &mut dice);
        let plan = rotate(&account, &Identity::ALICE.published_keys()).unwrap();
        assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
        let mut data = account.data.clone();
        plan.apply_to(&mut data);
        assert_eq!(
            fourfold::SecretStorage::new(&data)
                .key(account.id(0))
                .unwrap_err(),
            KeyDescriptionError::Deleted
        );
    }
}

/// It opens the version that it belongs to, and is the user's.
#[test]
fn the_private_key_of_a_former_backup_moves_along() {
    let (mut account, mut dice) = new_keys(2);
    let backup = SecretName::backup_key();
    let former = Secret::new(base64::encode([9; 32]));
    account.encrypt(&backup, &former, 0, &mut dice);
    let plan = rotate(&account, &Identity::ALICE.published_keys()).unwrap();
    plan.apply_to(&mut account.data);
    let opened = account.storage().open(&backup, account.key(1)).unwrap();
    assert!(opened.secret.is_same(&former));
    assert!(account.storage().key(account.id(0)).is_err());
}

#[test]
fn a_new_default_names_what_it_does_not_open() {
    let (mut account, mut dice) = new_keys(3);
    account.make_default(0);
    account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
    account.encrypt(&name("org.example.b"), &Secret::new("b"), 2, &mut dice);
    let plan = rotate(&account, &PublishedKeys::default()).unwrap();
    let warning = format!("org.example.b is not encrypted under {}", account.id(1));
    assert!(plan.warnings.contains(&warning), "{:?}", plan.warnings);
    assert!(
        !plan
            .warnings
            .iter()
            .any(|said| said.starts_with("org.example.a "))
    );
}

#[test]
fn a_standard_secret_of_another_identity_is_left_and_named() {
    let (mut account, mut dice) = account_2019();
    let (master, backup) = (SecretName::master_key(), SecretName::backup_key());
    let other = Secret::new(base64::encode([99; 32]));
    account.encrypt(&master, &other, 0, &mut dice);
    account.encrypt(&backup, &Identity::ALICE.secret(&backup), 0, &mut dice);
    let plan = migrate(&account, &Identity::ALICE.published_keys()).unwrap();
    let id = account.id(0).clone();
    let left = format!("m.cross_signing.master under {id} is not changed: it belongs to the");
    assert!(
        plan.warnings.iter().any(|said| said.starts_with(&left)),
        "{:?}",
        plan.warnings
    );
    plan.apply_to(&mut account.data);
    assert_eq!(value(&account, &master, 0).unwrap(), other.expose_secret());
    assert!(value(&account, &master, 1).is_err());
    assert!(value(&account, &backup, 1).is_ok());
    assert!(account.storage().key(&id).is_ok());
}

#[test]
fn passthrough_is_resolved_with_and_without_its_wrapper() {
    for wrapped in [true, false] {
        let (mut account, _) = account_2019();
        let backup = SecretName::backup_key();
        let id = account.id(0).clone();
        let entry = format!(r#"{{"{id}":{{"passthrough":true}}}}"#);
        let json = if wrapped {
            format!(r#"{{"encrypted":{entry}}}"#)
        } else {
            entry
        };
        account.data.insert_json(backup.as_str(), json).unwrap();
        let expected = value(&account, &backup, 0).unwrap();
        let bytes = fourfold::recovery_key::decode(&account.key(0).expose_recovery_key()).unwrap();
        assert_eq!(expected, base64::encode(*bytes));

        // With no backup published, or another one, it is not this key.
        for published_keys in [PublishedKeys::default(), Identity::ALICE.published_keys()] {
            let plan = migrate(&account, &published_keys).unwrap();
            assert!(
                plan.warnings
                    .iter()
                    .any(|said| said.contains("is not changed"))
            );
            assert!(
                puts(&plan)
                    .iter()
                    .all(|put| put.event_type != backup.as_str())
            );
        }
        let plan = migrate(&account, &backup_with_key(&bytes)).unwrap();
        for stop in 1..=plan.steps.len() {
            let mut data = account.data.clone();
            for put in &puts(&plan)[..stop] {
                data.insert(&put.event_type, &put.content);
            }
            let storage = fourfold::SecretStorage::new(&data);
            let opened = storage
                .open(&backup, account.key(0))
                .or_else(|_| storage.open(&backup, account.key(1)));
            assert_eq!(opened.unwrap().secret.expose_secret(), expected, "{stop}");
        }
        plan.apply_to(&mut account.data);
        assert_eq!(value(&account, &backup, 1).unwrap(), expected);
    }
}

/// A published backup that has this private key.
fn backup_with_key(private_key: &[u8; 32]) -> PublishedKeys {
    let verdict = PublishedKeys::default().judge(
        &SecretName::backup_key(),
        &Secret::new(base64::encode(private_key)),
    );
    let Ok(Verdict::NothingToCompare { derived }) = verdict else {
        panic!("{verdict:?}");
    };
    let json = format!(
        r#"{{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","version":"1",
            "auth_data":{{"public_key":"{derived}"}}}}"#
    );
    PublishedKeys {
        identity: None,
        backup: Some(BackupVersion::from_json(&json).unwrap()),
    }
}

#[test]
fn passthrough_gives_the_key_away_under_no_other_name() {
    let (mut account, _) = account_2019();
    let id = account.id(0).clone();
    let entry = Content::from_json(r#"{"passthrough":true}"#).unwrap();
    for text in [
        "org.example.token",
        "m.cross_signing.master",
        "m.megolm_backup.v1.recovery_key",
    ] {
        account.insert_entry(&name(text), id.as_str(), &entry);
        let opened = value(&account, &name(text), 0);
        assert!(matches!(opened, Err(OpenError::Entry(_))), "{text}");
    }
}

#[test]
fn comma_separated_bytes_become_base64_on_the_way() {
    let (mut account, mut dice) = account_2019();
    let backup = SecretName::backup_key();
    let text = Identity::ALICE
        .backup
        .map(|byte| byte.to_string())
        .join(",");
    account.encrypt(&backup, &Secret::new(text), 0, &mut dice);
    migrate(&account, &Identity::ALICE.published_keys())
        .unwrap()
        .apply_to(&mut account.data);
    assert_eq!(
        value(&account, &backup, 1).unwrap(),
        base64::encode(Identity::ALICE.backup)
    );
}

#[test]
fn what_cannot_be_compared_is_migrated_with_a_warning() {
    let (mut account, mut dice) = account_2019();
    account.encrypt(&name("org.example.a"), &Secret::new("a"), 0, &mut dice);
    let backup = SecretName::backup_key();
    account.encrypt(&backup, &Identity::ALICE.secret(&backup), 0, &mut dice);
    let doubts = |published_keys: &PublishedKeys| {
        let plan = migrate(&account, published_keys).unwrap();
        let doubtful = plan
            .warnings
            .iter()
            .filter(|said| said.contains("anybody who knew"));
        doubtful.count()
    };
    assert_eq!(doubts(&PublishedKeys::default()), 2);
    assert_eq!(doubts(&Identity::ALICE.published_keys()), 1);
}

/// The key pair of matrix-js-sdk's own test of the conversion, in the spring of 2020.
#[test]
fn an_account_that_matrix_js_sdk_converted_is_migrated() {
    let bytes = base64::decode_array("XrmITOOdBhw6yY5Bh7trb/bgp1FRdIGyCUxxMP873R0=").unwrap();
    // The published backup has this key.
    let published_keys = backup_with_key(&bytes);
    let id = KeyId::new("old_key_id").unwrap();
    let key = SecretStorageKey::from_bytes(id, Algorithm::Curve25519AesSha2, bytes);
    let mut data = fourfold::AccountData::default();
    let description = r#"{"algorithm":"m.secret_storage.v1.curve25519-aes-sha2",
        "passphrase":{"algorithm":"m.pbkdf2","iterations":500000,
            "salt":"GbkvwKHVMveo1zGVSb2GMMdCinG2npJK"},
        "pubkey":"v3A8HTypbccUm6jaRCRw5l+7lSdzQUACeY9xpQ5BVmE"}"#;
    data.insert_json("m.secret_storage.key.old_key_id", description)
        .unwrap();
    let passthrough = r#"{"encrypted":{"old_key_id":{"passthrough":true}}}"#;
    data.insert_json("m.megolm_backup.v1", passthrough).unwrap();

    let new = NewKey::random(None, &mut Dice::new(1));
    let storage = fourfold::SecretStorage::new(&data);
    let destination = Destination::New(&new);
    let old = [&key];
    plan::migrate(
        &storage,
        &old,
        destination,
        &published_keys,
        &mut Dice::new(2),
    )
    .unwrap()
    .apply_to(&mut data);
    let storage = fourfold::SecretStorage::new(&data);
    let opened = storage
        .open(&SecretName::backup_key(), new.key().key())
        .unwrap();
    assert_eq!(
        opened.secret.expose_secret(),
        "XrmITOOdBhw6yY5Bh7trb/bgp1FRdIGyCUxxMP873R0"
    );
    assert_eq!(
        storage.default_key(),
        DefaultKey::Key(new.key().id().clone())
    );
}

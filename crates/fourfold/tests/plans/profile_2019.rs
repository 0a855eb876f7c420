//! The 2019 profile: `m.default`, signed descriptions, and storing in both MAC modes.

use fourfold::algorithm::curve25519_aes_sha2::MacMode;
use fourfold::plan::WritingKey;
use fourfold::signed_json::{SignatureError, SigningKey};
use fourfold::{
    Authenticity, Content, NewKey, Plan, PublishedKeys, Secret, SecretName, TrustError,
    TrustedPublicKey, plan,
};

use crate::account::{Account, Identity, USER, event_types};
use crate::dice::Dice;

fn key_2019(name: &str, master: &SigningKey, seed: u64) -> NewKey {
    NewKey::random_2019(name, USER, master, &mut Dice::new(seed)).unwrap()
}

fn create(account: &Account, new: &NewKey) -> Plan {
    let master = Identity::ALICE.master_key();
    plan::create_key_2019(&account.storage(), new, USER, &master).unwrap()
}

#[test]
fn a_new_default_takes_the_name_from_the_old_one_first() {
    let master = Identity::ALICE.master_key();
    let mut account = Account::with_keys(vec![
        key_2019("m.default", &master, 1),
        key_2019("other", &master, 2),
    ]);
    let new = key_2019("m.default", &master, 3);
    let plan = create(&account, &new);
    assert!(plan.warnings.is_empty());
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(
        event_types(&plan),
        [account.id(0).event_type(), new.key().id().event_type()]
    );
    plan.apply_to(&mut account.data);

    let storage = account.storage();
    let old = storage.key(account.id(0)).unwrap();
    assert_eq!(old.name(), None);
    old.verify_signature(USER, &master.public_key()).unwrap();
    assert!(TrustedPublicKey::from_signed_description(&old, USER, &master.public_key()).is_ok());
    let defaults = storage
        .keys()
        .filter(|key| key.name().as_deref() == Some("m.default"));
    assert_eq!(defaults.count(), 1);
    assert!(create(&account, &new).is_empty());
}

#[test]
fn a_key_of_another_name_leaves_the_default_alone() {
    let master = Identity::ALICE.master_key();
    let account = Account::with_keys(vec![key_2019("m.default", &master, 1)]);
    assert_eq!(
        create(&account, &key_2019("other", &master, 2)).steps.len(),
        1
    );
}

// shows: KEY-01
#[test]
fn a_planted_description_never_gets_a_signature() {
    let master = Identity::ALICE.master_key();
    let mallory = SigningKey::from_seed(&[66; 32].into());
    let unsigned = {
        let mut content = key_2019("m.default", &master, 4)
            .description()
            .content()
            .clone();
        content.remove("signatures");
        content
    };
    let changed = {
        let mut content = key_2019("m.default", &master, 5)
            .description()
            .content()
            .clone();
        content.insert("pubkey", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
        content
    };
    let other = key_2019("m.default", &mallory, 6)
        .description()
        .content()
        .clone();
    for planted in [unsigned, changed, other] {
        let mut account = Account::with_keys(Vec::new());
        account
            .data
            .insert("m.secret_storage.key.planted", &planted);
        let plan = create(&account, &key_2019("m.default", &master, 7));
        assert_eq!(plan.warnings.len(), 1);
        plan.apply_to(&mut account.data);
        let keys: Vec<_> = account.storage().keys().collect();
        let planted = keys
            .iter()
            .find(|key| key.id().as_str() == "planted")
            .unwrap();
        assert_eq!(planted.name(), None);
        assert_eq!(
            TrustedPublicKey::from_signed_description(planted, USER, &master.public_key())
                .unwrap_err(),
            TrustError::Signature(SignatureError::Missing)
        );
    }
}

// shows: LIB-20
#[test]
fn both_mac_modes_are_stored_and_opened() {
    let master = Identity::ALICE.master_key();
    let mut account = Account::with_keys(vec![key_2019("m.default", &master, 1)]);
    let recipient = TrustedPublicKey::from_signed_description(
        account.keys[0].description(),
        USER,
        &master.public_key(),
    )
    .unwrap();
    for mac_mode in [MacMode::Libolm, MacMode::Spec] {
        for (name, value) in [
            ("org.example.empty", ""),
            ("org.example.block", "sixteen bytes ..."),
            ("org.example.text", "sécret"),
        ] {
            let name = SecretName::new(name).unwrap();
            let keys = [WritingKey::Profile2019 {
                recipient: &recipient,
                mac_mode,
            }];
            let plan = plan::store(
                &account.storage(),
                &name,
                &Secret::new(value),
                &keys,
                &PublishedKeys::default(),
                &mut Dice::new(8),
            )
            .unwrap();
            plan.apply_to(&mut account.data);
            let opened = account.storage().open(&name, account.key(0)).unwrap();
            assert_eq!(opened.secret.expose_secret(), value);
            assert_eq!(opened.authenticity, Authenticity::Unauthenticated(mac_mode));
        }
    }
}

// shows: KEY-01
#[test]
fn a_description_is_trusted_for_one_user_one_key_and_one_algorithm() {
    let master = Identity::ALICE.master_key();
    let key = key_2019("m.default", &master, 1);
    let trust = |user, master: &SigningKey| {
        TrustedPublicKey::from_signed_description(key.description(), user, &master.public_key())
    };
    assert!(trust(USER, &master).is_ok());
    let missing = TrustError::Signature(SignatureError::Missing);
    assert_eq!(trust("@bob:example.org", &master).unwrap_err(), missing);
    let other = SigningKey::from_seed(&[9; 32].into());
    assert_eq!(trust(USER, &other).unwrap_err(), missing);

    let today = NewKey::random(None, &mut Dice::new(1));
    assert_eq!(
        TrustedPublicKey::from_proven_key(today.key()).unwrap_err(),
        TrustError::OtherAlgorithm
    );
}

// shows: LIB-25
#[test]
fn a_signed_key_of_low_order_is_not_encrypted_to() {
    let master = Identity::ALICE.master_key();
    let mut content = Content::default();
    content.insert("algorithm", "m.secret_storage.v1.curve25519-aes-sha2");
    content.insert("pubkey", &fourfold::base64::encode([0; 32]));
    let signed = Identity::ALICE.forger().sign(&content.to_json(), USER);
    let content = Content::from_json(&signed).unwrap();
    let id = fourfold::KeyId::new("low").unwrap();
    let description = fourfold::KeyDescription::new(id, content).unwrap();
    let recipient =
        TrustedPublicKey::from_signed_description(&description, USER, &master.public_key())
            .unwrap();
    let error = recipient
        .seal(&Secret::new("x"), MacMode::Libolm, &mut Dice::new(1))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entry's pubkey is a key of low order"
    );
}

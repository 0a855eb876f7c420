//! Which key a text is, and which error says that it is none.

use fourfold::passphrase::{Bounds, Budget, ParametersError, Passphrase, PassphraseParameters};
use fourfold::storage::{FoundKey, KeyText, UnlockError};
use fourfold::{
    AccountData, KeyId, KeyInputError, NewKey, SecretStorage, SecretStorageKey, recovery_key,
};

use crate::scripted_rng::Scripted;
use crate::{PASSPHRASE, described, rng};

const PARAMETERS: &str = r#"{"algorithm":"m.pbkdf2","salt":"saltsaltsalt","iterations":100000}"#;

fn find(data: &AccountData, text: KeyText<'_>) -> Result<FoundKey, UnlockError> {
    let storage = SecretStorage::new(data);
    let candidates = storage.candidates();
    storage.find_key(text, &candidates, &mut Bounds::DEFAULT.budget(), |_| {})
}

/// Describes a key of an algorithm that nobody knows.
fn put_unknown(data: &mut AccountData, id: &str, passphrase: &str) {
    put(data, id, "org.example.new", passphrase);
}

fn put(data: &mut AccountData, id: &str, algorithm: &str, passphrase: &str) {
    let json = format!(r#"{{"algorithm":"{algorithm}","passphrase":{passphrase}}}"#);
    let event_type = KeyId::new(id).unwrap().event_type();
    data.insert_json(event_type, json).unwrap();
}

fn unsupported(id: &str) -> UnlockError {
    let id = KeyId::new(id).unwrap();
    UnlockError::UnsupportedAlgorithm { id }
}

fn of_passphrase() -> NewKey {
    let parameters = PassphraseParameters::random_with_iterations(100_000, &mut rng()).unwrap();
    NewKey::from_passphrase(&Passphrase::new(PASSPHRASE), &parameters, None, &mut rng()).unwrap()
}

#[test]
fn a_key_of_an_unknown_algorithm_is_not_a_wrong_one() {
    let recovery_key = recovery_key::encode(&[7; 32]);
    let mut data = AccountData::default();
    assert_eq!(
        find(&data, KeyText::Either(&recovery_key)).unwrap_err(),
        UnlockError::NoKey
    );
    // Alone, whatever was typed: nothing is derived.
    put_unknown(&mut data, "new", PARAMETERS);
    for text in [&*recovery_key, "a passphrase"] {
        let error = find(&data, KeyText::Either(text)).unwrap_err();
        assert_eq!(error, unsupported("new"));
        assert_eq!(error.code(), "unlock_unsupported_algorithm");
    }
    // Chosen by its ID.
    let known = NewKey::random(None, &mut Scripted::new(&[1; 32]));
    let mut data = described(&[&known]);
    put_unknown(&mut data, "new", PARAMETERS);
    let storage = SecretStorage::new(&data);
    let chosen = storage.key(&KeyId::new("new").unwrap()).unwrap();
    let mut budget = Bounds::DEFAULT.budget();
    let derived = |_: &PassphraseParameters| panic!("something is derived");
    for text in [&*recovery_key, "a passphrase"] {
        let candidates = std::slice::from_ref(&chosen);
        let text = KeyText::Either(text);
        let error = storage.find_key(text, candidates, &mut budget, derived);
        assert_eq!(error.unwrap_err(), unsupported("new"));
    }
    // Beside a key that is tried: that one is found, and a text that is another key may be this one.
    let right = known.key().key().expose_recovery_key();
    assert!(find(&data, KeyText::Either(&right)).is_ok());
    let error = find(&data, KeyText::Either(&recovery_key)).unwrap_err();
    assert_eq!(error, unsupported("new"));
    let error = find(&data, KeyText::Passphrase("a passphrase")).unwrap_err();
    assert_eq!(error, unsupported("new"));
    // A typing error stays one.
    let typed = find(&data, KeyText::RecoveryKey("Es")).unwrap_err();
    assert!(matches!(typed, UnlockError::RecoveryKey(_)), "{typed}");
}

#[test]
fn nothing_is_spent_on_a_key_of_an_unknown_algorithm() {
    let known = of_passphrase();
    let mut data = described(&[&known]);
    let all = format!(r#""iterations":{}"#, Budget::TOTAL);
    put_unknown(
        &mut data,
        "new",
        &PARAMETERS.replace(r#""iterations":100000"#, &all),
    );
    let storage = SecretStorage::new(&data);
    let mut budget = Bounds::DEFAULT.budget();
    let mut derive = |id: &KeyId| {
        let description = storage.key(id).unwrap();
        let passphrase = Passphrase::new(PASSPHRASE);
        SecretStorageKey::from_passphrase(&description, &passphrase, &mut budget)
    };
    let error = derive(&KeyId::new("new").unwrap()).unwrap_err();
    assert_eq!(error, KeyInputError::UnsupportedAlgorithm);
    assert!(derive(known.key().id()).is_ok());
}

#[test]
fn a_passphrase_that_was_tried_is_wrong_whatever_another_key_says() {
    let new = of_passphrase();
    let id = new.key().id().clone();
    let mut data = described(&[&new]);
    // They come before and after the key that is right.
    let weak = PARAMETERS.replace("100000", "10");
    for other in ["!first", "zlast"] {
        put(&mut data, other, "m.secret_storage.v1.aes-hmac-sha2", &weak);
    }
    put_unknown(&mut data, "new", PARAMETERS);
    let found = find(&data, KeyText::Either(PASSPHRASE)).unwrap();
    assert_eq!(found.key.id(), &id);
    let error = find(&data, KeyText::Either("mistyped")).unwrap_err();
    let key_ids = vec![id.clone()];
    assert_eq!(error, UnlockError::WrongPassphrase { key_ids });
    // None could be tried: the first of them says why.
    data.insert_json(id.event_type(), "{}").unwrap();
    let error = find(&data, KeyText::Either(PASSPHRASE)).unwrap_err();
    let too_few = ParametersError::TooFewIterations {
        requested: 10,
        minimum: 100_000,
    };
    let id = KeyId::new("!first").unwrap();
    let error_of_first = KeyInputError::Parameters(too_few);
    assert_eq!(
        error,
        UnlockError::UnusablePassphrase {
            id,
            error: error_of_first
        }
    );
}

//! What becomes of what the user typed.

use fourfold::passphrase::{Bounds, Budget, ParametersError, Passphrase, PassphraseParameters};
use fourfold::{
    Content, KeyCheckOutcome, KeyDescription, KeyId, KeyInputError, NewKey, NotProvenReason,
    SecretStorage, SecretStorageKey, recovery_key,
};

use crate::scripted_rng::Scripted;
use crate::{PASSPHRASE, change, described, name, put_secret, rng, without_check_data};

/// The server asks for one iteration and takes the check data away, so that anything looks right
/// and the passphrase can be guessed from what is written next.
// shows: KEY-05, KEY-07, KEY-02, KD-01
#[test]
fn kdf_floor_is_enforced_on_read_and_write() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    for iterations in [1, 10, 99_999] {
        let mut data = described(&[&new]);
        without_check_data(&mut data, id);
        let weak = Content::from_json(&format!(
            r#"{{"algorithm":"m.pbkdf2","salt":"saltsaltsalt","iterations":{iterations}}}"#
        ))
        .unwrap();
        change(&mut data, id, |content| content.insert("passphrase", &weak));
        let storage = SecretStorage::new(&data);
        let description = storage.key(id).unwrap();
        let passphrase = Passphrase::new(PASSPHRASE);

        // Reading is refused.
        let derive = |bounds: Bounds| {
            SecretStorageKey::from_passphrase(&description, &passphrase, &mut bounds.budget())
        };
        let error = derive(Bounds::DEFAULT).unwrap_err();
        let too_few = ParametersError::TooFewIterations {
            requested: iterations,
            minimum: 100_000,
        };
        assert_eq!(error, KeyInputError::Parameters(too_few.clone()));
        assert_eq!(Bounds::default(), Bounds::DEFAULT);

        // When it is allowed, it is reading only, even where a stored secret proves the key.
        let key = derive(Bounds::allow_weak()).unwrap();
        let not_proven = storage.prove(key).unwrap_err();
        assert_eq!(not_proven.reason, NotProvenReason::WeakDerivation);

        // And no new key is made with what the server chose.
        let parameters = PassphraseParameters::from_content(&weak).unwrap();
        let made = NewKey::from_passphrase(&passphrase, &parameters, None, &mut rng());
        assert_eq!(made.unwrap_err(), too_few);
        let chosen = PassphraseParameters::random_with_iterations(iterations, &mut rng());
        assert_eq!(chosen.unwrap_err(), too_few);
    }
}

// shows: KEY-02, KEY-05, KEY-07
#[test]
fn a_weak_key_that_is_right_still_only_reads() {
    let weak = r#"{"algorithm":"m.pbkdf2","salt":"saltsaltsalt","iterations":2}"#;
    let mut content =
        Content::from_json(r#"{"algorithm":"m.secret_storage.v1.aes-hmac-sha2"}"#).unwrap();
    content.insert("passphrase", &Content::from_json(weak).unwrap());
    let description = KeyDescription::new(KeyId::new("weak").unwrap(), content).unwrap();
    let derive = || {
        let passphrase = Passphrase::new(PASSPHRASE);
        SecretStorageKey::from_passphrase(
            &description,
            &passphrase,
            &mut Bounds::allow_weak().budget(),
        )
        .unwrap()
    };
    // The same 32 bytes, with a description that verifies and a secret that opens.
    let bytes = recovery_key::decode(&derive().expose_recovery_key()).unwrap();
    let twin = NewKey::random(None, &mut Scripted::new(bytes.as_slice()));
    let mut data = described(&[&twin]);
    put_secret(&mut data, &name(), &twin, "value");
    let id = twin.key().id().clone();
    change(&mut data, &id, |content| {
        content.insert("passphrase", &Content::from_json(weak).unwrap());
    });
    let storage = SecretStorage::new(&data);
    let passphrase = Passphrase::new(PASSPHRASE);
    let described = storage.key(&id).unwrap();
    let key = SecretStorageKey::from_passphrase(
        &described,
        &passphrase,
        &mut Bounds::allow_weak().budget(),
    )
    .unwrap();
    assert_eq!(storage.check(&key), KeyCheckOutcome::Verified);
    assert_eq!(
        storage.open(&name(), &key).unwrap().secret.expose_secret(),
        "value"
    );
    let not_proven = storage.prove(key).unwrap_err();
    assert_eq!(not_proven.reason, NotProvenReason::WeakDerivation);
    // It comes back for reading.
    assert!(storage.open(&name(), &not_proven.key).is_ok());
}

// shows: KEY-05, KD-03
#[test]
fn too_many_iterations_are_refused_before_anything_is_derived() {
    for iterations in [
        "10000001",
        "4294967295",
        "4294967296",
        "99999999999999999999999",
    ] {
        let json = format!(
            r#"{{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","passphrase":
                {{"algorithm":"m.pbkdf2","salt":"saltsaltsalt","iterations":{iterations}}}}}"#
        );
        let content = Content::from_json(&json).unwrap();
        let description = KeyDescription::new(KeyId::new("slow").unwrap(), content).unwrap();
        let passphrase = Passphrase::new(PASSPHRASE);
        for bounds in [Bounds::DEFAULT, Bounds::allow_weak()] {
            // Deriving with any of these would take minutes.
            let error =
                SecretStorageKey::from_passphrase(&description, &passphrase, &mut bounds.budget())
                    .unwrap_err();
            let limit = 10_000_000;
            let expected = ParametersError::TooManyIterations { limit };
            assert_eq!(error, KeyInputError::Parameters(expected), "{iterations}");
        }
    }
}

/// A server that lists many keys makes a passphrase be tried on each of them.
// shows: KEY-05, LIB-22
#[test]
fn what_all_derivations_cost_together_is_bounded() {
    let of = |iterations: u32| {
        let json = format!(
            r#"{{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","passphrase":
                {{"algorithm":"m.pbkdf2","salt":"saltsaltsalt","iterations":{iterations}}}}}"#
        );
        KeyDescription::new(
            KeyId::new("key").unwrap(),
            Content::from_json(&json).unwrap(),
        )
        .unwrap()
    };
    let passphrase = Passphrase::new(PASSPHRASE);
    let mut budget = Bounds::allow_weak().budget();
    let mut derive =
        |iterations| SecretStorageKey::from_passphrase(&of(iterations), &passphrase, &mut budget);
    assert!(derive(1).is_ok());
    // Alone it would be fine. Deriving would take seconds.
    let requested = Budget::TOTAL;
    let over = KeyInputError::Parameters(ParametersError::OverBudget { requested });
    assert_eq!(derive(requested).unwrap_err(), over);
    // What still fits is tried.
    assert!(derive(2).is_ok());
}

// shows: KEY-05, LIB-19, KD-07
#[test]
fn an_unknown_derivation_is_named_and_its_name_stays_harmless() {
    let read = |algorithm: &str| {
        let json = format!(r#"{{{algorithm}"salt":"saltsaltsalt","iterations":500000}}"#);
        PassphraseParameters::from_content(&Content::from_json(&json).unwrap()).unwrap_err()
    };
    for name in ["m.pbkdf2 ", "M.PBKDF2", "m.argon2id"] {
        let error = read(&format!(r#""algorithm":"{name}","#));
        assert!(error.to_string().ends_with(&format!("{name:?}")), "{error}");
    }
    let odd = format!(r#""algorithm":"\u001b[2J\u202e{}","#, "x".repeat(10_000));
    let error = read(&odd).to_string();
    assert!(
        error.contains(r"\u{1b}[2J\u{202e}xxx") && error.len() < 200,
        "{error}"
    );
    for missing in ["", r#""algorithm":null,"#, r#""algorithm":["m.pbkdf2"],"#] {
        assert_eq!(read(missing), ParametersError::NoAlgorithm);
    }
}

/// A recovery key is decided by its own form, never by what the server offers.
// shows: KEY-04, KD-22
#[test]
fn a_recovery_key_is_never_taken_for_a_passphrase() {
    let new = NewKey::random(None, &mut rng());
    let id = new.key().id();
    let mut data = described(&[&new]);
    without_check_data(&mut data, id);
    let parameters = PassphraseParameters::random(&mut rng());
    change(&mut data, id, |content| {
        content.insert("passphrase", &parameters.to_content())
    });
    put_secret(&mut data, &name(), &new, "value");
    let storage = SecretStorage::new(&data);
    let text = new.key().key().expose_recovery_key();
    let description = storage.key(id).unwrap();
    let key = SecretStorageKey::from_recovery_key(&description, &text).unwrap();
    assert_eq!(
        storage.open(&name(), &key).unwrap().secret.expose_secret(),
        "value"
    );

    // One with a typing error is told from a passphrase, so that nobody derives from it.
    let mut typo = text.replacen(' ', "", 11);
    let last = if typo.pop() == Some('1') { '2' } else { '1' };
    typo.push(last);
    assert!(recovery_key::decode(&typo).is_err());
    assert!(recovery_key::is_probable(&typo));
    assert!(!recovery_key::is_probable(PASSPHRASE));
}

// shows: KEY-13
#[test]
fn passphrases_are_used_as_they_are_typed() {
    let parameters = PassphraseParameters::random_with_iterations(100_000, &mut rng()).unwrap();
    let key = |text: &str| {
        let passphrase = Passphrase::new(text);
        let new = NewKey::from_passphrase(&passphrase, &parameters, None, &mut rng()).unwrap();
        new.key().key().expose_recovery_key()
    };
    let texts = [
        "caf\u{e9}",
        "cafe\u{301}",
        "caf\u{e9} ",
        "caf\u{e9}\n",
        "Caf\u{e9}",
    ];
    let mut keys: Vec<_> = texts.iter().map(|text| key(text).to_string()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), texts.len());
}

// shows: KEY-10, KD-20
#[test]
fn every_substitution_in_a_recovery_key_fails_at_the_key_check() {
    let new = NewKey::random(None, &mut rng());
    let data = described(&[&new]);
    let storage = SecretStorage::new(&data);
    let description = storage.key(new.key().id()).unwrap();
    let text = new.key().key().expose_recovery_key().replace(' ', "");
    let alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut passed_parity = 0;
    for position in 0..text.len() {
        for other in alphabet
            .chars()
            .filter(|other| !text[position..].starts_with(*other))
        {
            let mut typo = text.clone();
            typo.replace_range(position..=position, &other.to_string());
            if let Ok(key) = SecretStorageKey::from_recovery_key(&description, &typo) {
                passed_parity += 1;
                assert_eq!(storage.check(&key), KeyCheckOutcome::Mismatch);
            }
        }
    }
    assert!(passed_parity < 40, "{passed_parity}");
}

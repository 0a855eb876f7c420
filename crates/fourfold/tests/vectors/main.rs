//! Runs the known answers in `vectors/`: one folder an operation, one file an answer.
#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test helpers that read the known answers"
)]

mod known_answer;
#[path = "../scripted_rng/mod.rs"]
mod scripted_rng;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use fourfold::algorithm::curve25519_aes_sha2::MacMode;
use fourfold::algorithm::{MemberProblem, OpenEntryError};
use fourfold::canonical_json::CanonicalJsonError;
use fourfold::passphrase::{Bounds, ParametersError, Passphrase};
use fourfold::qr_login::{Intent, QrCode, QrCodeError};
use fourfold::recovery_key::RecoveryKeyError;
use fourfold::secret_kind::KeyValue;
use fourfold::sharing::{SharingEvent, SharingEventError};
use fourfold::signed_json::{PublicKey, SignatureError, SigningKey};
use fourfold::{
    Algorithm, Content, ContentError, EncryptedSecret, EncryptedSecretError, KeyCheckError,
    KeyCheckOutcome, KeyDescription, KeyDescriptionError, KeyId, KeyInputError, NewKey, Quirk,
    Secret, SecretName, SecretNameError, SecretState, SecretStorageKey, SecretValueError,
    TrustedPublicKey, base64, canonical_json, recovery_key,
};
use fourfold_hostile::Forger;
use known_answer::{Found, Input, Vector};
use scripted_rng::Scripted;
use serde_json::{Value, json};

type Runner = fn(&Input) -> Found;

/// Every folder of `vectors/` and what runs it.
const RUNNERS: [(&str, Runner); 20] = [
    ("base64_decode", base64_decode),
    ("base64_encode", base64_encode),
    ("canonical_json", canonical),
    ("key_check", key_check),
    ("key_description", key_description),
    ("open_aes_hmac_sha2", open_aes_hmac_sha2),
    ("open_curve25519_aes_sha2", open_curve25519_aes_sha2),
    ("passphrase", passphrase),
    ("public_key", public_key),
    ("qr_login_code", qr_login_code),
    ("recovery_key_decode", recovery_key_decode),
    ("recovery_key_encode", recovery_key_encode),
    ("seal_aes_hmac_sha2", seal_aes_hmac_sha2),
    ("seal_curve25519_aes_sha2", seal_curve25519_aes_sha2),
    ("secret_entry_state", secret_entry_state),
    ("secret_value", secret_value),
    ("sharing_event", sharing_event),
    ("sign_json", sign_json),
    ("signed_key_description", signed_key_description),
    ("verify_json", verify_json),
];

/// Folders that are run beside the private function that they test, in `src/`.
const RUN_ELSEWHERE: [&str; 2] = ["derive_keys", "encode_string_as_bytes"];

#[test]
fn every_folder_has_a_runner_and_every_runner_a_folder() {
    let folders: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        folders,
        RUNNERS
            .map(|(name, _)| name)
            .into_iter()
            .chain(RUN_ELSEWHERE)
            .map(ToOwned::to_owned)
            .collect()
    );
}

// shows: LIB-01, LIB-02, LIB-03, LIB-04, LIB-05, LIB-06, LIB-07, LIB-08, LIB-09, LIB-15, KEY-01
// shows: KEY-03, KEY-05, KEY-10
#[test]
fn all_known_answers() {
    let mut wrong = Vec::new();
    for (operation, run) in RUNNERS {
        let mut files = 0;
        for file in fs::read_dir(folder().join(operation)).unwrap() {
            let path = file.unwrap().path();
            let vector: Vector = serde_json::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files += 1;
            if let Err(difference) = vector.compare(run) {
                wrong.push(format!("{}: {difference}", path.display()));
            }
        }
        assert!(files > 0, "{operation} has no known answers");
    }
    assert!(
        wrong.is_empty(),
        "{} known answers differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../vectors")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64_decode(input: &Input) -> Found {
    let decoded = base64::decode(&input.text("text")).map_err(base64_error)?;
    let trailing_bits = decoded.quirks.contains(&base64::Quirk::TrailingBits);
    Ok(json!({"hex": hex(&decoded.bytes), "trailing_bits": trailing_bits}))
}

fn base64_error(error: base64::DecodeError) -> &'static str {
    match error {
        base64::DecodeError::Alphabet => "alphabet",
        base64::DecodeError::Length => "length",
        base64::DecodeError::Padding => "padding",
        _ => "other",
    }
}

fn base64_encode(input: &Input) -> Found {
    Ok(json!({"text": base64::encode(input.bytes("hex"))}))
}

fn canonical(input: &Input) -> Found {
    let canonical = canonical_json::from_json(&input.text("json")).map_err(canonical_error)?;
    Ok(json!({"canonical": canonical}))
}

fn canonical_error(error: CanonicalJsonError) -> &'static str {
    match error {
        CanonicalJsonError::DuplicateMember => "duplicate_member",
        CanonicalJsonError::NotJson => "not_json",
        CanonicalJsonError::Number => "number",
        _ => "other",
    }
}

fn sign_json(input: &Input) -> Found {
    let seed = base64::decode_array(&input.text("seed")).unwrap();
    let (entity, key_id) = (input.text("entity"), input.text("key_id"));
    // The library signs only what it built, and verifies what anybody signed.
    let signed = Forger::from_seed(*seed).sign_as(&input.text("json"), &entity, &key_id);
    let object = Content::from_json(&signed).unwrap();
    SigningKey::from_seed(&seed)
        .public_key()
        .verify_as(&object, &entity, &key_id)
        .map_err(signature_error)?;
    let signatures = object.object("signatures").unwrap().unwrap();
    let signature: String = signatures
        .object(&entity)
        .unwrap()
        .unwrap()
        .get(&key_id)
        .unwrap()
        .unwrap();
    Ok(json!({"signature": signature}))
}

fn verify_json(input: &Input) -> Found {
    let object = match Content::from_json(&input.text("json")) {
        Err(ContentError::DuplicateMember) => return Err("duplicate_member"),
        object => object.unwrap(),
    };
    let public_key = input.text("public_key");
    let key_id = input
        .optional_text("key_id")
        .unwrap_or_else(|| format!("ed25519:{public_key}"));
    // A key of small order is refused before anything is verified with it.
    let Ok(key) = PublicKey::from_base64(&public_key) else {
        return Err("bad_signature");
    };
    key.verify_as(&object, &input.text("entity"), &key_id)
        .map_err(signature_error)?;
    Ok(json!({}))
}

fn signature_error(error: SignatureError) -> &'static str {
    match error {
        SignatureError::Bad => "bad_signature",
        SignatureError::Canonical(error) => canonical_error(error),
        SignatureError::Malformed => "malformed_signature",
        SignatureError::Missing => "missing_signature",
        _ => "other",
    }
}

fn recovery_key_encode(input: &Input) -> Found {
    Ok(json!({"recovery_key": *recovery_key::encode(&input.array("key_hex"))}))
}

fn recovery_key_decode(input: &Input) -> Found {
    match recovery_key::decode(&input.text("text")) {
        Ok(key) => Ok(json!({"key_hex": hex(&*key)})),
        Err(RecoveryKeyError::Alphabet {
            position,
            character,
        }) => Err(format!("alphabet {position} {character}").leak()),
        Err(RecoveryKeyError::Empty) => Err("empty"),
        Err(RecoveryKeyError::Length { .. }) => Err("length"),
        Err(RecoveryKeyError::Parity) => Err("parity"),
        Err(RecoveryKeyError::Prefix) => Err("prefix"),
        Err(_) => Err("other"),
    }
}

fn passphrase(input: &Input) -> Found {
    let mut content = Content::default();
    content.insert("algorithm", Algorithm::AesHmacSha2.name());
    content.insert("passphrase", &input.object("info"));
    let description = KeyDescription::new(KeyId::new("key").unwrap(), content).unwrap();
    let bounds = if input.flag("allow_weak") {
        Bounds::allow_weak()
    } else {
        Bounds::DEFAULT
    };
    let passphrase = Passphrase::new(input.text("passphrase"));
    match SecretStorageKey::from_passphrase(&description, &passphrase, &mut bounds.budget()) {
        Ok(key) => {
            let bytes = recovery_key::decode(&key.expose_recovery_key()).unwrap();
            Ok(json!({"key_hex": hex(&*bytes)}))
        }
        Err(KeyInputError::Parameters(error)) => Err(match error {
            ParametersError::Bits => "bits",
            ParametersError::IterationsMalformed => "iterations_malformed",
            ParametersError::Salt => "salt",
            ParametersError::TooFewIterations { .. } => "iterations_too_low",
            ParametersError::TooManyIterations { .. } => "iterations_too_high",
            ParametersError::NoAlgorithm | ParametersError::UnsupportedAlgorithm { .. } => {
                "unsupported_algorithm"
            }
            _ => "other",
        }),
        Err(_) => Err("other"),
    }
}

fn key_check(input: &Input) -> Found {
    let content = input.object("description");
    let description = KeyDescription::new(KeyId::new("key").unwrap(), content);
    // Without an algorithm there is nothing to check with either.
    let Ok(description) = description else {
        return Err("unsupported_algorithm");
    };
    let algorithm = description.algorithm().unwrap_or(Algorithm::AesHmacSha2);
    match description.check(&input.key(algorithm)) {
        Ok(check) => {
            let outcome = match check.outcome {
                KeyCheckOutcome::Verified => "verified",
                KeyCheckOutcome::Unverifiable => "unverifiable",
                KeyCheckOutcome::Mismatch => "mismatch",
            };
            let quirks: BTreeSet<_> = check.quirks.into_iter().collect();
            // Without the key everything can be seen but with which IV the MAC was made.
            let mut without_key = description.quirks();
            if without_key.contains(&Quirk::IvBit63Set) && !quirks.contains(&Quirk::IvBit63Set) {
                without_key.remove(&Quirk::IvBit63Set);
                without_key.extend(quirks.get(&Quirk::MacOverClearedIv));
            }
            if check.outcome != KeyCheckOutcome::Unverifiable {
                assert_eq!(without_key, quirks);
            }
            Ok(json!({"outcome": outcome, "quirks": quirks}))
        }
        Err(KeyCheckError::Corrupt { .. }) => Err("corrupt_key_check"),
        Err(KeyCheckError::UnsupportedAlgorithm) => Err("unsupported_algorithm"),
        Err(_) => Err("other"),
    }
}

fn key_description(input: &Input) -> Found {
    let content = Content::from_json(&input.text("json")).map_err(content_error)?;
    let text = content.to_json();
    match KeyDescription::new(KeyId::new("key").unwrap(), content) {
        Ok(description) => Ok(json!({
            "state": "described",
            "algorithm": match description.algorithm() {
                Some(Algorithm::AesHmacSha2) => "aes_hmac_sha2",
                Some(Algorithm::Curve25519AesSha2) => "curve25519_aes_sha2",
                None => "unsupported",
            },
            "name": description.name(),
            "has_passphrase": description.passphrase().is_some(),
            "round_trip": description.content().to_json() == text,
        })),
        Err(KeyDescriptionError::Deleted) => {
            Ok(json!({"state": "deleted", "round_trip": text == "{}"}))
        }
        Err(KeyDescriptionError::MissingAlgorithm) => Err("missing_algorithm"),
        Err(_) => Err("other"),
    }
}

fn content_error(error: ContentError) -> &'static str {
    match error {
        ContentError::DuplicateMember => "duplicate_member",
        ContentError::NotAnObject => "not_an_object",
        ContentError::NotJson => "not_json",
        _ => "other",
    }
}

fn open_aes_hmac_sha2(input: &Input) -> Found {
    let name = SecretName::new(input.text("name")).map_err(name_error)?;
    let key = input.key(Algorithm::AesHmacSha2);
    let (secret, _) = key
        .open(&name, &input.object("entry"))
        .map_err(entry_error)?;
    Ok(json!({"secret": secret.expose_secret()}))
}

fn name_error(error: SecretNameError) -> &'static str {
    match error {
        SecretNameError::Empty => "empty_name",
        SecretNameError::Unusable => "unusable_name",
        _ => "other",
    }
}

fn entry_error(error: OpenEntryError) -> &'static str {
    match error {
        OpenEntryError::AmbiguousCounter => "ambiguous_counter",
        OpenEntryError::Mac => "mac_mismatch",
        OpenEntryError::Malformed {
            problem: MemberProblem::LowOrder,
            ..
        } => "low_order_ephemeral",
        OpenEntryError::Malformed {
            problem: MemberProblem::Padding,
            ..
        } => "bad_padding",
        OpenEntryError::Malformed { .. } => "malformed_entry",
        OpenEntryError::NotText => "not_utf8",
        _ => "other",
    }
}

fn seal_aes_hmac_sha2(input: &Input) -> Found {
    let mut rng = Scripted::new(&input.bytes("key_hex"));
    let new = NewKey::random(None, &mut rng);
    let name = SecretName::new(input.text("name")).map_err(name_error)?;
    let secret = Secret::new(input.text("secret"));
    let mut rng = Scripted::new(&input.bytes("random_iv_hex"));
    let entry = new.key().seal(&name, &secret, &mut rng).unwrap();
    Ok(json!({"entry": value(&entry)}))
}

fn value(content: &Content) -> Value {
    serde_json::from_str(&content.to_json()).unwrap()
}

fn open_curve25519_aes_sha2(input: &Input) -> Found {
    let bytes = base64::decode_array(&input.text("private_key")).unwrap();
    let id = KeyId::new("key").unwrap();
    let key = SecretStorageKey::from_bytes(id, Algorithm::Curve25519AesSha2, bytes);
    let name = SecretName::new("any.name").unwrap();
    let (secret, authenticity) = key
        .open(&name, &input.object("entry"))
        .map_err(entry_error)?;
    let mac_mode = match authenticity {
        fourfold::Authenticity::Unauthenticated(MacMode::Spec) => "spec",
        fourfold::Authenticity::Unauthenticated(MacMode::Libolm) => "libolm",
        _ => "other",
    };
    Ok(json!({"secret": secret.expose_secret(), "mac_mode": mac_mode}))
}

fn seal_curve25519_aes_sha2(input: &Input) -> Found {
    let master = SigningKey::from_seed(&[1; 32].into());
    let mut content = Content::default();
    content.insert("algorithm", Algorithm::Curve25519AesSha2.name());
    content.insert("pubkey", &input.text("public_key"));
    let signed = Forger::from_seed([1; 32]).sign(&content.to_json(), "@a:b");
    let content = Content::from_json(&signed).unwrap();
    let description = KeyDescription::new(KeyId::new("key").unwrap(), content).unwrap();
    let recipient =
        TrustedPublicKey::from_signed_description(&description, "@a:b", &master.public_key())
            .unwrap();
    let mac_mode = match input.text("mac_mode").as_str() {
        "spec" => MacMode::Spec,
        _ => MacMode::Libolm,
    };
    let secret = Secret::new(input.text("secret"));
    let mut rng = Scripted::new(&input.bytes("random_ephemeral_hex"));
    let entry = recipient
        .seal(&secret, mac_mode, &mut rng)
        .map_err(entry_error)?;
    Ok(json!({"entry": value(&entry)}))
}

fn public_key(input: &Input) -> Found {
    let private = base64::decode_array(&input.text("private")).unwrap();
    let public = match input.text("kind").as_str() {
        "ed25519" => SigningKey::from_seed(&private).public_key().to_base64(),
        _ => {
            // The public half of a backup key, as it is compared with the current version.
            let secret = Secret::new(base64::encode(*private));
            match fourfold::PublishedKeys::default()
                .judge(&SecretName::backup_key(), &secret)
                .unwrap()
            {
                fourfold::Verdict::NothingToCompare { derived } => derived,
                other => panic!("{other:?}"),
            }
        }
    };
    Ok(json!({"public": public}))
}

fn qr_login_code(input: &Input) -> Found {
    let bytes = input.bytes("hex");
    let code = QrCode::from_bytes(&bytes).map_err(|error| match error {
        QrCodeError::BaseUrl => "base_url",
        QrCodeError::Intent(_) => "intent",
        QrCodeError::Prefix => "prefix",
        QrCodeError::PublicKey(_) => "public_key",
        QrCodeError::RendezvousId => "rendezvous_id",
        QrCodeError::TooLarge => "too_large",
        QrCodeError::TrailingBytes => "trailing_bytes",
        QrCodeError::Truncated => "truncated",
        QrCodeError::Type(_) => "type",
        _ => "other",
    })?;
    let prefix = match () {
        () if code.to_bytes() == bytes => "stable",
        () if code.to_unstable_bytes() == bytes => "unstable",
        () => "written otherwise",
    };
    let intent = match code.intent() {
        Intent::NewDevice => "new_device",
        Intent::ExistingDevice => "existing_device",
        _ => "other",
    };
    Ok(json!({
        "intent": intent,
        "public_key": code.public_key().to_base64(),
        "rendezvous_id": code.rendezvous_id(),
        "base_url": code.base_url(),
        "prefix": prefix,
    }))
}

fn secret_value(input: &Input) -> Found {
    let name = SecretName::new(input.text("name")).unwrap();
    match KeyValue::read(&name, &Secret::new(input.text("value"))) {
        Ok(value) => Ok(json!({
            "key_base64": base64::encode(*value.bytes),
            "quirk": value.quirk,
        })),
        Err(SecretValueError::Base64(base64::DecodeError::Size { .. })) => Err("wrong_length"),
        Err(_) => Err("not_base64"),
    }
}

fn secret_entry_state(input: &Input) -> Found {
    let state = SecretState::from_json(&input.text("json"));
    let keys: Vec<String> = match &state {
        SecretState::Encrypted(secret) => secret.key_ids().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let state = match state {
        SecretState::Absent => "absent",
        SecretState::Deleted => "deleted",
        SecretState::Emptied => "emptied",
        SecretState::Encrypted(secret) if secret.is_passthrough_without_encrypted() => {
            "passthrough_without_encrypted"
        }
        SecretState::Encrypted(_) => "encrypted",
        SecretState::NotASecret => "not_a_secret",
        SecretState::Null => "null",
        SecretState::Malformed(error) => {
            return Err(match error {
                EncryptedSecretError::Content(error) => content_error(error),
                EncryptedSecretError::Encrypted => "malformed_encrypted",
                EncryptedSecretError::TooManyEntries => "too_many_keys",
                _ => "other",
            });
        }
    };
    // The door for callers that want a secret or nothing agrees.
    let opens = EncryptedSecret::from_json(&input.text("json")).is_ok();
    assert_eq!(
        opens,
        matches!(state, "encrypted" | "passthrough_without_encrypted")
    );
    Ok(json!({"state": state, "keys": keys}))
}

fn signed_key_description(input: &Input) -> Found {
    let content = input.object("description");
    let description = KeyDescription::new(KeyId::new("key").unwrap(), content).unwrap();
    let master_key = PublicKey::from_base64(&input.text("master_key")).unwrap();
    description
        .verify_signature(&input.text("user_id"), &master_key)
        .map_err(signature_error)?;
    Ok(json!({}))
}

fn sharing_event(input: &Input) -> Found {
    let content = Secret::new(input.text("json"));
    let event = SharingEvent::read(&input.text("type"), &content).map_err(|error| match error {
        SharingEventError::Member(_) => "malformed_member",
        SharingEventError::NotAnObject => "not_an_object",
        SharingEventError::TooLarge => "too_large",
        SharingEventError::UnknownAction => "unknown_action",
        SharingEventError::UnknownType => "unknown_type",
        _ => "other",
    })?;
    Ok(match &event {
        SharingEvent::Request {
            name,
            device_id,
            request_id,
        } => json!({
            "action": "request",
            "name": name.as_str(),
            "device_id": device_id,
            "request_id": request_id.as_str(),
        }),
        SharingEvent::Cancellation {
            device_id,
            request_id,
        } => json!({
            "action": "request_cancellation",
            "device_id": device_id,
            "request_id": request_id.as_str(),
        }),
        SharingEvent::Send { request_id, secret } => json!({
            "action": "send",
            "request_id": request_id.as_str(),
            "secret": secret.expose_secret(),
        }),
        SharingEvent::Push { name, secret } => json!({
            "action": "push",
            "name": name.as_str(),
            "secret": secret.expose_secret(),
        }),
        _ => json!({"action": "other"}),
    })
}

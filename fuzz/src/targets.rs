//! The fuzz targets. A target fails by a panic.
//!
//! Two drivers share these functions: libFuzzer through fuzz_targets/, and the ordinary test
//! crates/fourfold/tests/fuzz_corpus.rs, which includes this file and replay.rs. A new target is a
//! function here, a file in fuzz_targets/ with its entry in Cargo.toml, a folder in corpus/, and a
//! line in the test.

use fourfold::health::{Evidence, OfferedKey, examine};
use fourfold::passphrase::Bounds;
use fourfold::qr_login::QrCode;
use fourfold::sharing::{RequestId, SharingEvent};
use fourfold::{
    Content, EncryptedSecret, KeyDescription, KeyId, Secret, SecretName, SecretStorageKey,
    Snapshot, base64, canonical_json as canonical, recovery_key as recovery,
};

/// The key 00 01 02 … 1f, under which the seeds of the corpus were encrypted.
const KEY: &str = "EsSz ykH7 LCZx 7Cae cmKD wcmY JRXi Ybtu 8iQ3 t8Ez nRwK pUY1";

/// The name under which the seeds of the corpus were encrypted.
const NAME: &str = "org.example.some.secret";

const ALGORITHMS: [&str; 2] = [
    "m.secret_storage.v1.aes-hmac-sha2",
    "m.secret_storage.v1.curve25519-aes-sha2",
];

/// What decodes is written in a form that decodes to the same bytes without a quirk.
pub fn base64(input: &[u8]) {
    if let Some(decoded) = text(input).and_then(|text| base64::decode(text).ok()) {
        let again = base64::decode(&base64::encode(&decoded.bytes));
        assert!(again.is_ok_and(|again| again.bytes == decoded.bytes && again.quirks.is_empty()));
    }
}

/// The canonical form is its own canonical form.
pub fn canonical_json(input: &[u8]) {
    if let Some(form) = text(input).and_then(|text| canonical::from_json(text).ok()) {
        assert!(canonical::from_json(&form).is_ok_and(|again| again == form));
    }
}

/// A secret's account data is read or refused, and so is each of its entries under both algorithms.
pub fn encrypted_secret(input: &[u8]) {
    let Some(secret) = text(input).and_then(|text| EncryptedSecret::from_json(text).ok()) else {
        return;
    };
    let Ok(name) = SecretName::new(NAME) else {
        return;
    };
    for id in secret.key_ids() {
        for algorithm in ALGORITHMS {
            let content = Content::from_json(&format!("{{\"algorithm\":\"{algorithm}\"}}"));
            let key = content
                .ok()
                .and_then(|content| KeyDescription::new(id.clone(), content).ok())
                .and_then(|description| {
                    SecretStorageKey::from_recovery_key(&description, KEY).ok()
                });
            if let (Some(key), Some(Ok(entry))) = (key, secret.entry(id)) {
                let _outcome = key.open(&name, entry);
            }
        }
    }
}

/// There is a report of every snapshot, and it is JSON.
pub fn health(input: &[u8]) {
    let Some(snapshot) = text(input).and_then(|text| Snapshot::from_json(text).ok()) else {
        return;
    };
    let mut evidence = Evidence::of(&snapshot);
    let mut budget = Bounds::DEFAULT.budget();
    let offered = OfferedKey::read(&snapshot, KEY.into(), &mut budget, |_| {});
    evidence.keys.push(offered);
    evidence.baseline = Some(&snapshot);
    let report = examine(&evidence);
    assert!(Content::from_json(&report.to_json()).is_ok());
}

/// A key description is read or refused, is written as it was read, and checks a key.
pub fn key_description(input: &[u8]) {
    let Some(content) = text(input).and_then(|text| Content::from_json(text).ok()) else {
        return;
    };
    let written = content.to_json();
    assert!(Content::from_json(&written).is_ok_and(|again| again.to_json() == written));
    let Ok(id) = KeyId::new("abcdefgh") else {
        return;
    };
    let Ok(description) = KeyDescription::new(id, content) else {
        return;
    };
    let _read = (description.name(), description.passphrase());
    if let Ok(key) = SecretStorageKey::from_recovery_key(&description, KEY) {
        let _outcome = description.check(&key);
    }
}

/// What is read is written as it was read, with the prefix that it had.
pub fn qr_login_code(input: &[u8]) {
    if let Ok(code) = QrCode::from_bytes(input) {
        assert!(code.to_bytes() == input || code.to_unstable_bytes() == input);
    }
}

/// What decodes is written as a recovery key of the same key.
pub fn recovery_key(input: &[u8]) {
    if let Some(key) = text(input).and_then(|text| recovery::decode(text).ok()) {
        assert!(recovery::decode(&recovery::encode(&key)).is_ok_and(|again| again == key));
    }
}

/// The secret of an event is what a plain JSON reader finds, and it is there whenever that reader
/// finds one.
pub fn sharing_event(input: &[u8]) {
    let Some(json) = text(input) else {
        return;
    };
    let event = Secret::new(json);
    for event_type in ["m.secret.request", "io.element.msc4385.secret.push"] {
        let _outcome = SharingEvent::read(event_type, &event);
    }
    let found = match SharingEvent::read("m.secret.send", &event) {
        Ok(SharingEvent::Send { request_id, secret }) => Some((request_id, secret)),
        _ => None,
    };
    assert!(found.is_none() || json.trim_start().starts_with('{'));
    // It refuses more, such as a duplicate unknown member.
    let Ok(content) = Content::from_json(json) else {
        return;
    };
    let member = |name| content.get::<String>(name).and_then(Result::ok);
    let request_id = member("request_id").and_then(|id| RequestId::new(id).ok());
    let secret = member("secret").filter(|one| (1..=Secret::MAX_BYTES).contains(&one.len()));
    match (found, request_id.zip(secret)) {
        (Some((id, secret)), Some((expected_id, expected))) => {
            assert!(id == expected_id && secret.expose_secret() == expected);
        }
        (found, expected) => assert!(found.is_none() && expected.is_none()),
    }
}

fn text(input: &[u8]) -> Option<&str> {
    str::from_utf8(input).ok()
}

//! What `Debug` and errors show of everything that holds or touches secrets: nothing of them.
#![expect(clippy::unwrap_used, reason = "test helpers")]

mod scripted_rng;

use fourfold::passphrase::{Bounds, Passphrase, PassphraseParameters};
use fourfold::plan::{self, Destination, WritingKey};
use fourfold::secret_kind::KeyValue;
use fourfold::signed_json::SigningKey;
use fourfold::{
    AccountData, Algorithm, Content, KeyDescription, KeyId, NewKey, PublishedKeys, Secret,
    SecretName, SecretStorage, SecretStorageKey, Snapshot, TrustedPublicKey, base64, recovery_key,
};
use insta::assert_snapshot;
use scripted_rng::Scripted;

/// The canary: 32 bytes that must not show in any form.
const BYTES: [u8; 32] = *b"\xc0\xff\xeecanary\xba\xbe canary\xfe\xed canary\xde\xad!!!";

fn key() -> SecretStorageKey {
    let id = KeyId::new("abc").unwrap();
    SecretStorageKey::from_bytes(id, Algorithm::AesHmacSha2, BYTES.into())
}

fn new_key() -> NewKey {
    NewKey::random(None, &mut Scripted::new(&BYTES))
}

/// The text of `Debug`, on one line and on many, after a search for the canary in every form.
fn shown(value: &impl std::fmt::Debug) -> String {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert_hidden(&text);
    }
    format!("{value:?}")
}

fn assert_hidden(text: &str) {
    let text = text.replace(char::is_whitespace, "");
    let base64 = base64::encode(BYTES);
    let hex: String = BYTES.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal: String = BYTES.map(|byte| format!("{byte},")).concat();
    let base58 = recovery_key::encode(&BYTES).replace(' ', "");
    for form in [base64.as_str(), &hex, &decimal, &base58, "canary", "s3cret"] {
        // Half of it is too much already.
        let part = form.get(..form.len().min(12)).unwrap();
        assert!(!text.contains(part), "{text} shows {part}");
    }
}

// shows: LIB-18
#[test]
fn secrets_and_keys_show_nothing() {
    assert_snapshot!(shown(&Secret::new("s3cret canary")), @"Secret(..)");
    assert_snapshot!(shown(&Passphrase::new("s3cret canary")), @"Passphrase(..)");
    assert_snapshot!(
        shown(&key()),
        @r#"SecretStorageKey { id: KeyId("abc"), algorithm: AesHmacSha2, .. }"#
    );
    assert_snapshot!(
        shown(&SigningKey::from_seed(&BYTES.into())),
        @r#"SigningKey { public_key: PublicKey("3KCr4fx7V95qstUOMVqQyntuIf4+w96OaxDJNcdJsqw"), .. }"#
    );
    let new = new_key();
    assert_snapshot!(shown(new.key()), @r#"ProvenKey(SecretStorageKey { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm: AesHmacSha2, .. })"#);
    assert_snapshot!(shown(&new), @r#"NewKey { key: ProvenKey(SecretStorageKey { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm: AesHmacSha2, .. }), description: KeyDescription { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm_name: "m.secret_storage.v1.aes-hmac-sha2", content: {"algorithm", "iv", "mac"} } }"#);
    assert_snapshot!(shown(&WritingKey::Proven(new.key())), @r#"Proven(ProvenKey(SecretStorageKey { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm: AesHmacSha2, .. }))"#);
    assert_snapshot!(shown(&Destination::New(&new)), @r#"New(NewKey { key: ProvenKey(SecretStorageKey { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm: AesHmacSha2, .. }), description: KeyDescription { id: KeyId("UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a"), algorithm_name: "m.secret_storage.v1.aes-hmac-sha2", content: {"algorithm", "iv", "mac"} } })"#);
}

#[test]
fn decoded_values_show_how_they_were_written_only() {
    let text = base64::encode(BYTES) + "=";
    assert_snapshot!(shown(&base64::decode(&text).unwrap()), @"Decoded { quirks: [Padded], .. }");
    let value = KeyValue::read(&SecretName::backup_key(), &Secret::new(text)).unwrap();
    assert_snapshot!(shown(&value), @"KeyValue { quirk: Some(PaddedBase64), .. }");
}

#[test]
fn public_halves_show_public_keys() {
    let master = SigningKey::from_seed(&BYTES.into());
    let key =
        NewKey::random_2019("m.default", "@a:b", &master, &mut Scripted::new(&BYTES)).unwrap();
    shown(&TrustedPublicKey::from_proven_key(key.key()).unwrap());
    assert_snapshot!(shown(key.description()), @r#"KeyDescription { id: KeyId("tOljaCvUdWjLirO0wCN787IaZ1VwqAVp"), algorithm_name: "m.secret_storage.v1.curve25519-aes-sha2", content: {"algorithm", "name", "pubkey", "signatures"} }"#);
    assert_snapshot!(shown(&master.public_key()), @r#"PublicKey("3KCr4fx7V95qstUOMVqQyntuIf4+w96OaxDJNcdJsqw")"#);
}

#[test]
fn stored_data_shows_names_only() {
    let new = new_key();
    let mut data = AccountData::default();
    plan::set_up(&SecretStorage::new(&data), &new)
        .unwrap()
        .apply_to(&mut data);
    let name = SecretName::new("org.example.token").unwrap();
    let plan = plan::store(
        &SecretStorage::new(&data),
        &name,
        &Secret::new("s3cret canary"),
        &[WritingKey::Proven(new.key())],
        &PublishedKeys::default(),
        &mut Scripted::new(&[]),
    )
    .unwrap();
    shown(&plan);
    assert_hidden(&serde_json::to_string(&plan).unwrap());
    plan.apply_to(&mut data);
    assert_snapshot!(shown(&data), @r#"{"m.secret_storage.default_key", "m.secret_storage.key.UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a", "org.example.token"}"#);
    let storage = SecretStorage::new(&data);
    let opened = storage.open(&name, new.key().key()).unwrap();
    assert_snapshot!(
        shown(&opened),
        @"OpenedSecret { secret: Secret(..), authenticity: Authenticated, quirks: {} }"
    );
    shown(&storage.secret(&name));
    let snapshot = Snapshot::new("@a:b", data, None, None).unwrap();
    assert_hidden(&snapshot.to_json());
    assert_snapshot!(shown(&snapshot), @r#"Snapshot { user_id: "@a:b", account_data: {"m.secret_storage.default_key", "m.secret_storage.key.UdWjLirO0wCN787IaZ1VwqAVpCrYoQ7a", "org.example.token"}, keys_query: None, backup_version: None, backup_versions: [], devices: None, device_id: None, server: None, taken_at: None, unavailable: {} }"#);
    let mut content = Content::default();
    content.insert("member", "s3cret canary");
    assert_snapshot!(shown(&content), @r#"{"member"}"#);
}

// shows: LIB-18
#[test]
fn errors_name_causes_and_no_values() {
    let not_proven = SecretStorage::new(&AccountData::default())
        .prove(key())
        .unwrap_err();
    assert_snapshot!(shown(&not_proven), @r#"NotProven { key: SecretStorageKey { id: KeyId("abc"), algorithm: AesHmacSha2, .. }, reason: NoDescription(Missing) }"#);
    assert_hidden(&not_proven.to_string());

    let text = recovery_key::encode(&BYTES);
    let typos = [
        text.replacen('E', "F", 1),
        text.get(..55).unwrap().to_owned(),
        text.get(..58).unwrap().to_owned() + "1",
        text.get(..58).unwrap().to_owned() + "0",
        "s3cret canary".to_owned(),
    ];
    for typo in typos {
        let error = recovery_key::decode(&typo).unwrap_err();
        shown(&error);
        assert_hidden(&error.to_string());
    }

    let value = base64::encode(BYTES);
    for wrong in [
        value.clone() + "!",
        value.clone() + "AAAA",
        value.get(..41).unwrap().to_owned(),
    ] {
        let secret = Secret::new(wrong);
        let error = PublishedKeys::default()
            .judge(&SecretName::master_key(), &secret)
            .unwrap_err();
        shown(&error);
        assert_hidden(&error.to_string());
    }
}

// shows: LIB-18
#[test]
fn a_key_from_a_passphrase_shows_neither() {
    let parameters = PassphraseParameters::random(&mut Scripted::new(&[]));
    let weak = r#"{"algorithm":"m.pbkdf2","iterations":1,"salt":"saltsaltsalt"}"#;
    let mut content = Content::default();
    content.insert("algorithm", Algorithm::AesHmacSha2.name());
    content.insert("passphrase", &Content::from_json(weak).unwrap());
    let description = KeyDescription::new(KeyId::new("abc").unwrap(), content).unwrap();
    let passphrase = Passphrase::new("s3cret canary");
    let error =
        SecretStorageKey::from_passphrase(&description, &passphrase, &mut Bounds::DEFAULT.budget());
    shown(&error.unwrap_err());
    let key = SecretStorageKey::from_passphrase(
        &description,
        &passphrase,
        &mut Bounds::allow_weak().budget(),
    );
    assert_snapshot!(shown(&key.unwrap()), @r#"SecretStorageKey { id: KeyId("abc"), algorithm: AesHmacSha2, .. }"#);
    assert_snapshot!(shown(&parameters), @r#"PassphraseParameters { iterations: 500000, salt: "tOljaCvUdWjLirO0wCN787IaZ1VwqAVp" }"#);
    shown(&passphrase.strength());
}

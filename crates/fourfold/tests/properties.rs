//! What holds for all input: round trips, and decoders that never panic.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use fourfold::algorithm::OpenEntryError;
use fourfold::algorithm::curve25519_aes_sha2::MacMode;
use fourfold::identity::Curve25519PublicKey;
use fourfold::passphrase::PassphraseParameters;
use fourfold::plan::{self, Destination, WritingKey};
use fourfold::qr_login::{Intent, QrCode};
use fourfold::secret_kind::KeyValue;
use fourfold::sharing::SharingEvent;
use fourfold::signed_json::{PublicKey, SigningKey};
use fourfold::{
    AccountData, Algorithm, Content, ContentError, EncryptedSecret, KeyDescription, KeyId, NewKey,
    OpenError, Plan, PublishedKeys, Secret, SecretName, SecretState, SecretStorage,
    SecretStorageKey, Snapshot, TrustedPublicKey, base64, canonical_json, recovery_key,
};
use proptest::prelude::*;

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// Names as people and programs choose them.
fn names() -> impl Strategy<Value = SecretName> {
    prop_oneof![
        "[a-z]{1,10}(\\.[a-z_]{1,10}){1,4}",
        "\\PC{1,40}",
        Just("__proto__".to_owned()),
        Just("a/b?c#d%2e".to_owned()),
        Just("e\u{301}\u{200d}🔑".to_owned()),
    ]
    .prop_filter_map("not a name", |name| SecretName::new(name).ok())
}

/// Secrets: nothing, text, control characters, and as long as they may be.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<String>(),
        4 => "\\PC{0,200}",
        2 => "[\\x00-\\x1f\\x7f\\u{feff}]{0,40}",
        1 => Just(String::new()),
        1 => (Secret::MAX_BYTES - 20..=Secret::MAX_BYTES).prop_map(|length| "x".repeat(length)),
    ]
}

/// JSON, most of it well formed.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[0-9]{1,25}(\\.[0-9]{1,5})?([eE][-+]?[0-9]{1,4})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"(\\\\u[0-9a-fA-F]{4}){1,3}\"",
    ];
    let member = prop_oneof![
        "[a-c]",
        Just("encrypted".to_owned()),
        Just("passthrough".to_owned()),
        Just("algorithm".to_owned()),
        Just("iv".to_owned()),
        any::<String>(),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec((member.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| {
                        format!("{}:{value}", serde_json::to_string(&name).unwrap())
                    })
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Anything that may come from a server.
fn input() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => json(),
        1 => any::<String>(),
        1 => "[\\[\\]{}\",:0-9a-z\\\\ ]{0,80}",
        1 => prop::collection::vec(any::<u8>(), 0..80)
            .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ]
}

fn key_2019() -> NewKey {
    let master = SigningKey::from_seed(&[1; 32].into());
    NewKey::random_2019("m.default", "@a:b", &master, &mut rng()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_sealed_opens_and_nowhere_else(name in names(), other in names(), text in secrets()) {
        let (new, stranger) = (NewKey::random(None, &mut rng()), NewKey::random(None, &mut rng()));
        let entry = new.key().seal(&name, &Secret::new(text.as_str()), &mut rng()).unwrap();
        let (opened, _) = new.key().key().open(&name, &entry).unwrap();
        prop_assert_eq!(opened.expose_secret(), &text);
        let by_stranger = stranger.key().key().open(&name, &entry);
        prop_assert_eq!(by_stranger.unwrap_err(), OpenEntryError::Mac);
        if other != name {
            let swapped = new.key().key().open(&other, &entry);
            prop_assert_eq!(swapped.unwrap_err(), OpenEntryError::Mac);
        }
    }

    #[test]
    fn what_is_sealed_with_the_2019_algorithm_opens(text in secrets(), spec in any::<bool>()) {
        let (new, stranger) = (key_2019(), key_2019());
        let mode = if spec { MacMode::Spec } else { MacMode::Libolm };
        let recipient = TrustedPublicKey::from_proven_key(new.key()).unwrap();
        let entry = recipient.seal(&Secret::new(text.as_str()), mode, &mut rng()).unwrap();
        let name = SecretName::master_key();
        let (opened, _) = new.key().key().open(&name, &entry).unwrap();
        prop_assert_eq!(opened.expose_secret(), &text);
        prop_assert!(stranger.key().key().open(&name, &entry).is_err());
    }

    #[test]
    fn what_is_stored_is_there(name in names(), text in secrets()) {
        let mut data = AccountData::default();
        let new = NewKey::random(None, &mut rng());
        plan::set_up(&SecretStorage::new(&data), &new).unwrap().apply_to(&mut data);
        let keys = [WritingKey::Proven(new.key())];
        let (secret, published_keys) = (Secret::new(text.as_str()), PublishedKeys::default());
        let storage = SecretStorage::new(&data);
        plan::store(&storage, &name, &secret, &keys, &published_keys, &mut rng())
            .unwrap()
            .apply_to(&mut data);
        // Over the wire and back.
        let data = AccountData::from_json(&data.to_json()).unwrap();
        let opened = SecretStorage::new(&data).open(&name, new.key().key()).unwrap();
        prop_assert!(opened.secret.is_same(&secret));
    }

    #[test]
    fn recovery_keys_round_trip(bytes in any::<[u8; 32]>(), space in "[ \t\r\n\u{a0}\u{2003}\u{200b}\u{feff}]{0,3}") {
        let text = recovery_key::encode(&bytes);
        prop_assert_eq!(text.len(), 59);
        prop_assert!(text.starts_with("Es"));
        prop_assert!(recovery_key::is_probable(&text));
        prop_assert_eq!(*recovery_key::decode(&text).unwrap(), bytes);
        let spaced = format!("{space}{}{space}", text.replace(' ', &space));
        prop_assert_eq!(*recovery_key::decode(&spaced).unwrap(), bytes);
    }

    // shows: LIB-01, LIB-04
    #[test]
    fn base64_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = base64::encode(&bytes);
        let decoded = base64::decode(&text).unwrap();
        prop_assert_eq!(&*decoded.bytes, &bytes);
        prop_assert!(decoded.quirks.is_empty());
        // Only what a strict decoder refuses too has trailing bits.
        for last in "AQgwBRhxCSiyDTjz0159+/".chars() {
            let mut changed = text.clone();
            if changed.pop().is_some() {
                changed.push(last);
                let decoded = base64::decode(&changed).unwrap();
                let is_canonical = base64::encode(&decoded.bytes) == changed;
                prop_assert_eq!(decoded.quirks.is_empty(), is_canonical, "{}", changed);
            }
        }
        let padded = text.clone() + ["", "", "==", "="][text.len() % 4];
        let decoded = base64::decode(&padded).unwrap();
        prop_assert_eq!(&*decoded.bytes, &bytes);
        prop_assert_eq!(decoded.quirks.len(), usize::from(padded.len() != text.len()));
    }

    #[test]
    fn keys_that_are_written_are_read(bytes in any::<[u8; 32]>()) {
        let id = KeyId::new("key").unwrap();
        let key = SecretStorageKey::from_bytes(id, Algorithm::AesHmacSha2, bytes.into());
        prop_assert_eq!(*recovery_key::decode(&key.expose_recovery_key()).unwrap(), bytes);
        let name = SecretName::backup_key();
        for text in [
            base64::encode(bytes),
            format!("\n{}=", base64::encode(bytes)),
            bytes.map(|byte| byte.to_string()).join(","),
        ] {
            let value = KeyValue::read(&name, &Secret::new(text)).unwrap();
            prop_assert_eq!(*value.bytes, bytes);
        }
    }

    #[test]
    fn qr_codes_round_trip_and_end_where_they_end(
        bytes in any::<[u8; 32]>(),
        is_new in any::<bool>(),
        id in "[0-9A-Za-z_~-]{1,255}",
        url in "https?://[a-zß-ü0-9.:-]{1,600}/?",
        more in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let intent = if is_new { Intent::NewDevice } else { Intent::ExistingDevice };
        let key = Curve25519PublicKey::from_bytes(bytes).unwrap();
        let code = QrCode::new(intent, key, id, url).unwrap();
        for bytes in [code.to_bytes(), code.to_unstable_bytes()] {
            let read = QrCode::from_bytes(&bytes).unwrap();
            prop_assert_eq!(&read, &code);
            prop_assert!(QrCode::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            prop_assert!(QrCode::from_bytes(&[bytes, more.clone()].concat()).is_err());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) })]

    // shows: LIB-15
    #[test]
    fn canonical_json_is_its_own_canonical_form(text in json()) {
        if let Ok(form) = canonical_json::from_json(&text) {
            prop_assert_eq!(canonical_json::from_json(&form).unwrap(), form.clone());
            let value: serde_json::Value = serde_json::from_str(&form).unwrap();
            prop_assert_eq!(serde_json::to_string(&value).unwrap(), form);
        }
    }

    // shows: LIB-17
    #[test]
    fn decoders_never_panic(text in input()) {
        let _ = recovery_key::decode(&text);
        let _ = recovery_key::is_probable(&text);
        let _ = base64::decode(&text);
        let _ = base64::decode_array::<32>(&text);
        let _ = canonical_json::from_json(&text);
        let _ = text.parse::<Plan>();
        let _ = Snapshot::from_json(&text);
        let _ = PublicKey::from_base64(&text);
        let _ = EncryptedSecret::from_json(&text);
        let _ = SecretState::from_json(&text);
        let _ = fourfold::BackupVersion::from_json(&text);
        let _ = fourfold::PublishedIdentity::from_keys_query("@a:b", &text);
        for event_type in ["m.secret.request", "m.secret.send", "m.secret.push"] {
            let _ = SharingEvent::read(event_type, &Secret::new(text.as_str()));
        }
        let _ = QrCode::from_bytes(text.as_bytes());
        let _ = QrCode::from_bytes(&[b"MATRIX\x03\x00", text.as_bytes()].concat());
        let _ = KeyValue::read(&SecretName::backup_key(), &Secret::new(text.as_str()));
        if let (Ok(name), Ok(id)) = (SecretName::new(text.as_str()), KeyId::new(text.as_str())) {
            let back = KeyId::from_event_type(&id.event_type());
            prop_assert_eq!(back.as_ref(), Some(&id));
            prop_assert_eq!(name.as_str(), &text);
        }
        if let Ok(data) = AccountData::from_json(&text) {
            prop_assert!(AccountData::from_json(&data.to_json()).is_ok());
        }
    }

    #[test]
    fn contents_survive_being_written(text in json()) {
        let Ok(content) = Content::from_json(&text) else {
            return Ok(());
        };
        let written = content.to_json();
        let again = Content::from_json(&written).unwrap();
        prop_assert_eq!(again.to_json(), written);
        prop_assert!(again.is_same(&content));
        for member in content.members() {
            prop_assert_eq!(content.raw(member), again.raw(member));
        }
    }

    /// Whatever the server puts anywhere, it is looked at, checked and planned over without a panic.
    // shows: LIB-17
    #[test]
    fn hostile_account_data_never_panics(
        description in input(),
        secret in input(),
        default in input(),
        entry in input(),
    ) {
        let new = NewKey::random(None, &mut rng());
        let id = KeyId::new("abc").unwrap();
        let bytes = recovery_key::decode(&new.key().key().expose_recovery_key()).unwrap();
        let mut data = AccountData::default();
        data.insert(new.key().id().event_type(), new.description().content());
        let entry = format!(r#"{{"encrypted":{{"abc":{entry}}}}}"#);
        for (event_type, json) in [
            (id.event_type(), description),
            ("m.cross_signing.master".to_owned(), secret),
            ("org.example.entry".to_owned(), entry),
            ("m.secret_storage.default_key".to_owned(), default),
        ] {
            let _ = data.insert_json(event_type, json);
        }
        let storage = SecretStorage::new(&data);
        let _ = (storage.default_key(), storage.is_untouched(), storage.keys().count());
        for algorithm in [Algorithm::AesHmacSha2, Algorithm::Curve25519AesSha2] {
            let key = SecretStorageKey::from_bytes(id.clone(), algorithm, bytes.clone());
            let _ = storage.check(&key);
            for (name, _) in storage.secrets() {
                let _ = storage.open(&name, &key);
            }
            let destination = Destination::Existing(new.key());
            let _ = plan::rotate(&storage, &key, destination, &PublishedKeys::default(), &mut rng());
            let _ = plan::remove_key(&storage, &id, &[&key], &PublishedKeys::default());
            let _ = storage.prove(key);
        }
        if let Ok(description) = storage.key(&id) {
            let _ = (description.name(), description.passphrase(), description.algorithm());
            let master = SigningKey::from_seed(&[1; 32].into()).public_key();
            let _ = description.verify_signature("@a:b", &master);
        }
    }

    // shows: LIB-17
    #[test]
    fn hostile_entries_never_panic(text in json()) {
        if let Ok(content) = Content::from_json(&text) {
            let name = SecretName::backup_key();
            let id = KeyId::new("abc").unwrap();
            for algorithm in [Algorithm::AesHmacSha2, Algorithm::Curve25519AesSha2] {
                let key = SecretStorageKey::from_bytes(id.clone(), algorithm, [7; 32].into());
                let _ = key.open(&name, &content);
            }
            let _ = PassphraseParameters::from_content(&content);
            let _ = KeyDescription::new(id, content);
        }
    }
}

// shows: LIB-17, LIB-22, SE-18
#[test]
fn deep_and_large_input_is_refused_without_harm() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 100_000;
        let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        assert!(Content::from_json(&deep).is_err());
        assert!(canonical_json::from_json(&deep).is_err());
        assert!(EncryptedSecret::from_json(&deep).is_err());
        let mut data = AccountData::default();
        // Kept as it came, and refused where it is looked at.
        data.insert_json("org.example.deep", deep.as_str()).unwrap();
        let name = SecretName::new("org.example.deep").unwrap();
        assert!(matches!(
            SecretStorage::new(&data).secret(&name),
            SecretState::Malformed(_)
        ));
    }
    assert!(recovery_key::decode(&"E".repeat(1_000_000)).is_err());
    assert!(base64::decode(&"é".repeat(1_000_000)).is_err());
    let many: Vec<_> = (0..100_000).map(|id| format!("\"{id}\":{{}}")).collect();
    let many = format!("{{\"encrypted\":{{{}}}}}", many.join(","));
    assert!(EncryptedSecret::from_json(&many).is_err());
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is quadratic takes minutes here"
)]
// shows: LIB-22
#[test]
fn an_account_full_of_foreign_entries_is_refused_in_bounded_time() {
    let mut data = AccountData::default();
    let id = KeyId::new("abc").unwrap();
    let entry = r#"{"iv":"AAAAAAAAAAAAAAAAAAAAAA","ciphertext":"AA","mac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    for number in 0..4_000 {
        let json = format!(r#"{{"encrypted":{{"abc":{entry}}}}}"#);
        data.insert_json(format!("org.example.{number}"), json)
            .unwrap();
    }
    let key = SecretStorageKey::from_bytes(id.clone(), Algorithm::AesHmacSha2, [7; 32].into());
    let new = NewKey::random(None, &mut rng());
    let started = std::time::Instant::now();
    let storage = SecretStorage::new(&data);
    let destination = Destination::New(&new);
    let error = plan::rotate(
        &storage,
        &key,
        destination,
        &PublishedKeys::default(),
        &mut rng(),
    );
    assert!(error.is_err());
    let keys = [&key, new.key().key()];
    assert!(plan::remove_key(&storage, &id, &keys, &PublishedKeys::default()).is_err());
    let name = SecretName::new("org.example.0").unwrap();
    assert_eq!(storage.open(&name, &key).unwrap_err(), OpenError::WrongKey);
    // Looking at every secret for every secret would take minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

// To read some of them would be to let the server choose which.
// shows: LIB-22
#[test]
fn more_events_than_are_read_are_refused_as_a_whole() {
    let events = |number: usize| {
        let events: Vec<_> = (0..number).map(|n| format!(r#""{n}":{{}}"#)).collect();
        format!("{{{}}}", events.join(","))
    };
    let most = AccountData::MAX_EVENTS;
    let mut data = AccountData::from_json(&events(most)).unwrap();
    let too_many = AccountData::from_json(&events(most + 1));
    assert_eq!(too_many.unwrap_err(), ContentError::TooManyEvents);
    assert_eq!(
        data.insert_json("one.more", "{}"),
        Err(ContentError::TooManyEvents)
    );
    data.insert_json("0", "{}").unwrap();
    assert_eq!(data.event_types().count(), most);
}

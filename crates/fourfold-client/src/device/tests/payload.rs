//! What is inside and outside an encrypted event, each wrong by itself.

use serde_json::{Value, json};

use super::*;

/// What the first would send to the second, to be changed.
fn honest(pair: &Pair) -> Value {
    json!({
        "type": "m.secret.send",
        "content": {"request_id": "1", "secret": "s"},
        "sender": USER,
        "recipient": USER,
        "recipient_keys": {"ed25519": pair.two.ed25519()},
        "keys": {"ed25519": pair.one.ed25519()},
        "sender_device_keys": device_keys(&pair.one),
    })
}

fn device_keys(device: &Device) -> Value {
    serde_json::from_str(&device.device_keys().to_json()).unwrap()
}

/// Encrypts a plaintext as it is, as a device could that does not play by the rules.
fn encrypt(pair: &mut Pair, plaintext: &str) -> Content {
    let to = peer(&pair.two);
    let mut sessions = Sessions::load(&pair.one.rows, &to).unwrap();
    let held = sessions.for_sending(pair.one.own.run()).unwrap();
    let message = held.session.encrypt(plaintext).unwrap();
    held.save(&mut pair.one.rows, &to).unwrap();
    let mut event = Content::default();
    event.insert("algorithm", "m.olm.v1.curve25519-aes-sha2");
    event.insert("sender_key", pair.one.curve25519());
    event.insert("ciphertext", &json!({pair.two.curve25519(): message}));
    event
}

fn outcome(pair: &mut Pair, payload: &Value) -> Result<(), OlmError> {
    let event = encrypt(pair, &payload.to_string());
    pair.receive(&event).map(|_| ())
}

/// A change of the honest payload.
fn changed(pair: &Pair, pointer: &str, value: Value) -> Value {
    let mut payload = honest(pair);
    *payload.pointer_mut(pointer).unwrap() = value;
    payload
}

#[test]
fn an_honest_payload_passes_with_and_without_device_keys() {
    let mut pair = Pair::connected();
    let mut payload = honest(&pair);
    assert_eq!(outcome(&mut pair, &payload), Ok(()));
    let keys = payload
        .as_object_mut()
        .unwrap()
        .remove("sender_device_keys")
        .unwrap();
    assert_eq!(outcome(&mut pair, &payload), Ok(()));
    payload["org.matrix.msc4147.device_keys"] = keys;
    assert_eq!(outcome(&mut pair, &payload), Ok(()));
}

// shows: SHR-03
#[test]
fn every_check_holds_by_itself() {
    let mut pair = Pair::connected();
    let other = json!("@mallory:example.org");
    let foreign_key = json!(pair.two.ed25519());
    let own_key = json!(pair.one.ed25519());
    for (pointer, value, expected) in [
        ("/sender", other.clone(), OlmError::Sender),
        ("/keys/ed25519", foreign_key, OlmError::SenderKey),
        ("/recipient", other, OlmError::Recipient),
        ("/recipient_keys/ed25519", own_key, OlmError::RecipientKey),
        ("/keys", json!({}), OlmError::Payload),
        ("/recipient_keys", json!({}), OlmError::Payload),
        ("/sender", json!(null), OlmError::Payload),
        ("/recipient", json!(7), OlmError::Payload),
        ("/type", json!(null), OlmError::Payload),
    ] {
        let payload = changed(&pair, pointer, value);
        assert_eq!(outcome(&mut pair, &payload), Err(expected), "{pointer}");
    }
}

// shows: SHR-03, OE-10
#[test]
fn every_check_of_the_device_keys_holds_by_itself() {
    let mut pair = Pair::connected();
    let resigned = |pair: &Pair, change: fn(&mut Value, &Pair)| {
        let mut keys = device_keys(&pair.one);
        change(&mut keys, pair);
        let mut content = Content::from_json(&keys.to_string()).unwrap();
        forge_by(&pair.one, &mut content);
        serde_json::from_str::<Value>(&content.to_json()).unwrap()
    };
    type Change = fn(&mut Value, &Pair);
    let cases: [(Change, OlmError); 5] = [
        (
            |keys, _| keys["user_id"] = json!("@mallory:example.org"),
            OlmError::DeviceKeysUser,
        ),
        (
            |keys, pair| keys["keys"]["curve25519:ONE"] = json!(pair.two.curve25519()),
            OlmError::DeviceKeysCurve25519,
        ),
        (
            |keys, pair| keys["keys"]["ed25519:ONE"] = json!(pair.two.ed25519()),
            OlmError::DeviceKeysEd25519,
        ),
        (
            |keys, _| {
                let listed = keys["keys"].clone();
                keys["device_id"] = json!("OTHER");
                keys["keys"] = json!({
                    "curve25519:OTHER": listed["curve25519:ONE"],
                    "ed25519:OTHER": listed["ed25519:ONE"],
                });
            },
            OlmError::DeviceKeysDevice,
        ),
        (
            |keys, _| {
                keys.as_object_mut().unwrap().remove("device_id");
            },
            OlmError::DeviceKeysSignature,
        ),
    ];
    for member in ["sender_device_keys", "org.matrix.msc4147.device_keys"] {
        for (change, expected) in cases {
            let mut payload = honest(&pair);
            payload
                .as_object_mut()
                .unwrap()
                .remove("sender_device_keys");
            payload[member] = resigned(&pair, change);
            assert_eq!(outcome(&mut pair, &payload), Err(expected), "{member}");
        }
        // The right keys, and a signature over something else.
        let mut keys = device_keys(&pair.one);
        keys["algorithms"] = json!([]);
        let mut payload = honest(&pair);
        payload[member] = keys;
        let expected = OlmError::DeviceKeysSignature;
        assert_eq!(outcome(&mut pair, &payload), Err(expected), "{member}");
    }
}

#[test]
fn what_fails_the_checks_is_not_tried_again() {
    let mut pair = Pair::connected();
    let payload = changed(&pair, "/recipient", json!("@mallory:example.org"));
    let event = encrypt(&mut pair, &payload.to_string());
    assert_eq!(pair.receive(&event).err(), Some(OlmError::Recipient));
    assert_eq!(pair.receive(&event).err(), Some(OlmError::Decryption));
}

#[test]
fn whatever_is_inside_does_no_harm() {
    let mut pair = Pair::connected();
    for plaintext in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "\u{0}",
        r#"{"type":"a","type":"b"}"#,
    ] {
        let event = encrypt(&mut pair, plaintext);
        assert_eq!(pair.receive(&event).err(), Some(OlmError::Payload));
    }
}

#[test]
fn the_outside_is_checked_before_anything_is_spent_on_it() {
    let mut pair = Pair::connected();
    let event = pair.send("m.secret.send", "{}");
    let value: Value = serde_json::from_str(&event.to_json()).unwrap();
    let with = |pointer: &str, new: Value| {
        let mut event = value.clone();
        *event.pointer_mut(pointer).unwrap() = new;
        event.to_string()
    };
    let megolm = json!({
        "algorithm": "m.megolm.v1.aes-sha2",
        "sender_key": pair.one.curve25519(),
        "ciphertext": "AwgA",
        "session_id": "x",
        "device_id": "ONE",
    });
    let two = pair.two.curve25519().to_owned();
    let message = value["ciphertext"][&two].clone();
    let mut odd_type = message.clone();
    odd_type["type"] = json!(2);
    for (event, expected) in [
        (megolm.to_string(), OlmError::NotOlm),
        (with("/algorithm", json!("m.olm.v2")), OlmError::NotOlm),
        (with("/sender_key", json!(two)), OlmError::UnknownSender),
        (with("/sender_key", json!("AAAA")), OlmError::Malformed),
        (with("/ciphertext", json!({})), OlmError::NotForUs),
        (
            with("/ciphertext", json!({pair.one.curve25519(): message})),
            OlmError::NotForUs,
        ),
        (
            with("/ciphertext", json!({&two: odd_type})),
            OlmError::Malformed,
        ),
        (
            with("/ciphertext", json!({&two: {"type": 1, "body": "!"}})),
            OlmError::Malformed,
        ),
        (
            with("/ciphertext", json!({&two: {"type": 0, "body": ""}})),
            OlmError::Malformed,
        ),
        (with("/ciphertext", json!("text")), OlmError::Malformed),
        ("7".to_owned(), OlmError::Malformed),
        ("{}".to_owned(), OlmError::Malformed),
    ] {
        let error = receive_at(&mut pair.two, &pair.one, &event, HOUR).err();
        assert_eq!(error, Some(expected), "{event}");
    }
    let from = peer(&pair.one);
    let known = |_: &Curve25519PublicKey| vec![from.clone()];
    let (two, mallory) = (&mut pair.two, "@mallory:example.org");
    let other = two
        .own
        .decrypt(&mut two.rows, mallory, &event.to_json(), known, HOUR)
        .unwrap();
    assert_eq!(other.err(), Some(OlmError::UnknownSender));
    // It is still good.
    pair.receive(&event).unwrap();
}

// shows: SHR-02
#[test]
fn the_key_outside_must_be_that_of_the_session() {
    // A message of the first, said to come from a third device of the same user.
    let mut pair = Pair::connected();
    let mut third = Machine::named("https://h", "THREE");
    let third = Device::create(&mut third.state, &key(3)).unwrap();
    let mut event = pair.send("m.secret.send", "{}");
    event.insert("sender_key", third.curve25519());
    let error = receive(&mut pair.two, &third, &event).err();
    assert_eq!(error, Some(OlmError::Decryption));
}

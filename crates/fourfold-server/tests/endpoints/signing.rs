//! Devices and people that sign: keys made from a number, and the objects that they publish.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use ruma::canonical_json::CanonicalJsonValue;
use serde_json::{Value, json};

use crate::under_test::Person;

/// A key pair made from a number.
pub(crate) struct Key(SigningKey);

impl Key {
    pub(crate) fn new(seed: u8) -> Self {
        Self(SigningKey::from_bytes(&[seed; 32]))
    }

    /// The public key in unpadded base64.
    pub(crate) fn public(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.verifying_key().as_bytes())
    }

    /// What looks like a Curve25519 key and belongs to this one.
    pub(crate) fn curve25519(&self) -> String {
        STANDARD_NO_PAD.encode(self.0.verifying_key().as_bytes().map(|byte| !byte))
    }

    /// The ID of a cross-signing key.
    pub(crate) fn id(&self) -> String {
        format!("ed25519:{}", self.public())
    }

    /// Adds a signature of `user` under `id`.
    pub(crate) fn sign(&self, object: &mut Value, user: &str, id: &str) {
        let signatures = object.as_object_mut().unwrap().remove("signatures");
        let text = CanonicalJsonValue::try_from(object.clone()).unwrap();
        let signature = self.0.sign(text.to_string().as_bytes());
        object["signatures"] = signatures.unwrap_or_else(|| json!({}));
        object["signatures"][user][id] = json!(STANDARD_NO_PAD.encode(signature.to_bytes()));
    }
}

/// 32 bytes in base64: what a Curve25519 key looks like.
pub(crate) fn curve25519(seed: u8) -> String {
    STANDARD_NO_PAD.encode([seed; 32])
}

/// The keys of a person's device, signed by the device.
pub(crate) fn device_keys(person: &Person, key: &Key) -> Value {
    let device = &person.device;
    let mut keys = json!({
        "user_id": person.user,
        "device_id": device,
        "algorithms": ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
        "keys": {},
    });
    keys["keys"][format!("ed25519:{device}")] = json!(key.public());
    keys["keys"][format!("curve25519:{device}")] = json!(key.curve25519());
    key.sign(&mut keys, &person.user, &format!("ed25519:{device}"));
    keys
}

/// Signed one-time keys with the IDs `AAAA00`, `AAAA01`, ….
pub(crate) fn one_time_keys(person: &Person, key: &Key, range: std::ops::Range<u8>) -> Value {
    let mut keys = json!({});
    for number in range {
        let mut one = json!({ "key": curve25519(number) });
        key.sign(
            &mut one,
            &person.user,
            &format!("ed25519:{}", person.device),
        );
        keys[format!("signed_curve25519:AAAA{number:02}")] = one;
    }
    keys
}

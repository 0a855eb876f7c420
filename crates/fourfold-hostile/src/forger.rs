//! A key that signs whatever it is given.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Map, Value};

/// An Ed25519 key that signs any object. The library signs only what it built itself; an attacker,
/// and a careless client, does not care.
///
/// ```
/// use fourfold_hostile::Forger;
/// let signed = Forger::from_seed([1; 32]).sign(r#"{"one":1}"#, "@alice:example.org");
/// assert!(signed.contains("signatures"));
/// ```
#[derive(Clone)]
pub struct Forger(SigningKey);

impl Forger {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public half, as unpadded base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        BASE64.encode(self.0.verifying_key().as_bytes())
    }

    /// The ID of the key: `ed25519:` and the key itself.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("ed25519:{}", self.public_key())
    }

    /// Adds a signature under the key's own ID, `ed25519:` and the key itself, to a JSON object.
    #[must_use]
    pub fn sign(&self, object: &str, entity: &str) -> String {
        self.sign_as(object, entity, &self.key_id())
    }

    /// The same under another key ID.
    #[must_use]
    pub fn sign_as(&self, object: &str, entity: &str, key_id: &str) -> String {
        sign_with(object, entity, key_id, |message| self.signature(message))
    }

    pub(crate) fn signature(&self, message: &str) -> [u8; 64] {
        self.0.sign(message.as_bytes()).to_bytes()
    }
}

impl fmt::Debug for Forger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Forger").field(&self.public_key()).finish()
    }
}

/// Adds a signature that `sign` makes to a JSON object. What is not an object is signed as an empty
/// one.
#[must_use]
pub fn sign_with(
    object: &str,
    entity: &str,
    key_id: &str,
    sign: impl FnOnce(&str) -> [u8; 64],
) -> String {
    let mut object = match serde_json::from_str(object) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let mut bare = object.clone();
    bare.remove("signatures");
    bare.remove("unsigned");
    let signature = sign(&Value::Object(bare).to_string());
    let mut signatures = take(&mut object, "signatures");
    let mut of_entity = take(&mut signatures, entity);
    of_entity.insert(key_id.to_owned(), BASE64.encode(signature).into());
    signatures.insert(entity.to_owned(), Value::Object(of_entity));
    object.insert("signatures".to_owned(), Value::Object(signatures));
    Value::Object(object).to_string()
}

/// Takes a member out; what is not an object counts as an empty one.
fn take(object: &mut Map<String, Value>, name: &str) -> Map<String, Value> {
    match object.remove(name) {
        Some(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

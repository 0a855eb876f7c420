//! A key that somebody has, wherever it lies.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::forger::{Forger, sign_with};

/// A key that signs what the attacker likes, under its own ID.
#[derive(Clone)]
pub struct Signer {
    key_id: String,
    sign: Arc<Sign>,
}

/// Signs a message.
type Sign = dyn Fn(&str) -> [u8; 64] + Send + Sync;

impl Signer {
    /// What signs a message, under this key ID.
    pub fn new(
        key_id: impl Into<String>,
        sign: impl Fn(&str) -> [u8; 64] + Send + Sync + 'static,
    ) -> Self {
        Self {
            key_id: key_id.into(),
            sign: Arc::new(sign),
        }
    }

    /// The same key, calling itself something else.
    #[must_use]
    pub fn named(&self, key_id: &str) -> Self {
        Self {
            key_id: key_id.to_owned(),
            sign: Arc::clone(&self.sign),
        }
    }

    /// An object with the signature of this key added. What is not an object is signed as an empty
    /// one.
    #[must_use]
    pub fn sign(&self, object: &Value, entity: &str) -> Value {
        let signed = sign_with(&object.to_string(), entity, &self.key_id, |message| {
            (self.sign)(message)
        });
        serde_json::from_str(&signed).unwrap_or_default()
    }
}

impl From<&Forger> for Signer {
    fn from(key: &Forger) -> Self {
        let forger = key.clone();
        Self::new(key.key_id(), move |message| forger.signature(message))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.key_id).finish()
    }
}

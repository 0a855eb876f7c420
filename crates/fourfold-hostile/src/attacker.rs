//! The keys of an attacker: an identity and a device of their own.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as BASE64;
use serde_json::{Value, json};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::forger::Forger;
use crate::signer::Signer;
use crate::victim::Device;

/// The ID of the attacker's device.
pub const ROGUE: &str = "ROGUE";

/// Everything that a user has, made by somebody who is none. The same each time.
#[derive(Clone, Debug)]
pub struct Attacker {
    master: Forger,
    self_signing: Forger,
    user_signing: Forger,
    device: Forger,
}

impl Attacker {
    /// The attacker of every lie.
    #[must_use]
    pub fn new() -> Self {
        Self {
            master: Forger::from_seed([0x66; 32]),
            self_signing: Forger::from_seed([0x67; 32]),
            user_signing: Forger::from_seed([0x68; 32]),
            device: Forger::from_seed([0x69; 32]),
        }
    }

    /// The master key.
    #[must_use]
    pub fn master(&self) -> Signer {
        Signer::from(&self.master)
    }

    /// The self-signing key.
    #[must_use]
    pub fn self_signing(&self) -> Signer {
        Signer::from(&self.self_signing)
    }

    /// `{"ed25519:KEY": "KEY"}` of the self-signing key.
    #[must_use]
    pub fn self_signing_keys(&self) -> Value {
        json!({self.self_signing.key_id(): self.self_signing.public_key()})
    }

    /// The self-signing key as it is published, signed by nobody.
    #[must_use]
    pub fn bare_self_signing_key(&self, user_id: &str) -> Value {
        cross_signing_key(user_id, "self_signing", &self.self_signing)
    }

    /// Shows this identity as that of a user, in an answer to `/keys/query`.
    pub fn shows_identity(&self, body: &mut Value, user_id: &str) {
        for (member, usage, key) in [
            ("master_keys", "master", &self.master),
            ("self_signing_keys", "self_signing", &self.self_signing),
            ("user_signing_keys", "user_signing", &self.user_signing),
        ] {
            let mut object = cross_signing_key(user_id, usage, key);
            if usage != "master" {
                object = self.master().sign(&object, user_id);
            }
            if let Some(body) = body.as_object_mut() {
                let of_users = body.entry(member).or_insert_with(|| json!({}));
                if let Some(of_users) = of_users.as_object_mut() {
                    of_users.insert(user_id.to_owned(), object);
                }
            }
        }
    }

    /// The device with this ID, as it is published.
    #[must_use]
    pub fn device(&self, id: &str) -> Device {
        Device {
            id: id.to_owned(),
            curve25519: self.curve25519(),
            ed25519: self.device.public_key(),
        }
    }

    /// The key of the device with this ID.
    #[must_use]
    pub fn device_signer(&self, id: &str) -> Signer {
        Signer::from(&self.device).named(&format!("ed25519:{id}"))
    }

    /// The keys of the device as those of a user, under this ID, signed by itself.
    #[must_use]
    pub fn device_keys(&self, user_id: &str, id: &str) -> Value {
        let bare = json!({
            "user_id": user_id,
            "device_id": id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {
                format!("ed25519:{id}"): self.device.public_key(),
                format!("curve25519:{id}"): self.curve25519(),
            },
        });
        self.device_signer(id).sign(&bare, user_id)
    }

    /// A one-time key of the device with this ID, by its key ID.
    #[must_use]
    pub fn one_time_key(&self, user_id: &str, id: &str) -> Value {
        let key = self
            .device_signer(id)
            .sign(&json!({"key": self.curve25519()}), user_id);
        json!({"signed_curve25519:AAAAAQ": key})
    }

    /// The public half of a Curve25519 key, in base64: of the device, of a backup, of secret storage.
    #[must_use]
    pub fn curve25519(&self) -> String {
        let secret = StaticSecret::from([0x6a; 32]);
        BASE64.encode(PublicKey::from(&secret).as_bytes())
    }
}

impl Default for Attacker {
    fn default() -> Self {
        Self::new()
    }
}

fn cross_signing_key(user_id: &str, usage: &str, key: &Forger) -> Value {
    json!({
        "user_id": user_id,
        "usage": [usage],
        "keys": {key.key_id(): key.public_key()},
    })
}

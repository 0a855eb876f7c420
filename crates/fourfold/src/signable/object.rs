//! An object that was built here, member by member.

use crate::identity::Curve25519PublicKey;
use crate::passphrase::PassphraseParameters;
use crate::signed_json::{PublicKey, SignatureError};
use crate::{Algorithm, Content, base64, canonical_json};

/// An object that was built here and may be signed, with the signatures that it has got so far.
///
/// ```
/// use fourfold::{signable::{KeyUsage, Signable}, signed_json::SigningKey};
/// let user_id = "@alice:example.org";
/// let master = SigningKey::from_seed(&[1; 32].into());
/// let self_signing = SigningKey::from_seed(&[2; 32].into()).public_key();
/// let mut object = Signable::cross_signing_key(user_id, KeyUsage::SelfSigning, self_signing);
/// master.sign(&mut object, user_id)?;
/// master.public_key().verify(object.content(), user_id)?;
/// # Ok::<(), fourfold::signed_json::SignatureError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Signable(Content);

impl Signable {
    /// `{"keys", "usage", "user_id"}` of a cross-signing key
    /// ([`POST /keys/device_signing/upload`][upload]).
    ///
    /// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
    #[must_use]
    pub fn cross_signing_key(user_id: &str, usage: KeyUsage, key: PublicKey) -> Self {
        let mut keys = Content::default();
        keys.insert(key.key_id(), &key.to_base64());
        let mut object = Content::default();
        object.insert("keys", &keys);
        object.insert("usage", &[usage.name()]);
        object.insert("user_id", user_id);
        Self(object)
    }

    /// `{"algorithms", "device_id", "keys", "user_id"}` of a device
    /// ([Device keys](https://spec.matrix.org/v1.19/client-server-api/#device-keys)).
    #[must_use]
    pub fn device_keys(
        user_id: &str,
        device_id: &str,
        algorithms: &[impl AsRef<str>],
        curve25519: Curve25519PublicKey,
        ed25519: PublicKey,
    ) -> Self {
        let algorithms: Vec<&str> = algorithms.iter().map(AsRef::as_ref).collect();
        let mut keys = Content::default();
        keys.insert(format!("curve25519:{device_id}"), &curve25519.to_base64());
        keys.insert(format!("ed25519:{device_id}"), &ed25519.to_base64());
        let mut object = Content::default();
        object.insert("algorithms", &algorithms);
        object.insert("device_id", device_id);
        object.insert("keys", &keys);
        object.insert("user_id", user_id);
        Self(object)
    }

    /// The keys of a device with the member of MSC3814 that says that somebody sits at it.
    pub(crate) fn not_dehydrated(mut self) -> Self {
        self.0.insert("dehydrated", &false);
        self
    }

    /// `{"key"}` of a one-time key.
    #[must_use]
    pub fn one_time_key(key: Curve25519PublicKey) -> Self {
        let mut object = Content::default();
        object.insert("key", &key.to_base64());
        Self(object)
    }

    /// `{"fallback", "key"}` of a fallback key.
    #[must_use]
    pub fn fallback_key(key: Curve25519PublicKey) -> Self {
        let Self(mut object) = Self::one_time_key(key);
        object.insert("fallback", &true);
        Self(object)
    }

    /// `{"public_key"}`, the `auth_data` of a key backup. A backup whose key came from a passphrase
    /// says how, too.
    pub(crate) fn key_backup(public_key: &[u8; 32], passphrase: Option<&BackupPassphrase>) -> Self {
        let mut object = Content::default();
        object.insert("public_key", &base64::encode(public_key));
        if let Some(passphrase) = passphrase {
            object.insert("private_key_iterations", &passphrase.iterations);
            object.insert("private_key_salt", &passphrase.salt);
        }
        Self(object)
    }

    /// `{"algorithm", "name", "passphrase", "pubkey"}` of a key of 2019.
    pub(crate) fn key_description(
        name: Option<&str>,
        public_key: &[u8; 32],
        passphrase: Option<&PassphraseParameters>,
    ) -> Self {
        let mut object = Content::default();
        object.insert("algorithm", Algorithm::Curve25519AesSha2.name());
        object.insert("pubkey", &base64::encode(public_key));
        if let Some(name) = name {
            object.insert("name", name);
        }
        if let Some(passphrase) = passphrase {
            object.insert("passphrase", &passphrase.to_content());
        }
        Self(object)
    }

    /// The object with its signatures.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.0
    }

    /// Gives up the possibility to sign it.
    #[must_use]
    pub fn into_content(self) -> Content {
        self.0
    }

    /// Returns `true` if a signature of the one fits the other, too.
    pub(crate) fn is_same(&self, object: &Content) -> bool {
        let message = |object: &Content| canonical_json::of_signed(&object.to_json()).ok();
        message(&self.0) == message(object)
    }

    /// Takes over the signatures of an object that says the same, if they are well-formed.
    pub(crate) fn with_signatures_of(mut self, object: &Content) -> Self {
        if let Some(Ok(signatures)) = object.object("signatures")
            && signatures
                .members()
                .all(|entity| matches!(signatures.object(entity), Some(Ok(_))))
        {
            self.0.insert("signatures", &signatures);
        }
        self
    }

    /// Adds the signature that `sign` makes over the canonical JSON. Other signatures stay.
    pub(crate) fn add_signature(
        &mut self,
        entity: &str,
        key_id: &str,
        sign: impl FnOnce(&str) -> [u8; 64],
    ) -> Result<(), SignatureError> {
        let message = canonical_json::of_signed(&self.0.to_json())?;
        let member = |object: &Content, name: &str| match object.object(name) {
            None => Ok(Content::default()),
            Some(object) => object.map_err(|_| SignatureError::Malformed),
        };
        let mut signatures = member(&self.0, "signatures")?;
        let mut of_entity = member(&signatures, entity)?;
        of_entity.insert(key_id, &base64::encode(sign(&message)));
        signatures.insert(entity, &of_entity);
        self.0.insert("signatures", &signatures);
        Ok(())
    }
}

/// The usage of a cross-signing key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyUsage {
    /// It signs the other two.
    Master,
    /// It signs the user's own devices.
    SelfSigning,
    /// It signs the master keys of other users.
    UserSigning,
}

impl KeyUsage {
    /// Its name in `usage`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::SelfSigning => "self_signing",
            Self::UserSigning => "user_signing",
        }
    }
}

/// The derivation of the key of a backup from a passphrase, as clients wrote it into `auth_data`
/// before secret storage existed.
#[derive(Clone, Debug)]
pub(crate) struct BackupPassphrase {
    iterations: u32,
    salt: String,
}

impl BackupPassphrase {
    const LONGEST_SALT: usize = 1024;

    /// Both members, when both are what they should be.
    pub(crate) fn from_auth_data(auth_data: &Content) -> Option<Self> {
        let iterations = auth_data.get("private_key_iterations")?.ok()?;
        let salt: String = auth_data.get("private_key_salt")?.ok()?;
        (salt.len() <= Self::LONGEST_SALT).then_some(Self { iterations, salt })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signable::Kind;

    /// One object of each kind.
    fn objects() -> [(Kind, Signable); 5] {
        let ed25519 = crate::signed_json::SigningKey::from_seed(&[1; 32].into()).public_key();
        let curve25519 = Curve25519PublicKey::from_bytes([9; 32]).unwrap();
        let user_id = "@alice:example.org";
        [
            (
                Kind::CrossSigningKey,
                Signable::cross_signing_key(user_id, KeyUsage::Master, ed25519),
            ),
            (
                Kind::Device,
                Signable::device_keys(user_id, "LAPTOP", &["m.olm"], curve25519, ed25519),
            ),
            (Kind::KeyBackup, Signable::key_backup(&[3; 32], None)),
            (
                Kind::KeyDescription,
                Signable::key_description(Some("m.default"), &[3; 32], None),
            ),
            (Kind::OneTimeKey, Signable::fallback_key(curve25519)),
        ]
    }

    #[test]
    fn an_object_is_of_its_own_kind_and_of_no_other() {
        let objects = objects();
        for (kind, object) in &objects {
            for (checked, _) in &objects {
                let found = checked.check(object.content());
                assert_eq!(found.is_ok(), kind == checked, "{kind:?} as {checked:?}");
            }
        }
    }

    #[test]
    fn a_backup_keeps_how_its_passphrase_became_the_key() {
        let auth_data = |json: &str| Content::from_json(json).unwrap();
        let good = r#"{"private_key_iterations":500000,"private_key_salt":"salt"}"#;
        let passphrase = BackupPassphrase::from_auth_data(&auth_data(good)).unwrap();
        let object = Signable::key_backup(&[3; 32], Some(&passphrase));
        assert_eq!(object.content().raw("private_key_salt"), Some("\"salt\""));
        assert_eq!(object.content().members().count(), 3);
        for bad in [
            r#"{"private_key_salt":"salt"}"#.to_owned(),
            r#"{"private_key_iterations":{"usage":[]},"private_key_salt":"salt"}"#.to_owned(),
            r#"{"private_key_iterations":1,"private_key_salt":["master"]}"#.to_owned(),
            format!(
                r#"{{"private_key_iterations":1,"private_key_salt":"{}"}}"#,
                "a".repeat(1025)
            ),
        ] {
            assert!(BackupPassphrase::from_auth_data(&auth_data(&bad)).is_none());
        }
    }
}

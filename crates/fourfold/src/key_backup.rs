//! A new version of the server-side key backup.
//!
//! [Server-side key
//! backups](https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups): room keys are
//! encrypted to a Curve25519 key, whose private half is the secret `m.megolm_backup.v1`. Other
//! devices write to a backup only when its public key is signed by a key that they trust.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::algorithm::curve25519_aes_sha2;
use crate::backup_version::ALGORITHM;
use crate::signable::Signable;
use crate::{Content, Secret, base64};

/// The key of a backup that was made here, and what is published about it. Wiped when dropped, never
/// printed.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{NewKeyBackup, cross_signing::CrossSigningKeys};
/// let identity = CrossSigningKeys::generate(&mut rng);
/// let mut backup = NewKeyBackup::random(&mut rng);
/// backup.sign(|object| identity.master_key().sign(object, "@alice:example.org"))?;
/// assert_eq!(backup.secret().expose_secret().len(), 43);
/// assert!(backup.to_content().object("auth_data").is_some());
/// # Ok::<(), fourfold::signed_json::SignatureError>(())
/// ```
pub struct NewKeyBackup {
    private_key: Zeroizing<[u8; 32]>,
    auth_data: Signable,
}

impl NewKeyBackup {
    /// 32 random bytes.
    #[must_use]
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut private_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(private_key.as_mut_slice());
        let public_key = curve25519_aes_sha2::public_key(&private_key);
        Self {
            private_key,
            auth_data: Signable::key_backup(&public_key, None),
        }
    }

    /// Said of a version that the master key does not sign, because it is not at hand.
    pub const UNSIGNED: &'static str = "the master key is not at hand, so that it does not sign the new \
        version: other devices may not use it until fourfold setup or fourfold doctor --fix signs it";

    /// Adds a signature to what is published: that of the master cross-signing key, as
    /// [`SigningKey::sign`] makes it, or that of a device, as [`signed_json::sign_with`] does.
    ///
    /// # Errors
    ///
    /// What `sign` gives.
    ///
    /// [`SigningKey::sign`]: crate::signed_json::SigningKey::sign
    /// [`signed_json::sign_with`]: crate::signed_json::sign_with
    pub fn sign<E>(&mut self, sign: impl FnOnce(&mut Signable) -> Result<(), E>) -> Result<(), E> {
        sign(&mut self.auth_data)
    }

    /// `{"algorithm", "auth_data"}`, the body of [`POST /room_keys/version`][create].
    ///
    /// [create]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3room_keysversion
    #[must_use]
    pub fn to_content(&self) -> Content {
        let mut content = Content::default();
        content.insert("algorithm", ALGORITHM);
        content.insert("auth_data", self.auth_data.content());
        content
    }

    /// The public key, as unpadded base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        base64::encode(curve25519_aes_sha2::public_key(&self.private_key))
    }

    /// The secret stored under `m.megolm_backup.v1`: unpadded base64.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(base64::encode(self.private_key.as_slice()))
    }
}

impl fmt::Debug for NewKeyBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKeyBackup")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed_json::{self, PublicKey, SigningKey};
    use crate::testing::rng;
    use crate::{BackupVersion, PublishedKeys, SecretName, Verdict};

    const USER: &str = "@alice:example.org";

    #[test]
    fn is_signed_by_the_master_key_and_the_device() {
        let master = SigningKey::from_seed(&[1; 32].into());
        let device = ed25519_dalek::SigningKey::from_bytes(&[2; 32]);
        let mut backup = NewKeyBackup::random(&mut rng());
        backup.sign(|object| master.sign(object, USER)).unwrap();
        let by_device = |message: &str| {
            use ed25519_dalek::Signer as _;
            device.sign(message.as_bytes()).to_bytes()
        };
        backup
            .sign(|object| signed_json::sign_with(object, USER, "ed25519:LAPTOP", by_device))
            .unwrap();
        let content = backup.to_content();
        assert_eq!(
            content.get::<String>("algorithm").unwrap().unwrap(),
            "m.megolm_backup.v1.curve25519-aes-sha2"
        );
        let auth_data = content.object("auth_data").unwrap().unwrap();
        master.public_key().verify(&auth_data, USER).unwrap();
        let device = base64::encode(device.verifying_key().as_bytes());
        let device = PublicKey::from_base64(&device).unwrap();
        device
            .verify_as(&auth_data, USER, "ed25519:LAPTOP")
            .unwrap();
        // Neither signature covers the other one.
        assert_eq!(auth_data.members().count(), 2);
    }

    #[test]
    fn the_secret_belongs_to_what_is_published() {
        let backup = NewKeyBackup::random(&mut rng());
        let mut answer = backup.to_content();
        answer.insert("version", "1");
        let published_keys = PublishedKeys {
            identity: None,
            backup: Some(BackupVersion::from_json(&answer.to_json()).unwrap()),
        };
        let verdict = published_keys.judge(&SecretName::backup_key(), &backup.secret());
        let public_key = backup.public_key();
        assert_eq!(verdict.unwrap(), Verdict::Matches { public_key });
        let other = NewKeyBackup::random(&mut crate::testing::rng_from(7));
        assert!(
            published_keys
                .judge(&SecretName::backup_key(), &other.secret())
                .is_err()
        );
    }

    #[test]
    fn debug_shows_the_public_key_only() {
        let backup = NewKeyBackup::random(&mut rng());
        let shown = format!("{backup:?} {backup:#?}");
        assert!(shown.contains(&backup.public_key()));
        assert!(!shown.contains(backup.secret().expose_secret()));
    }
}

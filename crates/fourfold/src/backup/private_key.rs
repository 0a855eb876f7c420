//! The private key of a version of the key backup.

use std::fmt;

use zeroize::Zeroizing;

use crate::algorithm::curve25519_aes_sha2;
use crate::secret_kind::KeyValue;
use crate::{BackupVersion, Secret, SecretName, SecretValueError, base64, recovery_key};

/// The private key of a version of the key backup. Wiped when dropped, never printed.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{NewKeyBackup, backup::BackupKey};
/// let new = NewKeyBackup::random(&mut rng);
/// let key = BackupKey::read(&new.secret())?;
/// assert_eq!(key.public_key(), new.public_key());
/// # Ok::<(), fourfold::SecretValueError>(())
/// ```
pub struct BackupKey {
    bytes: Zeroizing<[u8; 32]>,
    public_key: [u8; 32],
}

impl BackupKey {
    /// Reads the value of a secret, in all forms that real accounts hold.
    ///
    /// # Errors
    ///
    /// [`SecretValueError::Base64`].
    pub fn read(value: &Secret) -> Result<Self, SecretValueError> {
        KeyValue::read(&SecretName::backup_key(), value).map(|value| Self::of(value.bytes))
    }

    /// Reads what a person has: the value, or the recovery key that another client shows of it.
    ///
    /// # Errors
    ///
    /// [`SecretValueError::Base64`].
    pub fn read_typed(text: &Secret) -> Result<Self, SecretValueError> {
        match recovery_key::decode(text.expose_secret()) {
            Ok(bytes) => Ok(Self::of(bytes)),
            Err(_) => Self::read(text),
        }
    }

    /// The public key, as unpadded base64.
    #[must_use]
    pub fn public_key(&self) -> String {
        base64::encode(self.public_key)
    }

    /// The value of the secret: unpadded base64.
    #[must_use]
    pub fn secret(&self) -> Secret {
        Secret::new(base64::encode(self.bytes.as_slice()))
    }

    /// Whether it is the private key of this version.
    #[must_use]
    pub fn is_key_of(&self, version: &BackupVersion) -> bool {
        version.public_key_bytes() == &self.public_key
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    pub(super) fn public_bytes(&self) -> &[u8; 32] {
        &self.public_key
    }

    fn of(bytes: Zeroizing<[u8; 32]>) -> Self {
        let public_key = curve25519_aes_sha2::public_key(&bytes);
        Self { bytes, public_key }
    }
}

impl fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupKey")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewKeyBackup;
    use crate::testing::rng;

    #[test]
    fn it_is_read_in_each_form_and_never_shown() {
        let new = NewKeyBackup::random(&mut rng());
        let key = BackupKey::read(&new.secret()).unwrap();
        let shown = recovery_key::encode(&key.bytes);
        for text in [
            new.secret().expose_secret().to_owned(),
            format!("{}=\n", new.secret().expose_secret()),
            shown.to_string(),
        ] {
            let read = BackupKey::read_typed(&Secret::new(text)).unwrap();
            assert_eq!(read.public_key(), new.public_key());
            assert!(read.secret().is_same(&new.secret()));
        }
        assert!(BackupKey::read_typed(&Secret::new("nothing")).is_err());
        let shown = format!("{key:?}");
        assert!(shown.contains(&key.public_key()) && !shown.contains(key.secret().expose_secret()));
    }
}

//! Private keys, and signing with them or with keys that are kept elsewhere.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey as DalekSigningKey};
use zeroize::Zeroizing;

use super::public_key::{PublicKey, SignatureError};
use crate::signable::Signable;

/// The private half of an Ed25519 key: the 32-byte seed that `m.cross_signing.*` secrets hold.
pub struct SigningKey(DalekSigningKey);

impl SigningKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &Zeroizing<[u8; 32]>) -> Self {
        Self(DalekSigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Adds a signature to an object that was built here, under this key's own
    /// [key ID](PublicKey::key_id). Other signatures stay.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when the object has no canonical form; it always has one.
    ///
    /// ```
    /// use fourfold::{signable::{KeyUsage, Signable}, signed_json::SigningKey};
    /// let key = SigningKey::from_seed(&[7; 32].into());
    /// let user_id = "@alice:example.org";
    /// let mut object = Signable::cross_signing_key(user_id, KeyUsage::Master, key.public_key());
    /// key.sign(&mut object, user_id)?;
    /// key.public_key().verify(object.content(), user_id)?;
    /// # Ok::<(), fourfold::signed_json::SignatureError>(())
    /// ```
    pub fn sign(&self, object: &mut Signable, entity: &str) -> Result<(), SignatureError> {
        object.add_signature(entity, &self.public_key().key_id(), |message| {
            self.0.sign(message.as_bytes()).to_bytes()
        })
    }

    /// The seed, as `m.cross_signing.*` secrets hold it.
    pub(crate) fn expose_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

/// Adds a signature that is made elsewhere, such as by the key of an Olm account, to an object that
/// was built here. `sign` gets the canonical JSON and gives the 64 bytes of the signature. Other
/// signatures stay.
///
/// # Errors
///
/// [`SignatureError`] when the object has no canonical form; it always has one. `sign` is not called
/// then.
///
/// ```
/// use fourfold::{identity::Curve25519PublicKey, signable::Signable, signed_json};
/// let mut object = Signable::one_time_key(Curve25519PublicKey::from_bytes([9; 32])?);
/// signed_json::sign_with(&mut object, "@alice:example.org", "ed25519:LAPTOP", |message| {
///     assert!(message.starts_with(r#"{"key":"#));
///     [7; 64] // of a key that is kept elsewhere
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sign_with(
    object: &mut Signable,
    entity: &str,
    key_id: &str,
    sign: impl FnOnce(&str) -> [u8; 64],
) -> Result<(), SignatureError> {
    object.add_signature(entity, key_id, sign)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

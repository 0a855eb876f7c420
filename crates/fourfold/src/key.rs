//! Private keys of secret storage, and what it takes to be allowed to write with one.

use std::fmt;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::algorithm::{OpenEntryError, aes_hmac_sha2, curve25519_aes_sha2};
use crate::passphrase::{Bounds, Budget, ParametersError, Passphrase, PassphraseParameters};
use crate::recovery_key::{self, RecoveryKeyError};
use crate::signable::Signable;
use crate::signed_json::{PublicKey, SignatureError, SigningKey};
use crate::{Algorithm, Content, KeyDescription, KeyId, Secret, SecretKind, SecretName, base64};

/// A private key of secret storage, with the ID and the algorithm it belongs to.
///
/// It can open secrets. To write, it must first become a [`ProvenKey`], which only
/// [`SecretStorage::prove`](crate::SecretStorage::prove) and [`NewKey`] make. Wiped when dropped,
/// never printed.
pub struct SecretStorageKey {
    id: KeyId,
    material: KeyMaterial,
    weak: bool,
}

/// The private half itself, which only the functions of its own algorithm take.
pub(crate) enum KeyMaterial {
    AesHmacSha2(aes_hmac_sha2::Key),
    Curve25519AesSha2(Zeroizing<[u8; 32]>),
}

impl SecretStorageKey {
    /// Takes the 32 bytes of a key that was kept elsewhere.
    #[must_use]
    pub fn from_bytes(id: KeyId, algorithm: Algorithm, bytes: Zeroizing<[u8; 32]>) -> Self {
        Self {
            id,
            material: KeyMaterial::new(algorithm, bytes),
            weak: false,
        }
    }

    /// Reads a recovery key as the key of this description. Whether it fits is not checked yet.
    ///
    /// # Errors
    ///
    /// [`KeyInputError`]: not a recovery key, or a key of an unknown algorithm.
    pub fn from_recovery_key(
        description: &KeyDescription,
        text: &str,
    ) -> Result<Self, KeyInputError> {
        let bytes = recovery_key::decode(text)?;
        Self::of(description, bytes, false)
    }

    /// Derives the key of this description from a passphrase. Whether it fits is not checked yet.
    ///
    /// Takes about 0.2 s for 500,000 iterations. They are taken from the budget before: anyone who
    /// tries a passphrase on several keys gives the same budget to each.
    ///
    /// # Errors
    ///
    /// [`KeyInputError`]: the key has no passphrase, its parameters are damaged, out of bounds or
    /// over the budget, or it is of an unknown algorithm.
    pub fn from_passphrase(
        description: &KeyDescription,
        passphrase: &Passphrase,
        budget: &mut Budget,
    ) -> Result<Self, KeyInputError> {
        let parameters = description
            .passphrase()
            .ok_or(KeyInputError::NoPassphrase)??;
        // Nothing is derived, and nothing spent, for a key that cannot be used.
        if description.algorithm().is_none() {
            return Err(KeyInputError::UnsupportedAlgorithm);
        }
        budget.spend(&parameters)?;
        Self::of(
            description,
            passphrase.derive(&parameters),
            Bounds::is_weak(&parameters),
        )
    }

    fn of(
        description: &KeyDescription,
        bytes: Zeroizing<[u8; 32]>,
        weak: bool,
    ) -> Result<Self, KeyInputError> {
        let algorithm = description
            .algorithm()
            .ok_or(KeyInputError::UnsupportedAlgorithm)?;
        Ok(Self {
            id: description.id().clone(),
            material: KeyMaterial::new(algorithm, bytes),
            weak,
        })
    }

    /// The ID of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The algorithm of the key.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            KeyMaterial::AesHmacSha2(_) => Algorithm::AesHmacSha2,
            KeyMaterial::Curve25519AesSha2(_) => Algorithm::Curve25519AesSha2,
        }
    }

    /// The key as a recovery key. It opens everything: show it to its owner only.
    #[must_use]
    pub fn expose_recovery_key(&self) -> Zeroizing<String> {
        recovery_key::encode(match &self.material {
            KeyMaterial::AesHmacSha2(key) => key.bytes(),
            KeyMaterial::Curve25519AesSha2(bytes) => bytes,
        })
    }

    /// Opens one encrypted copy of a secret.
    ///
    /// # Errors
    ///
    /// [`OpenEntryError`]: damaged, or not encrypted under this key and this name.
    pub fn open(
        &self,
        name: &SecretName,
        entry: &Content,
    ) -> Result<(Secret, Authenticity), OpenEntryError> {
        match &self.material {
            KeyMaterial::AesHmacSha2(key) => {
                let entry = aes_hmac_sha2::Entry::from_content(entry)?;
                let secret = aes_hmac_sha2::open(key, name, entry)?;
                Ok((secret, Authenticity::Authenticated))
            }
            // For any other name it would hand out this key as if it were that secret.
            KeyMaterial::Curve25519AesSha2(bytes)
                if SecretKind::of(name) == SecretKind::BackupKey && is_passthrough(entry) =>
            {
                let secret = Secret::new(base64::encode(bytes.as_slice()));
                Ok((secret, Authenticity::Passthrough))
            }
            KeyMaterial::Curve25519AesSha2(bytes) => {
                let entry = curve25519_aes_sha2::Entry::from_content(entry)?;
                let (secret, mac_mode) = curve25519_aes_sha2::open(bytes, &entry)?;
                Ok((secret, Authenticity::Unauthenticated(mac_mode)))
            }
        }
    }

    /// Returns `true` if it was derived with so few iterations that it may only read.
    pub(crate) fn is_weak(&self) -> bool {
        self.weak
    }

    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// The same key once more: whoever examines an account keeps the one that was offered.
    pub(crate) fn duplicate(&self) -> Self {
        let bytes = match &self.material {
            KeyMaterial::AesHmacSha2(key) => Zeroizing::new(*key.bytes()),
            KeyMaterial::Curve25519AesSha2(bytes) => bytes.clone(),
        };
        Self {
            id: self.id.clone(),
            material: KeyMaterial::new(self.algorithm(), bytes),
            weak: self.weak,
        }
    }

    /// New check data, for the description of the key; none for a key of 2019.
    pub(crate) fn new_check(&self, rng: &mut impl CryptoRng) -> Option<KeyCheckData> {
        let KeyMaterial::AesHmacSha2(key) = &self.material else {
            return None;
        };
        let iv = aes_hmac_sha2::random_iv(rng);
        let mac = aes_hmac_sha2::key_check_mac(key, &iv);
        Some(KeyCheckData { iv, mac })
    }
}

/// What a description says so that a wrong key is noticed.
pub(crate) struct KeyCheckData {
    pub(crate) iv: [u8; 16],
    pub(crate) mac: [u8; 32],
}

impl KeyMaterial {
    fn new(algorithm: Algorithm, bytes: Zeroizing<[u8; 32]>) -> Self {
        match algorithm {
            Algorithm::AesHmacSha2 => Self::AesHmacSha2(aes_hmac_sha2::Key::new(bytes)),
            Algorithm::Curve25519AesSha2 => Self::Curve25519AesSha2(bytes),
        }
    }
}

impl fmt::Debug for SecretStorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretStorageKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl AsRef<Self> for SecretStorageKey {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// The evidence of who wrote a secret.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Authenticity {
    /// Somebody who has the key wrote the ciphertext. The IV is not covered: compare the secret
    /// with its public key or with a copy seen earlier.
    Authenticated,
    /// The secret *is* the key: a passthrough entry of 2019, which only a backup key can have.
    /// Anybody may have written it.
    Passthrough,
    /// Anybody who knows the public key may have written it.
    Unauthenticated(curve25519_aes_sha2::MacMode),
}

/// A key that may encrypt, because it is certain that it is the right one.
///
/// Either its key check verified, or a stored secret's MAC verified under it, or it was made here.
/// Every function that writes takes this type; there is no other way to make one.
pub struct ProvenKey(SecretStorageKey);

impl ProvenKey {
    /// For [`SecretStorage::prove`](crate::SecretStorage::prove), which has done the proving.
    pub(crate) fn assert(key: SecretStorageKey) -> Self {
        Self(key)
    }

    /// The ID of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        self.0.id()
    }

    /// The key, for opening.
    #[must_use]
    pub fn key(&self) -> &SecretStorageKey {
        &self.0
    }

    /// Encrypts a secret with `aes-hmac-sha2`, or returns `None` for a key of 2019: see
    /// [`TrustedPublicKey`].
    #[must_use]
    pub fn seal(
        &self,
        name: &SecretName,
        secret: &Secret,
        rng: &mut impl CryptoRng,
    ) -> Option<Content> {
        match self.0.material() {
            KeyMaterial::AesHmacSha2(key) => {
                Some(aes_hmac_sha2::seal(key, name, secret, rng).to_content())
            }
            KeyMaterial::Curve25519AesSha2(_) => None,
        }
    }
}

impl AsRef<SecretStorageKey> for ProvenKey {
    fn as_ref(&self) -> &SecretStorageKey {
        &self.0
    }
}

impl fmt::Debug for ProvenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProvenKey").field(&self.0).finish()
    }
}

/// The public half of a key of 2019 that may be encrypted to, in the 2019 profile only.
///
/// Anyone who holds this and not the private key can deposit a secret that they cannot read back.
#[derive(Clone, Debug)]
pub struct TrustedPublicKey {
    id: KeyId,
    bytes: [u8; 32],
}

impl TrustedPublicKey {
    /// Trusts a description because a master cross-signing key signed it. The caller knows that
    /// master key from this machine, not from the server.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: not signed by it, or no `curve25519-aes-sha2` key.
    pub fn from_signed_description(
        description: &KeyDescription,
        user_id: &str,
        master_key: &PublicKey,
    ) -> Result<Self, TrustError> {
        if description.algorithm() != Some(Algorithm::Curve25519AesSha2) {
            return Err(TrustError::OtherAlgorithm);
        }
        description.verify_signature(user_id, master_key)?;
        let bytes = description
            .public_key()
            .ok()
            .flatten()
            .ok_or(TrustError::NoPublicKey)?;
        Ok(Self {
            id: description.id().clone(),
            bytes,
        })
    }

    /// The public half of a private key that is proven.
    ///
    /// # Errors
    ///
    /// [`TrustError::OtherAlgorithm`] when it is not a key of 2019.
    pub fn from_proven_key(key: &ProvenKey) -> Result<Self, TrustError> {
        match key.0.material() {
            KeyMaterial::Curve25519AesSha2(bytes) => Ok(Self {
                id: key.0.id.clone(),
                bytes: curve25519_aes_sha2::public_key(bytes),
            }),
            KeyMaterial::AesHmacSha2(_) => Err(TrustError::OtherAlgorithm),
        }
    }

    /// The ID of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Encrypts a secret with `curve25519-aes-sha2`. [`MacMode::Libolm`] is what clients of that
    /// time could read.
    ///
    /// # Errors
    ///
    /// [`OpenEntryError::Malformed`] when the public key is of low order.
    ///
    /// [`MacMode::Libolm`]: curve25519_aes_sha2::MacMode::Libolm
    pub fn seal(
        &self,
        secret: &Secret,
        mode: curve25519_aes_sha2::MacMode,
        rng: &mut impl CryptoRng,
    ) -> Result<Content, OpenEntryError> {
        curve25519_aes_sha2::seal(&self.bytes, secret, mode, rng).map(|entry| entry.to_content())
    }
}

/// A key made here, with the description that is to be published for it.
#[derive(Debug)]
pub struct NewKey {
    key: ProvenKey,
    description: KeyDescription,
}

impl NewKey {
    /// 32 random bytes, a random ID, and check data: what every new key is.
    ///
    /// ```
    /// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    /// use fourfold::NewKey;
    /// let new = NewKey::random(None, &mut rng);
    /// assert!(new.key().key().expose_recovery_key().starts_with("Es"));
    /// ```
    #[must_use]
    pub fn random(name: Option<&str>, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self::aes_hmac_sha2(bytes, name, None, rng)
    }

    /// A key derived from a passphrase, with fresh parameters. Its recovery key opens it too.
    ///
    /// Whether the passphrase is [strong enough](Passphrase::strength) is the caller's question.
    ///
    /// # Errors
    ///
    /// [`ParametersError`] when the parameters, which may come from a stored description, are out
    /// of [`Bounds::DEFAULT`]. Nothing is derived then.
    pub fn from_passphrase(
        passphrase: &Passphrase,
        parameters: &PassphraseParameters,
        name: Option<&str>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, ParametersError> {
        Bounds::DEFAULT.check(parameters)?;
        let bytes = passphrase.derive(parameters);
        Ok(Self::aes_hmac_sha2(bytes, name, Some(parameters), rng))
    }

    /// A key of 2019: a random key pair whose description the master cross-signing key signs, and
    /// which is the default when it is named `m.default`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when the description cannot be signed; it always can.
    pub fn random_2019(
        name: &str,
        user_id: &str,
        master_key: &SigningKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, SignatureError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        let public_key = curve25519_aes_sha2::public_key(&bytes);
        let mut description = Signable::key_description(Some(name), &public_key, None);
        master_key.sign(&mut description, user_id)?;
        let material = KeyMaterial::Curve25519AesSha2(bytes);
        let content = description.into_content();
        Ok(Self::assemble(KeyId::random(rng), material, content))
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &ProvenKey {
        &self.key
    }

    /// Its public description.
    #[must_use]
    pub fn description(&self) -> &KeyDescription {
        &self.description
    }

    /// Gives up the description and keeps the key.
    #[must_use]
    pub fn into_key(self) -> ProvenKey {
        self.key
    }

    fn aes_hmac_sha2(
        bytes: Zeroizing<[u8; 32]>,
        name: Option<&str>,
        passphrase: Option<&PassphraseParameters>,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let key = aes_hmac_sha2::Key::new(bytes);
        let iv = aes_hmac_sha2::random_iv(rng);
        let mut content = Content::default();
        content.insert("algorithm", Algorithm::AesHmacSha2.name());
        content.insert("iv", &base64::encode(iv));
        content.insert(
            "mac",
            &base64::encode(aes_hmac_sha2::key_check_mac(&key, &iv)),
        );
        if let Some(name) = name {
            content.insert("name", name);
        }
        if let Some(parameters) = passphrase {
            content.insert("passphrase", &parameters.to_content());
        }
        Self::assemble(KeyId::random(rng), KeyMaterial::AesHmacSha2(key), content)
    }

    fn assemble(id: KeyId, material: KeyMaterial, content: Content) -> Self {
        let key = SecretStorageKey {
            id: id.clone(),
            material,
            weak: false,
        };
        let description = KeyDescription::assemble(id, key.algorithm(), content);
        Self {
            key: ProvenKey::assert(key),
            description,
        }
    }
}

/// Why what the user typed does not become a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyInputError {
    /// The key was made without a passphrase.
    #[error("this key has no passphrase; use its recovery key")]
    NoPassphrase,
    /// The parameters of the passphrase cannot be used.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// Not a recovery key.
    #[error(transparent)]
    RecoveryKey(#[from] RecoveryKeyError),
    /// The description names an algorithm that Fourfold does not know.
    #[error("the key uses an unknown algorithm")]
    UnsupportedAlgorithm,
}

crate::error_code::error_codes! {
    KeyInputError:
    Self::NoPassphrase { .. } => "key_input_no_passphrase",
    Self::UnsupportedAlgorithm { .. } => "key_input_unsupported_algorithm",
    ;
    Self::Parameters(error) => error,
    Self::RecoveryKey(error) => error,
}

/// Why a public key of 2019 must not be encrypted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The description has no usable `pubkey`.
    #[error("the key description has no valid public key")]
    NoPublicKey,
    /// Not a key of `curve25519-aes-sha2`.
    #[error("the key is not a key of the 2019 algorithm")]
    OtherAlgorithm,
    /// The master key did not sign it.
    #[error("the key description is not signed by the master key: {0}")]
    Signature(#[from] SignatureError),
}

crate::error_code::error_codes! {
    TrustError:
    Self::NoPublicKey { .. } => "key_trust_no_public_key",
    Self::OtherAlgorithm { .. } => "key_trust_other_algorithm",
    Self::Signature { .. } => "key_trust_signature",
}

/// `{"passthrough": true}`, an entry of 2019 that says: the secret is the key itself.
pub(crate) fn is_passthrough(entry: &Content) -> bool {
    matches!(entry.get::<bool>("passthrough"), Some(Ok(true)))
}

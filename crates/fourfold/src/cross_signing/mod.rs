//! The private half of a user's cross-signing identity.
//!
//! [Cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing): three Ed25519
//! seeds. The master key signs the self-signing key, which signs the user's own devices, and the
//! user-signing key, which signs other users' master keys. Secret storage keeps the seeds; the
//! public halves are published with `POST /keys/device_signing/upload`.
//!
//! ```
//! # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
//! use fourfold::{PublishedKeys, PublishedIdentity, cross_signing::{CrossSigningKeys, KnownKeys}};
//! let keys = CrossSigningKeys::generate(&mut rng);
//! let public = keys.public_keys("@alice:example.org")?;
//! // What a server that got this in an upload answers to `POST /keys/query`.
//! let published = PublishedIdentity::from_keys_query(
//!     "@alice:example.org",
//!     &public.as_keys_query("@alice:example.org"),
//! )?;
//! assert_eq!(published.master_key()?, keys.master_key().public_key());
//!
//! // On another device: the seeds come from secret storage, and are compared before they are used.
//! let published_keys = PublishedKeys { identity: Some(published), backup: None };
//! let mut known = KnownKeys::default();
//! for (name, secret) in keys.secrets() {
//!     known.learn(&name, &secret, &published_keys)?;
//! }
//! assert!(known.complete().is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choice;
mod continuity;
mod device;
mod opened;
mod replaced;

pub use choice::{IdentityAtRisk, IdentityChoice, IdentityWish};
pub use continuity::KnownIdentity;
pub use device::{ConfirmedDevice, NotConfirmed, SignDeviceError};
pub use opened::{LeftOut, OpenedKeys, UnusableKeys};
use rand_core::CryptoRng;
pub use replaced::ReplacedIdentity;
use zeroize::Zeroizing;

use crate::identity::PublicKeys;
use crate::secret_kind::KeyValue;
use crate::signable::{KeyUsage, Signable};
use crate::signed_json::{SignatureError, SigningKey};
use crate::{
    PublishedKeys, Secret, SecretKind, SecretName, SecretStorage, SecretStorageKey,
    SecretValueError, Verdict, base64,
};

/// All three private keys of an identity. Wiped when dropped, never printed.
#[derive(Debug)]
pub struct CrossSigningKeys {
    master: SigningKey,
    self_signing: SigningKey,
    user_signing: SigningKey,
}

impl CrossSigningKeys {
    /// A new identity: three random seeds.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = || {
            let mut seed = Zeroizing::new([0; 32]);
            rng.fill_bytes(seed.as_mut_slice());
            SigningKey::from_seed(&seed)
        };
        Self {
            master: key(),
            self_signing: key(),
            user_signing: key(),
        }
    }

    /// The key that signs the other two, and by which others know the user.
    #[must_use]
    pub fn master_key(&self) -> &SigningKey {
        &self.master
    }

    /// The key that signs the user's own devices.
    #[must_use]
    pub fn self_signing_key(&self) -> &SigningKey {
        &self.self_signing
    }

    /// The key that signs the master keys of other users.
    #[must_use]
    pub fn user_signing_key(&self) -> &SigningKey {
        &self.user_signing
    }

    /// The public keys: always all three, because a server drops what an older master key signed.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] when an object cannot be signed; it always can.
    pub fn public_keys(&self, user_id: &str) -> Result<PublicKeys, SignatureError> {
        self.public_keys_signed_by(user_id, |_| Ok(()))
    }

    /// The same with the master key signed by a device, by which the user's other devices of old
    /// know it. `sign` adds the signature of the device, as [`signed_json::sign_with`] does.
    ///
    /// # Errors
    ///
    /// What `sign` gives, and as [`public_keys`](Self::public_keys).
    ///
    /// [`signed_json::sign_with`]: crate::signed_json::sign_with
    pub fn public_keys_signed_by<E: From<SignatureError>>(
        &self,
        user_id: &str,
        sign: impl FnOnce(&mut Signable) -> Result<(), E>,
    ) -> Result<PublicKeys, E> {
        let object =
            |usage, key: &SigningKey| Signable::cross_signing_key(user_id, usage, key.public_key());
        let signed = |usage, key| -> Result<_, SignatureError> {
            let mut object = object(usage, key);
            self.master.sign(&mut object, user_id)?;
            Ok(object.into_content())
        };
        let mut master_key = object(KeyUsage::Master, &self.master);
        sign(&mut master_key)?;
        Ok(PublicKeys {
            master_key: master_key.into_content(),
            self_signing_key: signed(KeyUsage::SelfSigning, &self.self_signing)?,
            user_signing_key: signed(KeyUsage::UserSigning, &self.user_signing)?,
        })
    }

    /// What secret storage keeps of it: the three seeds as unpadded base64.
    #[must_use]
    pub fn secrets(&self) -> [(SecretName, Secret); 3] {
        [
            (SecretName::master_key(), &self.master),
            (SecretName::self_signing_key(), &self.self_signing),
            (SecretName::user_signing_key(), &self.user_signing),
        ]
        .map(|(name, key)| (name, seed_secret(key)))
    }
}

/// Those private keys of an identity that are known, which may be none.
///
/// An account may hold only some of them, or the user may have given only some away. What needs all
/// three asks for [`complete`](Self::complete); what needs one, for that one.
#[derive(Debug, Default)]
pub struct KnownKeys {
    master: Option<SigningKey>,
    self_signing: Option<SigningKey>,
    user_signing: Option<SigningKey>,
}

impl KnownKeys {
    /// The keys of the published identity that these keys of secret storage open: those that are
    /// certain.
    #[must_use]
    pub fn stored(
        storage: &SecretStorage<'_>,
        keys: &[&SecretStorageKey],
        published_keys: &PublishedKeys,
    ) -> Self {
        let mut known = Self::default();
        for name in SecretName::cross_signing() {
            let copies = keys.iter().filter_map(|key| storage.open(&name, key).ok());
            for copy in copies {
                let verdict = published_keys.judge(&name, &copy.secret);
                if matches!(verdict, Ok(Verdict::Matches { .. })) {
                    // It was judged a moment ago.
                    let _ = known.learn(&name, &copy.secret, published_keys);
                }
            }
        }
        known
    }

    /// Takes a seed, as it was opened or received, unless it is not what its name says or belongs to
    /// another public key than the published one.
    ///
    /// The verdict tells whether there was anything to compare it with: only
    /// [`Verdict::Matches`] makes it certain.
    ///
    /// # Errors
    ///
    /// [`LearnError`]; nothing is learnt then.
    pub fn learn(
        &mut self,
        name: &SecretName,
        secret: &Secret,
        published_keys: &PublishedKeys,
    ) -> Result<Verdict, LearnError> {
        let slot = match SecretKind::of(name) {
            SecretKind::MasterKey => &mut self.master,
            SecretKind::SelfSigningKey => &mut self.self_signing,
            SecretKind::UserSigningKey => &mut self.user_signing,
            SecretKind::BackupKey | SecretKind::Other => return Err(LearnError::OtherName),
        };
        let verdict = published_keys.judge(name, secret)?;
        let seed = KeyValue::read(name, secret)?.bytes;
        *slot = Some(SigningKey::from_seed(&seed));
        Ok(verdict)
    }

    /// The master key, when it is known.
    #[must_use]
    pub fn master_key(&self) -> Option<&SigningKey> {
        self.master.as_ref()
    }

    /// The key that signs the user's own devices, when it is known.
    #[must_use]
    pub fn self_signing_key(&self) -> Option<&SigningKey> {
        self.self_signing.as_ref()
    }

    /// The same, for who needs nothing else.
    #[must_use]
    pub fn into_self_signing_key(self) -> Option<SigningKey> {
        self.self_signing
    }

    /// The key that signs the master keys of other users, when it is known.
    #[must_use]
    pub fn user_signing_key(&self) -> Option<&SigningKey> {
        self.user_signing.as_ref()
    }

    /// The names of the seeds that are not known.
    #[must_use]
    pub fn missing(&self) -> Vec<SecretName> {
        self.all()
            .into_iter()
            .filter(|(_, key)| key.is_none())
            .map(|(name, _)| name)
            .collect()
    }

    /// What secret storage keeps of those that are known, as unpadded base64.
    #[must_use]
    pub fn secrets(&self) -> Vec<(SecretName, Secret)> {
        self.all()
            .into_iter()
            .filter_map(|(name, key)| Some((name, seed_secret(key.as_ref()?))))
            .collect()
    }

    /// All three; signing keys that are missing are made. `None` without the master key, which is the
    /// identity.
    #[must_use]
    pub fn complete_with_new(self, rng: &mut impl CryptoRng) -> Option<CrossSigningKeys> {
        let new = CrossSigningKeys::generate(rng);
        Some(CrossSigningKeys {
            master: self.master?,
            self_signing: self.self_signing.unwrap_or(new.self_signing),
            user_signing: self.user_signing.unwrap_or(new.user_signing),
        })
    }

    /// All three, or `None` when one is [missing](Self::missing).
    #[must_use]
    pub fn complete(self) -> Option<CrossSigningKeys> {
        Some(CrossSigningKeys {
            master: self.master?,
            self_signing: self.self_signing?,
            user_signing: self.user_signing?,
        })
    }

    fn all(&self) -> [(SecretName, &Option<SigningKey>); 3] {
        [
            (SecretName::master_key(), &self.master),
            (SecretName::self_signing_key(), &self.self_signing),
            (SecretName::user_signing_key(), &self.user_signing),
        ]
    }
}

impl From<CrossSigningKeys> for KnownKeys {
    fn from(keys: CrossSigningKeys) -> Self {
        Self {
            master: Some(keys.master),
            self_signing: Some(keys.self_signing),
            user_signing: Some(keys.user_signing),
        }
    }
}

/// Why a secret is not taken for a cross-signing key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The secret of this name is not a cross-signing key.
    #[error("the secret of this name is not a cross-signing key")]
    OtherName,
    /// It is not what its name says.
    #[error(transparent)]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    LearnError:
    Self::OtherName { .. } => "learn_other_name",
    ;
    Self::Value(error) => error,
}

fn seed_secret(key: &SigningKey) -> Secret {
    Secret::new(base64::encode(key.expose_seed().as_slice()))
}

#[cfg(test)]
mod tests;

//! What the secrets of known names must be, and how to tell whether one is right.
//!
//! The MAC of an entry does not cover everything, old entries can be replayed, and an identity may
//! have been reset since. So a secret that has a public key is compared with it before it is used,
//! stored or shown.

use std::fmt;

use zeroize::Zeroizing;

use crate::algorithm::curve25519_aes_sha2;
use crate::identity::CrossSigningKeyError;
use crate::secret_name::{BACKUP_KEY, MASTER_KEY, SELF_SIGNING_KEY, USER_SIGNING_KEY};
use crate::signed_json::SigningKey;
use crate::{BackupVersion, PublishedIdentity, Quirk, Secret, SecretName, base64, recovery_key};

/// The kind of a secret, which follows from its name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SecretKind {
    /// The private key of the key backup: base64 of 32 bytes, Curve25519.
    BackupKey,
    /// The seed of the master cross-signing key: base64 of 32 bytes, Ed25519.
    MasterKey,
    /// Any other string.
    Other,
    /// The seed of the self-signing key.
    SelfSigningKey,
    /// The seed of the user-signing key.
    UserSigningKey,
}

impl SecretKind {
    /// The kind of the secrets with this name.
    #[must_use]
    pub fn of(name: &SecretName) -> Self {
        match name.as_str() {
            BACKUP_KEY => Self::BackupKey,
            MASTER_KEY => Self::MasterKey,
            SELF_SIGNING_KEY => Self::SelfSigningKey,
            USER_SIGNING_KEY => Self::UserSigningKey,
            _ => Self::Other,
        }
    }
}

/// The published keys that secrets can be compared with.
#[derive(Clone, Debug, Default)]
pub struct PublishedKeys {
    /// The public cross-signing keys of the user.
    pub identity: Option<PublishedIdentity>,
    /// The current version of the key backup.
    pub backup: Option<BackupVersion>,
}

impl PublishedKeys {
    /// Judges a secret by its kind.
    ///
    /// # Errors
    ///
    /// [`SecretValueError`]: it is not what its name says, or belongs to another public key than
    /// the published one.
    ///
    /// ```
    /// use fourfold::{PublishedKeys, Secret, SecretName, Verdict};
    /// let name = SecretName::new("org.example.token")?;
    /// let verdict = PublishedKeys::default().judge(&name, &Secret::new("anything"))?;
    /// assert_eq!(verdict, Verdict::Untyped);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn judge(&self, name: &SecretName, secret: &Secret) -> Result<Verdict, SecretValueError> {
        let kind = SecretKind::of(name);
        if kind == SecretKind::Other {
            return Ok(Verdict::Untyped);
        }
        let derived = public_key(kind, &KeyValue::read(name, secret)?.bytes);
        match self.published(kind) {
            None => Ok(Verdict::NothingToCompare { derived }),
            Some(Ok(published)) if published == derived => Ok(Verdict::Matches {
                public_key: derived,
            }),
            Some(Ok(published)) => Err(SecretValueError::Mismatch { derived, published }),
            Some(Err(error)) => Err(SecretValueError::Published { derived, error }),
        }
    }

    /// The value of a text that a person copied from a client which shows the private key of the key
    /// backup as a recovery key. `None` for any other text.
    ///
    /// The key of secret storage has the same form, and does not belong into itself: only with a
    /// published backup is there something to tell the two apart.
    pub(crate) fn read_shown(&self, name: &SecretName, text: &Secret) -> Option<Secret> {
        if SecretKind::of(name) != SecretKind::BackupKey || self.backup.is_none() {
            return None;
        }
        let bytes = recovery_key::decode(text.expose_secret()).ok()?;
        Some(KeyValue { bytes, quirk: None }.to_secret())
    }

    /// Whether the published master key signed the published backup, so that devices which trust the
    /// identity write to it.
    #[must_use]
    pub fn has_signed_backup(&self, user_id: &str) -> bool {
        let (Some(identity), Some(backup)) = (&self.identity, &self.backup) else {
            return false;
        };
        let master = identity.master_key();
        master.is_ok_and(|master| master.verify(backup.auth_data(), user_id).is_ok())
    }

    /// Whether a text is the recovery key of the published key backup. On paper it looks the same as
    /// one of secret storage, so that people take one for the other.
    #[must_use]
    pub fn is_recovery_key_of_backup(&self, text: &str) -> bool {
        let name = SecretName::backup_key();
        let shown = self.read_shown(&name, &Secret::new(text));
        shown.is_some_and(|key| matches!(self.judge(&name, &key), Ok(Verdict::Matches { .. })))
    }

    fn published(&self, kind: SecretKind) -> Option<Result<String, CrossSigningKeyError>> {
        let key = match kind {
            SecretKind::Other => return None,
            SecretKind::BackupKey => {
                return self.backup.as_ref().map(|backup| Ok(backup.public_key()));
            }
            SecretKind::MasterKey => self.identity.as_ref()?.master_key(),
            SecretKind::SelfSigningKey => self.identity.as_ref()?.self_signing_key(),
            SecretKind::UserSigningKey => self.identity.as_ref()?.user_signing_key(),
        };
        match key {
            Err(CrossSigningKeyError::NotPublished) => None,
            key => Some(key.map(|key| key.to_base64())),
        }
    }
}

/// The result of comparing a well-formed secret with the published keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It belongs to the published public key. This also proves that the IV was not changed.
    Matches {
        /// That key, as unpadded base64.
        public_key: String,
    },
    /// It is well formed, but no public key is known to compare it with.
    NothingToCompare {
        /// The public key that belongs to it, as unpadded base64.
        derived: String,
    },
    /// It is the private key of another version of the key backup than the current one. Only its owner
    /// is given one ([`Snapshot::open_for_owner`](crate::Snapshot::open_for_owner)).
    OtherVersion {
        /// The public key that belongs to it, as unpadded base64.
        derived: String,
        /// That of the current version.
        published: String,
    },
    /// Nothing is defined for this name.
    Untyped,
}

/// Why a secret is not what its name says. Public keys are no secrets; nothing else is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretValueError {
    /// Not base64 of 32 bytes.
    #[error("it {0}")]
    Base64(base64::DecodeError),
    /// A passthrough entry of 2019, which says that it is the key of secret storage itself, while no
    /// published backup has that key.
    #[error(
        "it says that it is the key of secret storage itself, and no published key backup has it"
    )]
    IsTheKey,
    /// It belongs to another public key than the one that is published.
    #[error("it belongs to the public key {derived}, but {published} is published")]
    Mismatch {
        /// The public key of the secret.
        derived: String,
        /// The public key on the server.
        published: String,
    },
    /// The published key cannot be relied on.
    #[error("it belongs to the public key {derived}, which cannot be compared: {error}")]
    Published {
        /// The public key of the secret.
        derived: String,
        /// The problem with the published key.
        error: CrossSigningKeyError,
    },
}

crate::error_code::error_codes! {
    SecretValueError:
    Self::Base64 { .. } => "secret_value_base64",
    Self::IsTheKey { .. } => "secret_value_is_the_key",
    Self::Mismatch { .. } => "secret_value_mismatch",
    Self::Published { .. } => "secret_value_published",
}

/// The 32 bytes of a key that is stored as a secret.
pub struct KeyValue {
    /// The seed or private key.
    pub bytes: Zeroizing<[u8; 32]>,
    /// The deviations of the text from what Fourfold writes.
    pub quirk: Option<Quirk>,
}

impl KeyValue {
    /// Reads the value of a cross-signing or backup key, in all forms that real accounts hold.
    ///
    /// # Errors
    ///
    /// [`SecretValueError::Base64`].
    pub fn read(name: &SecretName, secret: &Secret) -> Result<Self, SecretValueError> {
        let text = secret.expose_secret();
        if SecretKind::of(name) == SecretKind::BackupKey
            && let Some(bytes) = comma_separated(text)
        {
            return Self::from_slice(&bytes, Some(Quirk::CommaSeparatedBytes));
        }
        let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
        let decoded = base64::decode(trimmed).map_err(SecretValueError::Base64)?;
        let quirk = if trimmed.len() != text.len() {
            Some(Quirk::SurroundingWhiteSpace)
        } else {
            decoded.quirks.first().copied().map(Quirk::from)
        };
        Self::from_slice(&decoded.bytes, quirk)
    }

    fn from_slice(slice: &[u8], quirk: Option<Quirk>) -> Result<Self, SecretValueError> {
        let mut bytes = Zeroizing::new([0; 32]);
        if slice.len() != bytes.len() {
            let (expected, found) = (bytes.len(), slice.len());
            return Err(SecretValueError::Base64(base64::DecodeError::Size {
                expected,
                found,
            }));
        }
        bytes.copy_from_slice(slice);
        Ok(Self { bytes, quirk })
    }

    /// The value as Fourfold writes it: unpadded base64.
    #[must_use]
    pub fn to_secret(&self) -> Secret {
        Secret::new(base64::encode(self.bytes.as_slice()))
    }
}

impl fmt::Debug for KeyValue {
    /// Leaves the bytes out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyValue")
            .field("quirk", &self.quirk)
            .finish_non_exhaustive()
    }
}

/// The value in the form that is written, where its kind is known.
pub(crate) fn normalise(name: &SecretName, secret: &Secret) -> Option<Secret> {
    if SecretKind::of(name) == SecretKind::Other {
        return None;
    }
    KeyValue::read(name, secret)
        .ok()
        .map(|value| value.to_secret())
}

/// Returns `true` if two texts are the same value, where a key can be written in several ways.
pub(crate) fn is_same_value(name: &SecretName, left: &Secret, right: &Secret) -> bool {
    let (left_key, right_key) = (normalise(name, left), normalise(name, right));
    left_key
        .as_ref()
        .unwrap_or(left)
        .is_same(right_key.as_ref().unwrap_or(right))
}

/// The public key that belongs to a private one, as unpadded base64.
fn public_key(kind: SecretKind, bytes: &Zeroizing<[u8; 32]>) -> String {
    match kind {
        SecretKind::BackupKey => base64::encode(curve25519_aes_sha2::public_key(bytes)),
        _ => SigningKey::from_seed(bytes).public_key().to_base64(),
    }
}

fn comma_separated(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let numbers = || text.split(',');
    // The buffer has its full size at once, so that no growth leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(numbers().count()));
    for number in numbers() {
        bytes.push(number.parse().ok()?);
    }
    (bytes.len() > 1).then_some(bytes)
}

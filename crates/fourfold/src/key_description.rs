//! The description of a secret storage key: its public half in account data.

use std::borrow::Cow;

use subtle::ConstantTimeEq as _;

use crate::algorithm::{MemberProblem, aes_hmac_sha2, curve25519_aes_sha2};
use crate::key::KeyMaterial;
use crate::passphrase::{ParametersError, PassphraseParameters};
use crate::signable::Kind;
use crate::signed_json::{PublicKey, SignatureError};
use crate::{Algorithm, Content, ContentError, KeyId, SecretStorageKey, base64};

/// What `m.secret_storage.key.<ID>` says about a key
/// ([Key storage](https://spec.matrix.org/v1.19/client-server-api/#key-storage)).
///
/// Members are read when they are asked for, so that a malformed one hides none of the others, and
/// all of them survive a rewrite.
///
/// ```
/// use fourfold::{Algorithm, Content, KeyDescription, KeyId};
/// let content = Content::from_json(r#"{"algorithm": "m.secret_storage.v1.aes-hmac-sha2"}"#)?;
/// let description = KeyDescription::new(KeyId::new("abc")?, content)?;
/// assert_eq!(description.algorithm(), Some(Algorithm::AesHmacSha2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct KeyDescription {
    id: KeyId,
    algorithm_name: String,
    content: Content,
}

impl KeyDescription {
    /// Takes the content of the event.
    ///
    /// # Errors
    ///
    /// [`KeyDescriptionError`] when it was deleted or names no algorithm.
    pub fn new(id: KeyId, content: Content) -> Result<Self, KeyDescriptionError> {
        if content.is_empty() {
            return Err(KeyDescriptionError::Deleted);
        }
        match content.get::<String>("algorithm") {
            Some(Ok(algorithm_name)) => Ok(Self {
                id,
                algorithm_name,
                content,
            }),
            _ => Err(KeyDescriptionError::MissingAlgorithm),
        }
    }

    /// For a key made here, whose content is known to be right.
    pub(crate) fn assemble(id: KeyId, algorithm: Algorithm, content: Content) -> Self {
        Self {
            id,
            algorithm_name: algorithm.name().to_owned(),
            content,
        }
    }

    /// The ID of the key.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// The algorithm, or `None` when it is one that Fourfold does not know.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::from_name(&self.algorithm_name)
    }

    /// The name of the algorithm, known or not. Untrusted text.
    #[must_use]
    pub fn algorithm_name(&self) -> &str {
        &self.algorithm_name
    }

    /// The name that the user gave to the key. Untrusted text: the server can change it.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.content
            .get::<String>("name")?
            .ok()
            .filter(|name| !name.is_empty())
    }

    /// How a passphrase is turned into this key, or `None` when it has no passphrase.
    ///
    /// # Errors
    ///
    /// [`ParametersError`] when it has one that cannot be used; the recovery key still can.
    pub fn passphrase(&self) -> Option<Result<PassphraseParameters, ParametersError>> {
        match self.content.object("passphrase")? {
            Ok(content) => Some(PassphraseParameters::from_content(&content)),
            // An error in the tables of the specification calls it a string: no passphrase then.
            Err(ContentError::NotAnObject) => None,
            Err(_) => Some(Err(ParametersError::Malformed)),
        }
    }

    /// The whole content, with every member as it was received.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Checks whether a private key belongs to this description.
    ///
    /// For `aes-hmac-sha2` the check data is `iv` and `mac`, for `curve25519-aes-sha2` it is
    /// `pubkey`. The deviations of other clients that are known from real accounts are accepted and
    /// reported as [`Quirk`]s. A key of another algorithm never belongs to it.
    ///
    /// # Errors
    ///
    /// [`KeyCheckError`] when the check data is there but damaged, or the algorithm is unknown.
    pub fn check(&self, key: &SecretStorageKey) -> Result<KeyCheck, KeyCheckError> {
        match (self.algorithm(), key.material()) {
            (None, _) => Err(KeyCheckError::UnsupportedAlgorithm),
            (Some(Algorithm::AesHmacSha2), KeyMaterial::AesHmacSha2(key)) => self.check_mac(key),
            (Some(Algorithm::Curve25519AesSha2), KeyMaterial::Curve25519AesSha2(key)) => {
                self.check_public_key(key)
            }
            (Some(Algorithm::AesHmacSha2 | Algorithm::Curve25519AesSha2), _) => {
                Ok(KeyCheck::from_comparison(false, Vec::new()))
            }
        }
    }

    /// Verifies that the master cross-signing key of a user signed this description, as MSC1946
    /// demanded in 2019 before anyone may encrypt to the key.
    ///
    /// The signature does not cover the key ID.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]: no signature, not by this key over this description, or an object that
    /// could be taken for another kind, too.
    pub fn verify_signature(
        &self,
        user_id: &str,
        master_key: &PublicKey,
    ) -> Result<(), SignatureError> {
        Kind::KeyDescription.check(&self.content)?;
        master_key.verify(&self.content, user_id)
    }

    /// The public key of a `curve25519-aes-sha2` key; `None` when it is missing.
    pub(crate) fn public_key(&self) -> Result<Option<[u8; 32]>, KeyCheckError> {
        let Some(public_key) = self.check_member("pubkey")? else {
            return Ok(None);
        };
        let bytes =
            base64::decode_array::<32>(&public_key).map_err(|error| KeyCheckError::Corrupt {
                member: "pubkey",
                problem: error.into(),
            })?;
        Ok(Some(*bytes))
    }

    fn check_public_key(&self, key: &[u8; 32]) -> Result<KeyCheck, KeyCheckError> {
        let Some(stored) = self.public_key()? else {
            return Ok(KeyCheck::UNVERIFIABLE);
        };
        let ours = curve25519_aes_sha2::public_key(key);
        Ok(KeyCheck::from_comparison(
            ours.ct_eq(&stored).into(),
            Vec::new(),
        ))
    }

    fn check_mac(&self, key: &aes_hmac_sha2::Key) -> Result<KeyCheck, KeyCheckError> {
        let (iv_text, mac_text) = match (self.check_member("iv")?, self.check_member("mac")?) {
            (None, None) => return Ok(KeyCheck::UNVERIFIABLE),
            (Some(iv), Some(mac)) => (iv, mac),
            (None, Some(_)) => return Err(corrupt("iv", MemberProblem::Missing)),
            (Some(_), None) => return Err(corrupt("mac", MemberProblem::Missing)),
        };
        let iv = base64::decode(&iv_text).map_err(|error| corrupt("iv", error.into()))?;
        let mac = base64::decode(&mac_text).map_err(|error| corrupt("mac", error.into()))?;
        let mut quirks = Vec::new();
        for quirk in iv
            .quirks
            .iter()
            .chain(&mac.quirks)
            .copied()
            .map(Quirk::from)
        {
            if !quirks.contains(&quirk) {
                quirks.push(quirk);
            }
        }
        let found = iv.bytes.len();
        let wrong_iv = || {
            corrupt(
                "iv",
                base64::DecodeError::Size {
                    expected: 16,
                    found,
                }
                .into(),
            )
        };
        if found > LONGEST_IV {
            return Err(wrong_iv());
        }
        let iv: [u8; 16] = *iv.bytes.first_chunk().ok_or_else(wrong_iv)?;
        if found > iv.len() {
            quirks.push(Quirk::LongIv);
        }
        let mac: [u8; 32] = mac.bytes.as_slice().try_into().map_err(|_| {
            let found = mac.bytes.len();
            corrupt(
                "mac",
                base64::DecodeError::Size {
                    expected: 32,
                    found,
                }
                .into(),
            )
        })?;
        let fits = |iv| -> bool { aes_hmac_sha2::key_check_mac(key, iv).ct_eq(&mac).into() };
        let cleared = aes_hmac_sha2::clear_bit_63(iv);
        if cleared == iv {
            return Ok(KeyCheck::from_comparison(fits(&iv), quirks));
        }
        // trixnity and old matrix-js-sdk stored one IV and computed the MAC with another.
        match (fits(&iv), fits(&cleared)) {
            (true, _) => quirks.push(Quirk::IvBit63Set),
            (false, true) => quirks.push(Quirk::MacOverClearedIv),
            (false, false) => return Ok(KeyCheck::from_comparison(false, quirks)),
        }
        Ok(KeyCheck::from_comparison(true, quirks))
    }

    fn check_member(&self, member: &'static str) -> Result<Option<Cow<'_, str>>, KeyCheckError> {
        self.content
            .text(member)
            .transpose()
            .map_err(|_| corrupt(member, MemberProblem::NotAString))
    }
}

/// The result of checking a private key against a description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCheck {
    /// Whether the key belongs to the description.
    pub outcome: KeyCheckOutcome,
    /// How the check data deviates from what the specification says.
    pub quirks: Vec<Quirk>,
}

impl KeyCheck {
    const UNVERIFIABLE: Self = Self {
        outcome: KeyCheckOutcome::Unverifiable,
        quirks: Vec::new(),
    };

    fn from_comparison(fits: bool, quirks: Vec<Quirk>) -> Self {
        let outcome = if fits {
            KeyCheckOutcome::Verified
        } else {
            KeyCheckOutcome::Mismatch
        };
        Self { outcome, quirks }
    }
}

/// Whether a private key belongs to a description.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three outcomes are the whole truth"
)]
pub enum KeyCheckOutcome {
    /// It does.
    Verified,
    /// The description holds no check data: any key looks right. Opening a secret will tell.
    Unverifiable,
    /// It does not.
    Mismatch,
}

/// A known deviation of other clients in the check data of a key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Quirk {
    /// The IV has bit 63 set (mautrix, matrix-ios-sdk).
    IvBit63Set,
    /// The IV is longer than 16 bytes; only the first 16 count (nheko).
    LongIv,
    /// The MAC was computed with bit 63 of the stored IV cleared (trixnity, old matrix-js-sdk).
    MacOverClearedIv,
    /// Padded base64 (matrix-js-sdk and others).
    PaddedBase64,
    /// Base64 whose last symbol carries unused bits.
    TrailingBits,
}

impl From<base64::Quirk> for Quirk {
    fn from(quirk: base64::Quirk) -> Self {
        match quirk {
            base64::Quirk::Padded => Self::PaddedBase64,
            base64::Quirk::TrailingBits => Self::TrailingBits,
        }
    }
}

/// Why the content of an event describes no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDescriptionError {
    /// Not the content of an account-data event.
    #[error("the key description {0}")]
    Content(#[from] ContentError),
    /// `{}`: the key was deleted.
    #[error("the key was deleted")]
    Deleted,
    /// No event of that type.
    #[error("there is no such key")]
    Missing,
    /// `algorithm` is missing or no string.
    #[error("the key description names no algorithm")]
    MissingAlgorithm,
}

/// Why a private key cannot be checked against a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyCheckError {
    /// The check data is damaged. The key may still open secrets.
    #[error("the check data of the key is damaged: {member} {problem}")]
    Corrupt {
        /// The member of the description.
        member: &'static str,
        /// What is wrong with it.
        problem: MemberProblem,
    },
    /// The description names an algorithm that Fourfold does not know.
    #[error("the key uses an unknown algorithm")]
    UnsupportedAlgorithm,
}

/// mautrix accepts IVs up to three times as long as they should be; nothing longer was ever seen.
const LONGEST_IV: usize = 48;

fn corrupt(member: &'static str, problem: MemberProblem) -> KeyCheckError {
    KeyCheckError::Corrupt { member, problem }
}

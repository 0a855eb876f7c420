//! The description of a secret storage key: its public half in account data.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::algorithm::MemberProblem;
use crate::passphrase::{ParametersError, PassphraseParameters};
use crate::signable::Kind;
use crate::signed_json::{PublicKey, SignatureError};
use crate::{Algorithm, Content, ContentError, KeyId, Quirk, base64};

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

    /// The parameters that derive this key from a passphrase; `None` if it has no passphrase.
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

    /// The deviations of its check data that can be seen without the private key. Whether the MAC was
    /// made with the IV as it is stored, [`check`](Self::check) tells.
    #[must_use]
    pub fn quirks(&self) -> BTreeSet<Quirk> {
        let mut quirks = Quirk::of_base64(&self.content, &["iv", "mac", "pubkey"]);
        quirks.extend(Quirk::of_iv(&self.content));
        quirks
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

    /// A member of the check data.
    pub(crate) fn check_member(
        &self,
        member: &'static str,
    ) -> Result<Option<Cow<'_, str>>, KeyCheckError> {
        self.content
            .text(member)
            .transpose()
            .map_err(|_| corrupt(member, MemberProblem::NotAString))
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

crate::error_code::error_codes! {
    KeyDescriptionError:
    Self::Content { .. } => "key_description_content",
    Self::Deleted { .. } => "key_description_deleted",
    Self::Missing { .. } => "key_description_missing",
    Self::MissingAlgorithm { .. } => "key_description_missing_algorithm",
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
        /// The problem.
        problem: MemberProblem,
    },
    /// The description names an algorithm that Fourfold does not know.
    #[error("the key uses an unknown algorithm")]
    UnsupportedAlgorithm,
}

crate::error_code::error_codes! {
    KeyCheckError:
    Self::Corrupt { .. } => "key_check_corrupt",
    Self::UnsupportedAlgorithm { .. } => "key_check_unsupported_algorithm",
}

pub(crate) fn corrupt(member: &'static str, problem: MemberProblem) -> KeyCheckError {
    KeyCheckError::Corrupt { member, problem }
}

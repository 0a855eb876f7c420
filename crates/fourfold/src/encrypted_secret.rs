//! A secret as it lies in account data: encrypted under one or more keys.

use std::collections::BTreeMap;

use crate::key::is_passthrough;
use crate::{Content, ContentError, KeyId};

/// The state of the account data under a secret's name.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every state of the event is listed"
)]
pub enum SecretState {
    /// No event.
    Absent,
    /// `{}`: deleted.
    Deleted,
    /// `{"encrypted": {}}`: deleted by a client that keeps the shape.
    Emptied,
    /// Encrypted under at least one key.
    Encrypted(EncryptedSecret),
    /// Damaged.
    Malformed(EncryptedSecretError),
    /// Account data of another kind.
    NotASecret,
    /// `null`.
    Null,
}

/// The content `{"encrypted": {key ID: entry, …}, …}`
/// ([Secret storage](https://spec.matrix.org/v1.19/client-server-api/#storage)).
///
/// Entries are not looked into until they are opened, so that one malformed entry never hides
/// another. Entries of other keys and members beside `encrypted` survive every rewrite.
#[derive(Clone, Debug)]
pub struct EncryptedSecret {
    content: Content,
    entries: BTreeMap<KeyId, Entry>,
}

/// One entry, not interpreted: how to read it depends on the algorithm of its key.
pub type Entry = Result<Content, ContentError>;

impl EncryptedSecret {
    /// Most entries that are read; no user has that many keys.
    pub const MAX_ENTRIES: usize = 64;

    /// Reads the JSON text of a secret's account data.
    ///
    /// # Errors
    ///
    /// [`EncryptedSecretError`] when it is not an object, damaged, or no secret at all.
    ///
    /// ```
    /// let secret = fourfold::EncryptedSecret::from_json(r#"{"encrypted": {"abc": {}}, "x": 1}"#)?;
    /// assert_eq!(secret.key_ids().map(|id| id.as_str()).collect::<Vec<_>>(), ["abc"]);
    /// # Ok::<(), fourfold::EncryptedSecretError>(())
    /// ```
    pub fn from_json(json: &str) -> Result<Self, EncryptedSecretError> {
        match SecretState::from_json(json) {
            SecretState::Encrypted(secret) => Ok(secret),
            SecretState::Malformed(error) => Err(error),
            SecretState::Null => Err(EncryptedSecretError::Content(ContentError::NotAnObject)),
            _ => Err(EncryptedSecretError::NotEncrypted),
        }
    }

    /// The keys that it is encrypted under, in order.
    pub fn key_ids(&self) -> impl Iterator<Item = &KeyId> {
        self.entries.keys()
    }

    /// The entry under a key.
    #[must_use]
    pub fn entry(&self, id: &KeyId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// Returns `true` if it has the broken form that matrix-js-sdk wrote in the winter of 2019:
    /// `{key ID: {"passthrough": true}}` without `encrypted` around it.
    #[must_use]
    pub fn is_passthrough_without_encrypted(&self) -> bool {
        self.content.raw(ENCRYPTED).is_none()
    }

    /// The whole content, with every member as it was received.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The content with one more entry, or with another one in its place.
    pub(crate) fn with_entry(&self, id: &KeyId, entry: &Content) -> Content {
        self.with_encrypted(|encrypted| encrypted.insert(id.as_str(), entry))
    }

    /// The content with one entry less.
    pub(crate) fn without_entry(&self, id: &KeyId) -> Content {
        self.with_encrypted(|encrypted| {
            encrypted.remove(id.as_str());
        })
    }

    fn with_encrypted(&self, change: impl FnOnce(&mut Content)) -> Content {
        let mut content = self.content.clone();
        if self.is_passthrough_without_encrypted() {
            // Repaired on the way: the entry moves to where it belongs.
            let mut encrypted = Content::default();
            std::mem::swap(&mut encrypted, &mut content);
            change(&mut encrypted);
            content.insert(ENCRYPTED, &encrypted);
        } else {
            let mut encrypted = content
                .object(ENCRYPTED)
                .and_then(Result::ok)
                .unwrap_or_default();
            change(&mut encrypted);
            content.insert(ENCRYPTED, &encrypted);
        }
        content
    }
}

impl SecretState {
    /// Looks at the JSON text of account data.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        if json == "null" {
            return Self::Null;
        }
        match Content::from_json(json) {
            Ok(content) => Self::of(content),
            Err(error) => Self::Malformed(EncryptedSecretError::Content(error)),
        }
    }

    /// Looks at the content of account data.
    pub(crate) fn of(content: Content) -> Self {
        if content.is_empty() {
            return Self::Deleted;
        }
        let encrypted = match content.object(ENCRYPTED) {
            Some(Ok(encrypted)) => encrypted,
            Some(Err(ContentError::DuplicateMember)) => {
                return Self::Malformed(ContentError::DuplicateMember.into());
            }
            Some(Err(_)) => return Self::Malformed(EncryptedSecretError::Encrypted),
            None => return Self::without_encrypted(content),
        };
        if encrypted.is_empty() {
            return Self::Emptied;
        }
        let entries: BTreeMap<KeyId, Entry> = encrypted
            .members()
            .filter_map(|id| Some((KeyId::new(id).ok()?, encrypted.object(id)?)))
            .collect();
        if encrypted.members().count() > EncryptedSecret::MAX_ENTRIES {
            Self::Malformed(EncryptedSecretError::TooManyEntries)
        } else if entries.values().any(is_object) {
            Self::Encrypted(EncryptedSecret { content, entries })
        } else {
            // Other encrypted account data has its ciphertext right here, without a key ID.
            Self::NotASecret
        }
    }

    fn without_encrypted(content: Content) -> Self {
        let mut members = content.members();
        let (Some(member), None) = (members.next(), members.next()) else {
            return Self::NotASecret;
        };
        match (KeyId::new(member), content.object(member)) {
            (Ok(id), Some(Ok(entry))) if is_passthrough(&entry) => {
                let entries = BTreeMap::from([(id, Ok(entry))]);
                drop(members);
                Self::Encrypted(EncryptedSecret { content, entries })
            }
            _ => Self::NotASecret,
        }
    }
}

/// Why account data is not an encrypted secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptedSecretError {
    /// Not the content of an account-data event.
    #[error("the secret's account data {0}")]
    Content(#[from] ContentError),
    /// `encrypted` is not an object.
    #[error("the secret's account data has a damaged \"encrypted\"")]
    Encrypted,
    /// Nothing is encrypted there.
    #[error("the account data holds no encrypted secret")]
    NotEncrypted,
    /// More than [`EncryptedSecret::MAX_ENTRIES`] entries.
    #[error(
        "the secret is encrypted under more than {} keys",
        EncryptedSecret::MAX_ENTRIES
    )]
    TooManyEntries,
}

crate::error_code::error_codes! {
    EncryptedSecretError:
    Self::Content { .. } => "encrypted_secret_content",
    Self::Encrypted { .. } => "encrypted_secret_encrypted",
    Self::NotEncrypted { .. } => "encrypted_secret_not_encrypted",
    Self::TooManyEntries { .. } => "encrypted_secret_too_many_entries",
}

impl EncryptedSecretError {
    /// Returns `true` if there may be entries that only this crate does not read.
    pub(crate) fn can_hide_entries(self) -> bool {
        match self {
            Self::Content(error) => {
                !matches!(error, ContentError::NotAnObject | ContentError::NotJson)
            }
            Self::Encrypted | Self::NotEncrypted => false,
            Self::TooManyEntries => true,
        }
    }
}

pub(crate) const ENCRYPTED: &str = "encrypted";

fn is_object(entry: &Entry) -> bool {
    !matches!(entry, Err(ContentError::NotAnObject))
}

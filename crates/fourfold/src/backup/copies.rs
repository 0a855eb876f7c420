//! The private keys that are at hand, and where each lies.

use super::{BackupKey, former};
use crate::{BackupVersion, KeyId, Secret, SecretName, SecretStorage, SecretStorageKey};

/// A private key of the key backup that is at hand.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyCopy {
    /// The key.
    pub key: BackupKey,
    /// Where it lies.
    pub from: CopyFrom,
}

impl KeyCopy {
    /// A key that lies elsewhere than in secret storage. `None` when the value is none.
    #[must_use]
    pub fn of(value: &Secret, from: CopyFrom) -> Option<Self> {
        let key = BackupKey::read_typed(value).ok()?;
        Some(Self { key, from })
    }
}

/// Where a private key of the key backup lies.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "there must be words for each of them"
)]
pub enum CopyFrom {
    /// In secret storage.
    Stored {
        /// Under this name.
        name: SecretName,
        /// Encrypted under this key.
        key_id: KeyId,
    },
    /// On this machine, sealed.
    ThisMachine,
    /// The user gave it.
    Given,
}

/// All copies in secret storage that these keys open: under the standard name, and those of former
/// versions.
#[must_use]
pub fn stored_copies(storage: &SecretStorage<'_>, keys: &[&SecretStorageKey]) -> Vec<KeyCopy> {
    let mut copies = Vec::new();
    let standard = SecretName::backup_key();
    let others = storage.names().filter(former::is_name);
    for name in std::iter::once(standard).chain(others) {
        for key in keys {
            let opened = storage.open_entry(&name, key).ok();
            let copy = opened.and_then(|opened| BackupKey::read(&opened.secret).ok());
            copies.extend(copy.map(|copy| KeyCopy {
                key: copy,
                from: CopyFrom::Stored {
                    name: name.clone(),
                    key_id: key.id().clone(),
                },
            }));
        }
    }
    copies
}

/// The copies that are the private key of a version.
pub fn fitting<'a>(
    copies: &'a [KeyCopy],
    version: &BackupVersion,
) -> impl Iterator<Item = &'a KeyCopy> {
    copies.iter().filter(|copy| copy.key.is_key_of(version))
}

//! The names under which the private keys of former versions of the key backup are kept.
//!
//! They are secrets as every other: `org.fourfold.megolm_backup.v1.` and the version. Where the version
//! is not known, or is no plain word, `key.` and the beginning of the public key stand for it.

use std::fmt::Write as _;

use super::BackupKey;
use crate::{BackupVersion, SecretName};

/// The name under which the private key of a version is kept; `None` for a version that is no plain
/// word, which servers do not give out.
///
/// ```
/// use fourfold::backup::former;
/// let name = former::name_of_version("7").unwrap();
/// assert_eq!(name.as_str(), "org.fourfold.megolm_backup.v1.7");
/// assert_eq!(former::version_of(&name), Some("7"));
/// assert!(former::name_of_version("../7").is_none());
/// ```
#[must_use]
pub fn name_of_version(version: &str) -> Option<SecretName> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if version.is_empty() || version.len() > MAX_VERSION || !version.bytes().all(is_plain) {
        return None;
    }
    SecretName::new(format!("{PREFIX}{version}")).ok()
}

/// Whether a private key of a former version is kept under this name.
#[must_use]
pub fn is_name(name: &SecretName) -> bool {
    name.as_str().starts_with(PREFIX)
}

/// The version that a name says, of a key that is kept under it.
#[must_use]
pub fn version_of(name: &SecretName) -> Option<&str> {
    let version = name.as_str().strip_prefix(PREFIX)?;
    (!version.starts_with(BY_KEY)).then_some(version)
}

/// The names for a private key, the best first: by the version that it belongs to, and by itself.
pub(crate) fn names_for<'a>(
    key: &BackupKey,
    mut versions: impl Iterator<Item = &'a BackupVersion>,
) -> impl Iterator<Item = SecretName> {
    let version = versions.find(|version| key.is_key_of(version));
    let by_version = version.and_then(|version| name_of_version(version.version()));
    by_version.into_iter().chain(name_of_key(key))
}

fn name_of_key(key: &BackupKey) -> Option<SecretName> {
    let mut name = format!("{PREFIX}{BY_KEY}");
    for byte in key.public_bytes().iter().take(16) {
        // Writing to a string does not fail.
        let _ = write!(name, "{byte:02x}");
    }
    SecretName::new(name).ok()
}

const PREFIX: &str = "org.fourfold.megolm_backup.v1.";
const BY_KEY: &str = "key.";

/// Longer than any server counts.
const MAX_VERSION: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewKeyBackup;
    use crate::testing::rng;

    #[test]
    fn the_version_is_in_the_name_where_it_is_known_and_plain() {
        let new = NewKeyBackup::random(&mut rng());
        let key = BackupKey::read(&new.secret()).unwrap();
        let shown = |version: &str| {
            let mut answer = new.to_content();
            answer.insert("version", version);
            BackupVersion::from_json(&answer.to_json()).unwrap()
        };
        for (version, expected) in [
            ("12", Some("12")),
            ("a b", None),
            ("ü", None),
            ("key.1", None),
        ] {
            let versions = [shown(version)];
            let first = names_for(&key, versions.iter()).next().unwrap();
            assert!(is_name(&first));
            assert_eq!(version_of(&first), expected, "{version}");
        }
        let unknown = names_for(&key, [].into_iter()).next().unwrap();
        assert!(
            unknown
                .as_str()
                .starts_with("org.fourfold.megolm_backup.v1.key.")
        );
        assert_eq!(unknown.as_str().len(), PREFIX.len() + BY_KEY.len() + 32);
        assert!(!is_name(&SecretName::backup_key()));
    }
}

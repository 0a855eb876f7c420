//! The name of a secret, which is also the type of the account data that holds it.

use serde::{Deserialize, Serialize};

use crate::identifier::identifier_conversions;

/// The name of a secret: the event type of its account data, the HKDF info of its encryption and
/// the `name` in requests to other devices.
///
/// ```
/// use fourfold::{SecretName, SecretNameError};
/// let name = SecretName::new("org.example.token")?;
/// assert_eq!(name.as_str(), "org.example.token");
/// assert_eq!(SecretName::new("m.push_rules"), Err(SecretNameError::Reserved));
/// # Ok::<(), SecretNameError>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

impl SecretName {
    /// Accepts any event type that can hold a secret, exactly as it is written.
    ///
    /// # Errors
    ///
    /// [`SecretNameError`]: empty, reserved for something else, or unusable as an event type.
    pub fn new(name: impl Into<String>) -> Result<Self, SecretNameError> {
        let name = name.into();
        if name.is_empty() {
            Err(SecretNameError::Empty)
        } else if name.len() > MAX_EVENT_TYPE_BYTES {
            Err(SecretNameError::TooLong)
        } else if name.chars().any(char::is_control) || name == "." || name == ".." {
            Err(SecretNameError::Unusable)
        } else if is_reserved(&name) {
            Err(SecretNameError::Reserved)
        } else {
            Ok(Self(name))
        }
    }

    /// `m.cross_signing.master`: the seed of the master cross-signing key.
    #[must_use]
    pub fn master_key() -> Self {
        Self(MASTER_KEY.to_owned())
    }

    /// `m.cross_signing.self_signing`: the seed of the key that signs the user's own devices.
    #[must_use]
    pub fn self_signing_key() -> Self {
        Self(SELF_SIGNING_KEY.to_owned())
    }

    /// `m.cross_signing.user_signing`: the seed of the key that signs other users' master keys.
    #[must_use]
    pub fn user_signing_key() -> Self {
        Self(USER_SIGNING_KEY.to_owned())
    }

    /// `m.megolm_backup.v1`: the private key of the key backup.
    #[must_use]
    pub fn backup_key() -> Self {
        Self(BACKUP_KEY.to_owned())
    }

    /// The names of the standard secrets, which every client of the user expects under the default
    /// key: the three cross-signing keys, the master key first, and the key of the backup
    /// ([Recommended client behaviour](https://spec.matrix.org/v1.19/client-server-api/#recommended-client-behaviour)).
    ///
    /// ```
    /// use fourfold::SecretName;
    /// assert_eq!(SecretName::standard()[3], SecretName::backup_key());
    /// ```
    #[must_use]
    pub fn standard() -> [Self; 4] {
        let [master, self_signing, user_signing] = Self::cross_signing();
        [master, self_signing, user_signing, Self::backup_key()]
    }

    /// The names of the three cross-signing keys, the master key first.
    #[must_use]
    pub fn cross_signing() -> [Self; 3] {
        [
            Self::master_key(),
            Self::self_signing_key(),
            Self::user_signing_key(),
        ]
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text cannot name a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretNameError {
    /// Nothing. The empty name would share its keys with the key check.
    #[error("the name of a secret must not be empty")]
    Empty,
    /// The event type has another meaning in Matrix.
    #[error("this name is reserved: its account data is not a secret")]
    Reserved,
    /// More than 255 bytes.
    #[error("the name of a secret must not be longer than {MAX_EVENT_TYPE_BYTES} bytes")]
    TooLong,
    /// `.`, `..`, or control characters: no such event type can be addressed.
    #[error("the name of a secret must not contain control characters or be a dot segment")]
    Unusable,
}

crate::error_code::error_codes! {
    SecretNameError:
    Self::Empty { .. } => "secret_name_empty",
    Self::Reserved { .. } => "secret_name_reserved",
    Self::TooLong { .. } => "secret_name_too_long",
    Self::Unusable { .. } => "secret_name_unusable",
}

/// The longest event type that is written, in bytes.
pub(crate) const MAX_EVENT_TYPE_BYTES: usize = 255;

pub(crate) const MASTER_KEY: &str = "m.cross_signing.master";
pub(crate) const SELF_SIGNING_KEY: &str = "m.cross_signing.self_signing";
pub(crate) const USER_SIGNING_KEY: &str = "m.cross_signing.user_signing";
pub(crate) const BACKUP_KEY: &str = "m.megolm_backup.v1";

/// Account data that Matrix defines to hold something else, readable to the server.
const RESERVED: [&str; 14] = [
    "m.accepted_terms",
    "m.direct",
    "m.fully_read",
    "m.identity_server",
    "m.ignored_user_list",
    "m.invite_permission_config",
    "m.key_backup",
    "m.marked_unread",
    "m.media_preview_config",
    "m.org.matrix.custom.backup_disabled",
    "m.push_rules",
    "m.recent_emoji",
    "m.tag",
    "m.widgets",
];

fn is_reserved(name: &str) -> bool {
    name == "m.secret_storage" || name.starts_with("m.secret_storage.") || RESERVED.contains(&name)
}

identifier_conversions!(SecretName, SecretNameError);

#[cfg(test)]
mod tests {
    use super::*;

    // shows: LIB-08, LIB-14, STO-11, SE-15
    #[test]
    fn names_that_could_hide_something_else_are_refused() {
        use SecretNameError::{Empty, Reserved, TooLong, Unusable};
        for (name, error) in [
            ("", Empty),
            ("m.secret_storage.default_key", Reserved),
            ("m.secret_storage.key.abc", Reserved),
            ("m.push_rules", Reserved),
            ("..", Unusable),
            ("a\0b", Unusable),
            (&"x".repeat(256), TooLong),
        ] {
            assert_eq!(SecretName::new(name), Err(error), "{name}");
        }
        for name in ["a/b", "trailing ", "🔑", "__proto__", &"x".repeat(255)] {
            assert_eq!(SecretName::new(name).unwrap().as_str(), name);
        }
    }
}

//! What changed on the server since it was last seen.

use std::fmt;

use fourfold::KeyId;

use crate::escape_untrusted;

/// A difference between what the server says and what local state remembers.
///
/// Another client of the user may be the reason, or a server that lies; local state cannot tell.
/// What no honest client does in normal use is [suspicious](Self::is_suspicious).
///
/// ```
/// use fourfold_client::Change;
/// let change = Change::RolledBack { event_type: "m.megolm_backup.v1".to_owned() };
/// assert!(change.is_suspicious());
/// assert_eq!(
///     change.to_string(),
///     "m.megolm_backup.v1 is back at what it was before it was replaced",
/// );
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// An event of secret storage that was not there before.
    Added {
        /// Its type, untrusted text.
        event_type: String,
    },
    /// The default key is another one.
    DefaultKeyChanged {
        /// The key that was the default.
        from: Option<KeyId>,
        /// The key that is the default now; `None` when the event names none.
        to: Option<KeyId>,
    },
    /// Something was there and is not any more: the event is missing, `{}` or `null`.
    Disappeared {
        /// Its type, untrusted text.
        event_type: String,
    },
    /// The description of a key is another one.
    KeyDescriptionChanged {
        /// The key.
        key_id: KeyId,
        /// Whether a passphrase became easier to guess, or a wrong key harder to notice.
        weakened: bool,
        /// What changed, in words.
        what: String,
    },
    /// The content, or the entry of one key in it, is one that was there before and had been
    /// replaced since.
    RolledBack {
        /// Its type, untrusted text.
        event_type: String,
    },
    /// A secret has another content: another value, or other keys.
    SecretChanged {
        /// The name, untrusted text.
        name: String,
    },
}

impl Change {
    /// Whether it looks like a server that takes something back or makes something weaker: then the
    /// user should be asked before anything is written.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        match self {
            Self::RolledBack { .. } | Self::Disappeared { .. } => true,
            Self::KeyDescriptionChanged { weakened, .. } => *weakened,
            Self::Added { .. } | Self::DefaultKeyChanged { .. } | Self::SecretChanged { .. } => {
                false
            }
        }
    }
}

impl fmt::Display for Change {
    /// In words for the user, with untrusted text escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |id: &Option<KeyId>| match id {
            Some(id) => escape_untrusted(id.as_str()),
            None => "none".to_owned(),
        };
        match self {
            Self::Added { event_type } => write!(f, "{} is new", escape_untrusted(event_type)),
            Self::DefaultKeyChanged { from, to } => {
                write!(
                    f,
                    "the default key changed from {} to {}",
                    key(from),
                    key(to)
                )
            }
            Self::Disappeared { event_type } => {
                write!(f, "{} was there and is gone", escape_untrusted(event_type))
            }
            Self::KeyDescriptionChanged { key_id, what, .. } => {
                let id = escape_untrusted(key_id.as_str());
                write!(f, "the description of the key {id} changed: {what}")
            }
            Self::RolledBack { event_type } => {
                let event_type = escape_untrusted(event_type);
                write!(
                    f,
                    "{event_type} is back at what it was before it was replaced"
                )
            }
            Self::SecretChanged { name } => write!(f, "{} changed", escape_untrusted(name)),
        }
    }
}

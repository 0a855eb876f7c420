//! What is different now, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DescriptionChange;
use crate::{DefaultKey, KeyId, SecretName};

/// A difference between what the server says and what is remembered.
///
/// Another client of the user may be the reason, or a server that lies; nobody can tell from here.
/// What follows is decided by two questions: whether it is [suspicious](Self::is_suspicious), and
/// whether it [forbids opening](Self::forbids_opening).
///
/// ```
/// use fourfold::history::Change;
/// let change = Change::RolledBack { event_type: "m.megolm_backup.v1".to_owned() };
/// assert!(change.is_suspicious());
/// assert_eq!(
///     change.to_string(),
///     "m.megolm_backup.v1 was rolled back to an earlier value",
/// );
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
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
    /// An entry is one that was seen before, but for its IV. The MAC does not cover the IV, and no
    /// client encrypts to the same ciphertext twice: what it opens to is not what was stored.
    IvChanged {
        /// The name of the secret, untrusted text.
        name: String,
        /// The key of the entry.
        key_id: KeyId,
    },
    /// The description of a key is another one.
    KeyDescriptionChanged {
        /// The key.
        key_id: KeyId,
        /// The kind of change.
        kind: DescriptionChange,
        /// A description of the change.
        what: String,
    },
    /// The content, or the entry of one key in it, is one that was there before and had been
    /// replaced since.
    RolledBack {
        /// Its type, untrusted text.
        event_type: String,
    },
    /// A secret was changed elsewhere: another value, or other keys.
    SecretChanged {
        /// The name, untrusted text.
        name: String,
    },
    /// A secret was changed more often, without being opened here, than is remembered: this version
    /// may be one that was there before.
    TooManyVersions {
        /// The name, untrusted text.
        name: String,
    },
}

impl Change {
    /// Returns `true` if it looks like a server that takes something back, makes something weaker
    /// or puts something else in its place: then nothing is written before the user accepts it.
    ///
    /// A default where there was none is not: the user's other client has set one up.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        match self {
            Self::RolledBack { .. }
            | Self::Disappeared { .. }
            | Self::IvChanged { .. }
            | Self::TooManyVersions { .. } => true,
            Self::DefaultKeyChanged { from, .. } => from.is_some(),
            Self::KeyDescriptionChanged { kind, .. } => kind.is_suspicious(),
            Self::Added { .. } | Self::SecretChanged { .. } => false,
        }
    }

    /// Returns `true` if nothing may be opened before the user accepts it: no key is derived and
    /// none is tried. With a name, this is about opening that secret; without, about the keys
    /// alone.
    ///
    /// What is gone makes things unavailable and opens nothing wrong, and what happened to another
    /// secret says nothing about this one.
    #[must_use]
    pub fn forbids_opening(&self, name: Option<&SecretName>) -> bool {
        let is_it = |other: &str| name.is_some_and(|name| name.as_str() == other);
        match self {
            Self::DefaultKeyChanged { .. } | Self::KeyDescriptionChanged { .. } => {
                self.is_suspicious()
            }
            Self::IvChanged { name, .. } | Self::TooManyVersions { name } => is_it(name),
            Self::RolledBack { event_type } => {
                is_it(event_type)
                    || event_type == DefaultKey::EVENT_TYPE
                    || KeyId::from_event_type(event_type).is_some()
            }
            Self::Added { .. } | Self::Disappeared { .. } | Self::SecretChanged { .. } => false,
        }
    }

    /// The type of the event that it is about, untrusted text.
    #[must_use]
    pub fn event_type(&self) -> String {
        match self {
            Self::Added { event_type }
            | Self::Disappeared { event_type }
            | Self::RolledBack { event_type } => event_type.clone(),
            Self::DefaultKeyChanged { .. } => DefaultKey::EVENT_TYPE.to_owned(),
            Self::KeyDescriptionChanged { key_id, .. } => key_id.event_type(),
            Self::IvChanged { name, .. }
            | Self::SecretChanged { name }
            | Self::TooManyVersions { name } => name.clone(),
        }
    }
}

impl fmt::Display for Change {
    /// In words for the user, with untrusted text escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = |id: &Option<KeyId>| match id {
            Some(id) => id.as_str().escape_debug().to_string(),
            None => "none".to_owned(),
        };
        match self {
            Self::Added { event_type } => write!(f, "{} is new", event_type.escape_debug()),
            Self::DefaultKeyChanged { from, to } => {
                write!(
                    f,
                    "the default key changed from {} to {}",
                    key(from),
                    key(to)
                )
            }
            Self::Disappeared { event_type } => {
                write!(f, "{} disappeared", event_type.escape_debug())
            }
            Self::IvChanged { name, key_id } => write!(
                f,
                "the entry of {} under the key {} has a different IV than before, so that it \
                 decrypts to a different value",
                name.escape_debug(),
                key_id.as_str().escape_debug()
            ),
            Self::KeyDescriptionChanged { key_id, what, .. } => {
                let id = key_id.as_str().escape_debug();
                write!(f, "the description of the key {id} changed: {what}")
            }
            Self::RolledBack { event_type } => write!(
                f,
                "{} was rolled back to an earlier value",
                event_type.escape_debug()
            ),
            Self::SecretChanged { name } => {
                write!(f, "{} was changed elsewhere", name.escape_debug())
            }
            Self::TooManyVersions { name } => write!(
                f,
                "{} was changed elsewhere more often than this machine can remember without opening \
                 it, and may have been rolled back to an older version",
                name.escape_debug()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_in_words_without_tricks() {
        let change = Change::RolledBack {
            event_type: "org.\u{202e}example\u{1b}[2J".to_owned(),
        };
        assert_eq!(
            change.to_string(),
            r"org.\u{202e}example\u{1b}[2J was rolled back to an earlier value"
        );
    }

    #[test]
    fn a_change_names_the_event_that_it_is_about() {
        let name = || "org.example".to_owned();
        let key_id = || KeyId::new("a").unwrap();
        for (change, event_type) in [
            (Change::Added { event_type: name() }, "org.example"),
            (Change::Disappeared { event_type: name() }, "org.example"),
            (Change::RolledBack { event_type: name() }, "org.example"),
            (Change::SecretChanged { name: name() }, "org.example"),
            (Change::TooManyVersions { name: name() }, "org.example"),
            (
                Change::IvChanged {
                    name: name(),
                    key_id: key_id(),
                },
                "org.example",
            ),
            (
                Change::DefaultKeyChanged {
                    from: None,
                    to: Some(key_id()),
                },
                "m.secret_storage.default_key",
            ),
            (
                Change::KeyDescriptionChanged {
                    key_id: key_id(),
                    kind: DescriptionChange::Noted,
                    what: "another name".to_owned(),
                },
                "m.secret_storage.key.a",
            ),
        ] {
            assert_eq!(change.event_type(), event_type);
        }
    }

    #[test]
    fn opening_one_secret_is_not_forbidden_by_what_happened_to_another() {
        let name = SecretName::new("org.example").unwrap();
        let rolled_back = |event_type: &str| Change::RolledBack {
            event_type: event_type.to_owned(),
        };
        assert!(rolled_back("org.example").forbids_opening(Some(&name)));
        assert!(!rolled_back("org.example.other").forbids_opening(Some(&name)));
        assert!(!rolled_back("org.example").forbids_opening(None));
        assert!(rolled_back(DefaultKey::EVENT_TYPE).forbids_opening(None));
        assert!(rolled_back("m.secret_storage.key.a").forbids_opening(Some(&name)));
        let iv_changed = Change::IvChanged {
            name: "org.example".to_owned(),
            key_id: KeyId::new("a").unwrap(),
        };
        assert!(iv_changed.forbids_opening(Some(&name)) && !iv_changed.forbids_opening(None));
        let too_many = Change::TooManyVersions {
            name: "org.example".to_owned(),
        };
        assert!(too_many.forbids_opening(Some(&name)) && !too_many.forbids_opening(None));
        assert!(too_many.is_suspicious());
        assert!(iv_changed.is_suspicious());
    }
}

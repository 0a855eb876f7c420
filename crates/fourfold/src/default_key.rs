//! Which key is the default.

use crate::{AccountData, Content, EventState, KeyId};

/// What `m.secret_storage.default_key` says
/// ([Key storage](https://spec.matrix.org/v1.19/client-server-api/#key-storage)).
///
/// It is not authenticated: the server can point it anywhere. What is written is therefore never
/// decided by it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every state of the event is listed"
)]
pub enum DefaultKey {
    /// No event.
    Absent,
    /// `{}`: somebody took the default away.
    Deleted,
    /// It names a key that has no description.
    Dangling(KeyId),
    /// It names no key: `null`, no object, or no usable `key`.
    Malformed,
    /// It names this key, which is described.
    Key(KeyId),
}

impl DefaultKey {
    /// The event type.
    pub const EVENT_TYPE: &str = "m.secret_storage.default_key";

    /// Reads it from account data.
    pub(crate) fn of(account_data: &AccountData) -> Self {
        let content = match account_data.state(Self::EVENT_TYPE) {
            EventState::Absent => return Self::Absent,
            EventState::Deleted => return Self::Deleted,
            EventState::Null | EventState::Malformed(_) => return Self::Malformed,
            EventState::Content(content) => content,
        };
        match content.get::<KeyId>("key") {
            Some(Ok(id)) => match account_data.state(&id.event_type()) {
                EventState::Content(_) => Self::Key(id),
                _ => Self::Dangling(id),
            },
            _ => Self::Malformed,
        }
    }

    /// The content that makes a key the default.
    pub(crate) fn content(id: &KeyId) -> Content {
        let mut content = Content::default();
        content.insert("key", id);
        content
    }

    /// The ID, when the default key exists.
    #[must_use]
    pub fn key_id(&self) -> Option<&KeyId> {
        match self {
            Self::Key(id) => Some(id),
            _ => None,
        }
    }

    /// The ID that the event names, whether the key is described or not.
    #[must_use]
    pub fn named(&self) -> Option<&KeyId> {
        match self {
            Self::Key(id) | Self::Dangling(id) => Some(id),
            _ => None,
        }
    }
}

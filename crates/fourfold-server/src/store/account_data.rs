//! Account data: where it belongs, its contents, filters, and what a sync shows of it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::model::Position;
use super::type_filter::TypeFilter;

/// Where account data belongs.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The account itself.
    #[must_use]
    pub fn global() -> Self {
        Self::default()
    }

    /// One room. The ID must not be empty.
    pub fn room(room_id: impl Into<Arc<str>>) -> Self {
        Self(room_id.into())
    }

    /// Returns `true` if this is the account itself.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.0.is_empty()
    }

    /// The room ID; empty for the account itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The precondition for replacing account data. With it, two writers detect each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every condition that HTTP can express"
)]
pub enum Condition {
    /// Anything or nothing.
    #[default]
    Always,
    /// Nothing was ever stored.
    Absent,
    /// Something is stored, whatever it is.
    Present,
    /// The content that the change with this number stored.
    Unchanged(Position),
}

impl Condition {
    /// Returns `true` if it holds for the position of what is stored.
    #[must_use]
    pub fn holds(self, stored: Option<Position>) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => stored.is_none(),
            Self::Present => stored.is_some(),
            Self::Unchanged(position) => stored == Some(position),
        }
    }
}

/// A content and the number of the change that stored it.
#[derive(Clone, Eq, PartialEq)]
pub struct Stored {
    /// The number of the change: what [`Condition::Unchanged`] names.
    pub position: Position,
    /// The content, exactly as it was stored.
    pub content: Bytes,
}

impl fmt::Debug for Stored {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Stored");
        debug
            .field("position", &self.position)
            .field("length", &self.content.len());
        debug.finish_non_exhaustive()
    }
}

/// One type of account data and its content.
#[derive(Clone, Eq, PartialEq)]
pub struct AccountDataEvent {
    /// The event type.
    pub event_type: Arc<str>,
    /// How many bytes the content has.
    pub length: usize,
    /// The content, exactly as it was stored; `None` when the account is too large to be held in
    /// memory. Then [`Store::account_data`](super::Store::account_data) reads it.
    pub content: Option<Bytes>,
}

impl fmt::Debug for AccountDataEvent {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("AccountDataEvent");
        debug
            .field("event_type", &self.event_type)
            .field("length", &self.length);
        debug.finish_non_exhaustive()
    }
}

/// A filter as it was stored. What is made of its definition stays with it: a filter is read in every
/// sync and never changes.
pub struct Filter {
    definition: Bytes,
    types: OnceLock<Result<TypeFilter, &'static str>>,
}

impl Filter {
    /// Takes the definition, JSON text exactly as it came.
    #[must_use]
    pub fn new(definition: Bytes) -> Arc<Self> {
        Arc::new(Self {
            definition,
            types: OnceLock::new(),
        })
    }

    /// The definition, exactly as it was stored.
    #[must_use]
    pub fn definition(&self) -> &Bytes {
        &self.definition
    }

    /// The types that it shows, or why it cannot be used.
    pub(crate) fn types(&self) -> Result<TypeFilter, &'static str> {
        let prepared = self
            .types
            .get_or_init(|| TypeFilter::prepare(&self.definition));
        prepared.clone()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.definition, f)
    }
}

/// The changes that a sync must return.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Where the user's stream stands in this snapshot.
    pub position: Position,
    /// Global account data, in the order of the last change.
    pub account_data: Vec<AccountDataEvent>,
    /// Whether the user's own devices changed. Never set without a `since`.
    pub device_list: bool,
}

//! The history of account data: earlier contents, when they were stored, and by which device.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{DeviceId, Position, StoreError, Timestamp, UserId};

/// Earlier contents of global account data. Rooms have no history.
///
/// A content enters the history when another content replaces it, within the
/// [`HistoryQuota`](super::HistoryQuota). A user without history has the current contents alone.
#[async_trait]
pub trait HistoryStore {
    /// A page of the history, newest change first, and whether there are older ones. The current
    /// contents come with it, each in the place of the change that stored it.
    async fn account_data_history(
        &self,
        user: &UserId,
        wanted: HistoryPage,
    ) -> Result<(Vec<HistoryEntry>, bool), StoreError>;

    /// Deletes the earlier contents of the user. The current ones stay, with their origin.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchUser`].
    async fn forget_account_data_history(&self, user: &UserId) -> Result<(), StoreError>;
}

/// Who makes a change, and when.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "callers and stores make them")]
pub struct Origin {
    /// The device.
    pub device: DeviceId,
    /// The time.
    pub at: Timestamp,
}

/// Which part of the history is wanted.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "callers make them")]
pub struct HistoryPage {
    /// One type; `None` is all of them.
    pub event_type: Option<String>,
    /// Changes before this one; `None` begins with the newest.
    pub before: Option<Position>,
    /// The maximum number of entries.
    pub entries: usize,
    /// The maximum number of bytes of all contents. One entry is returned whatever its size.
    pub bytes: usize,
    /// The time of the request: what is older than the quota allows is not shown.
    pub now: Timestamp,
}

/// One content that is or was stored.
#[derive(Clone, Eq, PartialEq)]
pub struct HistoryEntry {
    /// The event type.
    pub event_type: Arc<str>,
    /// The number of the change that stored it.
    pub position: Position,
    /// Who stored it; `None` if it was stored while no history was kept.
    pub origin: Option<Origin>,
    /// When another content replaced it; `None` for the current one.
    pub replaced_at: Option<Timestamp>,
    /// The content, exactly as it was stored.
    pub content: Bytes,
}

impl fmt::Debug for HistoryEntry {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("HistoryEntry");
        debug
            .field("event_type", &self.event_type)
            .field("position", &self.position)
            .field("origin", &self.origin)
            .field("replaced_at", &self.replaced_at)
            .field("length", &self.content.len());
        debug.finish_non_exhaustive()
    }
}

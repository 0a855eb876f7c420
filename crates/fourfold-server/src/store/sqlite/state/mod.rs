//! All rows of one user, in memory: parts that each own their rows, and what concerns several of them.
//!
//! An account may be larger than what memory has room for, many times over when many are. The larger
//! contents of a large account stay in the file and are read when they are asked for.

mod filters;
mod keys;
mod log_ins;
mod stream;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

pub(super) use self::filters::Filters;
pub(super) use self::keys::Keys;
pub(super) use self::log_ins::LogIns;
pub(super) use self::stream::Stream;
use super::contents::{AccountDataRows, Growth};
use crate::store::{Changes, DeviceId, Inbox, Position, Scope};

/// A snapshot of the rows of one user. What reads see once it is in the cache.
#[derive(Default)]
pub(super) struct UserState {
    pub(super) stream: Stream,
    pub(super) log_ins: LogIns,
    pub(super) account_data: AccountDataRows,
    pub(super) filters: Filters,
    pub(super) keys: Keys,
    pub(super) inboxes: HashMap<DeviceId, Inbox>,
}

impl UserState {
    /// About how many bytes this takes.
    pub(super) fn weight(&self) -> usize {
        let rows = self.log_ins.rows()
            + self.account_data.len()
            + self.filters.len()
            + self.keys.rows()
            + self.inboxes.len();
        self.account_data.weight()
            + self.filters.weight()
            + self.keys.weight()
            + (rows + 4) * ROW_OVERHEAD
    }

    /// Takes in one write of account data. A write that the snapshot holds already, or a newer one,
    /// changes nothing.
    pub(super) fn put(
        &mut self,
        scope: &Scope,
        event_type: &Arc<str>,
        content: &Bytes,
        position: Position,
    ) -> Growth {
        self.stream.advance(position);
        self.account_data.put(scope, event_type, content, position)
    }

    /// Takes in the state of an inbox. The writer reports it in the order of the commits.
    pub(super) fn put_inbox(&mut self, device: DeviceId, inbox: Inbox, position: Position) {
        self.stream.advance(position);
        self.inboxes.insert(device, inbox);
    }

    pub(super) fn changes(&self, since: Option<Position>) -> Changes {
        let position = self.stream.position();
        let since = since.filter(|since| *since <= position);
        let mut changes = Changes {
            position,
            ..Changes::default()
        };
        if since == Some(position) {
            return changes;
        }
        let after = since.unwrap_or_default();
        changes.account_data = self.account_data.changed_after(after);
        changes.device_list = since.is_some_and(|since| self.stream.device_list() > since);
        changes
    }
}

/// The overhead of a row beside its text: keys, pointers, hash map slots. A high estimate.
const ROW_OVERHEAD: usize = 256;

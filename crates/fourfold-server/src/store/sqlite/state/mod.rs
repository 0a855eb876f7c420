//! All rows of one user, in memory.
//!
//! An account may be larger than what memory has room for, many times over when many are. The larger
//! contents of a large account stay in the file and are read when they are asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::contents::{AccountDataRows, Growth};
use crate::store::{
    Changes, Device, DeviceId, Filter, Inbox, KeyCounts, Position, PublishedKeys, Scope, Session,
    TokenHash,
};

/// A snapshot of the rows of one user. What reads see once it is in the cache.
#[derive(Default)]
pub(super) struct UserState {
    pub(super) position: Position,
    pub(super) device_list_position: Position,
    pub(super) devices: Vec<Device>,
    pub(super) sessions: HashMap<TokenHash, Session>,
    pub(super) account_data: AccountDataRows,
    pub(super) filters: HashMap<u64, Arc<Filter>>,
    pub(super) keys: Arc<PublishedKeys>,
    pub(super) key_counts: BTreeMap<DeviceId, KeyCounts>,
    pub(super) inboxes: HashMap<DeviceId, Inbox>,
}

impl UserState {
    /// About how many bytes this takes.
    pub(super) fn weight(&self) -> usize {
        // Prepared it takes about as much again.
        let filters = self.filters.values();
        let filters: usize = filters.map(|it| 2 * it.definition().len()).sum();
        let keys: usize = self.keys.devices.iter().map(|it| it.keys.len()).sum();
        let cross_signing: usize = self
            .keys
            .cross_signing
            .iter()
            .map(|it| it.content.len())
            .sum();
        let rows = self.keys.devices.len()
            + self.keys.user_signatures.len()
            + self.key_counts.len()
            + self.inboxes.len()
            + self.account_data.len()
            + self.filters.len()
            + self.sessions.len()
            + self.devices.len();
        self.account_data.weight() + filters + keys + cross_signing + (rows + 4) * ROW_OVERHEAD
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
        self.position = self.position.max(position);
        self.account_data.put(scope, event_type, content, position)
    }

    /// Takes in how an inbox stands. The writer tells it in the order of the commits.
    pub(super) fn put_inbox(&mut self, device: DeviceId, inbox: Inbox, position: Position) {
        self.position = self.position.max(position);
        self.inboxes.insert(device, inbox);
    }

    /// The counts of a device, to be filled.
    pub(super) fn counts_of(&mut self, device: Box<str>) -> &mut KeyCounts {
        self.key_counts.entry(DeviceId::new(device)).or_default()
    }

    pub(super) fn device(&self, id: &DeviceId) -> Option<Device> {
        self.devices.iter().find(|device| device.id == *id).cloned()
    }

    pub(super) fn changes(&self, since: Option<Position>) -> Changes {
        let since = since.filter(|since| *since <= self.position);
        let mut changes = Changes {
            position: self.position,
            ..Changes::default()
        };
        if since == Some(self.position) {
            return changes;
        }
        let after = since.unwrap_or_default();
        changes.account_data = self.account_data.changed_after(after);
        changes.device_list = since.is_some_and(|since| self.device_list_position > since);
        changes
    }
}

/// The overhead of a row beside its text: keys, pointers, hash map slots. A high estimate.
const ROW_OVERHEAD: usize = 256;

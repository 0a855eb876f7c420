//! All rows of one user, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::store::{
    AccountDataEvent, Changes, Device, DeviceId, Filter, Inbox, KeyCounts, Position, PublishedKeys,
    Scope, Session, Stored, TokenHash,
};

/// A snapshot of the rows of one user. What reads see once it is in the cache.
#[derive(Default)]
pub(super) struct UserState {
    pub(super) position: Position,
    pub(super) device_list_position: Position,
    pub(super) devices: Vec<Device>,
    pub(super) sessions: HashMap<TokenHash, Session>,
    pub(super) global: HashMap<Arc<str>, Stored>,
    pub(super) rooms: HashMap<(Scope, Arc<str>), Stored>,
    pub(super) filters: HashMap<u64, Arc<Filter>>,
    pub(super) keys: Arc<PublishedKeys>,
    pub(super) key_counts: BTreeMap<DeviceId, KeyCounts>,
    pub(super) inboxes: HashMap<DeviceId, Inbox>,
}

impl UserState {
    /// About how many bytes this takes.
    pub(super) fn weight(&self) -> usize {
        let global: usize = self
            .global
            .iter()
            .map(|(key, it)| key.len() + it.content.len())
            .sum();
        let rooms: usize = self
            .rooms
            .iter()
            .map(|((_, key), it)| key.len() + it.content.len())
            .sum();
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
            + self.global.len()
            + self.rooms.len()
            + self.filters.len()
            + self.sessions.len()
            + self.devices.len();
        global + rooms + filters + keys + cross_signing + (rows + 4) * ROW_OVERHEAD
    }

    /// Takes in one write of account data and returns by how much the state grew. A write that the
    /// snapshot holds already, or a newer one, changes nothing.
    pub(super) fn put(
        &mut self,
        scope: &Scope,
        event_type: &Arc<str>,
        content: Bytes,
        position: Position,
    ) -> usize {
        self.position = self.position.max(position);
        let length = content.len();
        let stored = Stored { position, content };
        let slot = if scope.is_global() {
            self.global.get_mut(event_type)
        } else {
            self.rooms.get_mut(&(scope.clone(), Arc::clone(event_type)))
        };
        match slot {
            Some(slot) if slot.position < position => {
                let grown = length.saturating_sub(slot.content.len());
                *slot = stored;
                grown
            }
            Some(_) => 0,
            None => {
                let grown = event_type.len() + length + ROW_OVERHEAD;
                if scope.is_global() {
                    self.global.insert(Arc::clone(event_type), stored);
                } else {
                    self.rooms
                        .insert((scope.clone(), Arc::clone(event_type)), stored);
                }
                grown
            }
        }
    }

    /// Takes in how an inbox stands. The writer tells it in the order of the commits.
    pub(super) fn put_inbox(&mut self, device: DeviceId, inbox: Inbox, position: Position) {
        self.position = self.position.max(position);
        self.inboxes.insert(device, inbox);
    }

    pub(super) fn account_data(&self, scope: &Scope, event_type: &str) -> Option<Stored> {
        let stored = if scope.is_global() {
            self.global.get(event_type)
        } else {
            self.rooms.get(&(scope.clone(), event_type.into()))
        };
        stored.cloned()
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
        let mut changed: Vec<_> = self
            .global
            .iter()
            .filter(|(_, stored)| stored.position > after)
            .collect();
        changed.sort_unstable_by_key(|(_, stored)| stored.position);
        changes.account_data = changed
            .into_iter()
            .map(|(event_type, stored)| AccountDataEvent {
                event_type: Arc::clone(event_type),
                content: stored.content.clone(),
            })
            .collect();
        changes.device_list = since.is_some_and(|since| self.device_list_position > since);
        changes
    }
}

/// What a row costs beside its text: keys, pointers, hash map slots. A guess on the high side.
const ROW_OVERHEAD: usize = 256;

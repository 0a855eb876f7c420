//! The users in use, in memory, coherent with the file because one process owns the folder.
//!
//! # Why it never shows stale rows
//!
//! Reads come from here alone; a user who is missing is loaded first. The writer applies what it
//! committed, in the order of the commits, before it answers. Between a snapshot that a loader took
//! and its arrival here a commit may slip: the writer counts every commit of a shard in `epoch`, and
//! a loader whose shard's epoch moved meanwhile loads again. A commit that the writer has finished
//! but not yet applied finds the snapshot here and is applied to it, which is harmless when the
//! snapshot held it already.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use super::state::UserState;
use super::unseen::Unseen;
use crate::generations::Generations;
use crate::store::{DeviceId, Inbox, Position, Scope, UserId};

/// What a committed write changes in the cache.
pub(super) enum Effect {
    /// One content was replaced.
    AccountData {
        /// Whose.
        user: UserId,
        /// Where.
        scope: Scope,
        /// Which.
        event_type: Arc<str>,
        /// The content.
        content: Bytes,
        /// The number of the change.
        position: Position,
    },
    /// Messages came into an inbox or left it.
    Inbox {
        /// Whose.
        user: UserId,
        /// Of which device.
        device: DeviceId,
        /// How it stands now.
        inbox: Inbox,
        /// Where the user's stream stands.
        position: Position,
    },
    /// Anything else: the user is dropped and loaded again when next asked for.
    Reload(UserId),
}

/// One cached user.
pub(super) struct Entry(RwLock<UserState>);

impl Entry {
    pub(super) fn new(state: UserState) -> Arc<Self> {
        Arc::new(Self(RwLock::new(state)))
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, UserState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The users in use.
pub(super) struct Cache {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    /// What is known of inboxes that is not in the file.
    pub(super) unseen: Unseen,
}

struct Shard {
    users: Generations<UserId, Arc<Entry>>,
    epoch: u64,
}

impl Cache {
    /// A cache of about `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        let shard = || Shard {
            users: Generations::new(capacity / SHARDS),
            epoch: 0,
        };
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            unseen: Unseen::new(),
        }
    }

    /// The user, or the epoch at which a load may begin.
    pub(super) fn lookup(&self, user: &UserId) -> Result<Arc<Entry>, u64> {
        let Some(mut shard) = self.shard(user) else {
            return Err(0);
        };
        match shard.users.entry(user, |entry| entry.read().weight()) {
            Some(entry) => Ok(Arc::clone(entry)),
            None => Err(shard.epoch),
        }
    }

    /// Takes in what was loaded, unless a commit came between: then `None`, load again.
    pub(super) fn admit(&self, user: &UserId, entry: Arc<Entry>, epoch: u64) -> Option<Arc<Entry>> {
        let mut shard = self.shard(user)?;
        if let Some(present) = shard.users.entry(user, |entry| entry.read().weight()) {
            return Some(Arc::clone(present));
        }
        if shard.epoch != epoch {
            return None;
        }
        let weight = entry.read().weight();
        shard.users.insert(user.clone(), Arc::clone(&entry), weight);
        Some(entry)
    }

    /// Applies a committed write.
    pub(super) fn apply(&self, effect: Effect) {
        match effect {
            Effect::AccountData {
                user,
                scope,
                event_type,
                content,
                position,
            } => {
                let Some(mut shard) = self.shard(&user) else {
                    return;
                };
                shard.epoch += 1;
                if let Some(entry) = shard.users.entry(&user, |entry| entry.read().weight()) {
                    let entry = Arc::clone(entry);
                    let mut state = entry.0.write().unwrap_or_else(PoisonError::into_inner);
                    let grown = state.put(&scope, &event_type, content, position);
                    drop(state);
                    shard.users.grow(grown);
                }
            }
            Effect::Inbox {
                user,
                device,
                inbox,
                position,
            } => {
                let Some(mut shard) = self.shard(&user) else {
                    return;
                };
                shard.epoch += 1;
                if let Some(entry) = shard.users.entry(&user, |entry| entry.read().weight()) {
                    let mut state = entry.0.write().unwrap_or_else(PoisonError::into_inner);
                    state.put_inbox(device, inbox, position);
                }
            }
            Effect::Reload(user) => {
                let Some(mut shard) = self.shard(&user) else {
                    return;
                };
                shard.epoch += 1;
                shard.users.remove(&user);
            }
        }
    }

    fn shard(&self, user: &UserId) -> Option<MutexGuard<'_, Shard>> {
        let hash = usize::try_from(self.hasher.hash_one(user) >> 32).unwrap_or(0);
        let shard = self.shards.get(hash % SHARDS)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const SHARDS: usize = 64;

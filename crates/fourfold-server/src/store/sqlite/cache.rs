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
//!
//! # How much it holds
//!
//! A shard forgets who was not used for a while when it has its part of the capacity. One account may
//! weigh more than such a part, so that what all shards hold is counted too, and the shards give way in
//! turn when it is more than the capacity. Of a large account the contents stay in the file (`contents`).

use std::hash::{BuildHasher, RandomState};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;

use super::contents::Growth;
use super::state::UserState;
use super::unseen::Unseen;
use crate::bounded::generations::Generations;
use crate::store::{DeviceId, Inbox, Position, Scope, UserId};

/// The effect of a committed write on the cache.
pub(super) enum Effect {
    /// One content was replaced.
    AccountData {
        /// The write.
        write: AccountDataWrite,
        /// The number of the change.
        position: Position,
    },
    /// Messages came into an inbox or left it.
    Inbox {
        /// Whose.
        user: UserId,
        /// Of which device.
        device: DeviceId,
        /// Its current state.
        inbox: Inbox,
        /// Where the user's stream stands.
        position: Position,
    },
    /// Anything else: the user is dropped and loaded again when next asked for.
    Reload(UserId),
}

impl Effect {
    /// Whom it concerns.
    pub(super) fn user(&self) -> &UserId {
        match self {
            Self::AccountData { write, .. } => &write.user,
            Self::Inbox { user, .. } | Self::Reload(user) => user,
        }
    }
}

/// One content of account data, to be written and then shown.
#[derive(Clone)]
pub(super) struct AccountDataWrite {
    /// Whose.
    pub(super) user: UserId,
    /// Where.
    pub(super) scope: Scope,
    /// Which.
    pub(super) event_type: Arc<str>,
    /// The content.
    pub(super) content: Bytes,
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
    capacity: usize,
    /// The weight of all shards.
    held: AtomicUsize,
    /// The number of shards that were evicted.
    given_way: AtomicUsize,
    /// The knowledge about inboxes that is not in the file.
    pub(super) unseen: Unseen,
}

struct Shard {
    users: Generations<UserId, Arc<Entry>>,
    epoch: u64,
}

impl Cache {
    /// A cache of about `capacity` bytes, and of one account at least.
    pub(super) fn new(capacity: usize) -> Self {
        let shard = || Shard {
            users: Generations::new(capacity / SHARDS),
            epoch: 0,
        };
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            capacity,
            held: AtomicUsize::new(0),
            given_way: AtomicUsize::new(0),
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
        drop(shard);
        self.make_room();
        Some(entry)
    }

    /// Applies a committed write.
    pub(super) fn apply(&self, effect: Effect) {
        match effect {
            Effect::AccountData { write, position } => {
                let AccountDataWrite {
                    user,
                    scope,
                    event_type,
                    content,
                } = write;
                let Some(mut shard) = self.shard(&user) else {
                    return;
                };
                shard.epoch += 1;
                if let Some(entry) = shard.users.entry(&user, |entry| entry.read().weight()) {
                    let entry = Arc::clone(entry);
                    let mut state = entry.0.write().unwrap_or_else(PoisonError::into_inner);
                    let growth = state.put(&scope, &event_type, &content, position);
                    drop(state);
                    match growth {
                        Growth::By(grown) => shard.users.grow(grown),
                        // Loaded again without its contents when next asked for.
                        Growth::TooLarge => drop(shard.users.remove(&user)),
                    }
                }
                drop(shard);
                self.make_room();
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

    /// Evicts from shards, from each twice at most: then there is nothing left.
    fn make_room(&self) {
        for _ in 0..2 * SHARDS {
            if self.held.load(Ordering::Relaxed) <= self.capacity {
                return;
            }
            let next = self.given_way.fetch_add(1, Ordering::Relaxed);
            if let Some(mut shard) = self.at(next % SHARDS) {
                shard.users.turn();
            }
        }
    }

    fn shard(&self, user: &UserId) -> Option<Locked<'_>> {
        let hash = usize::try_from(self.hasher.hash_one(user) >> 32).unwrap_or(0);
        self.at(hash % SHARDS)
    }

    fn at(&self, index: usize) -> Option<Locked<'_>> {
        let shard = self.shards.get(index)?;
        let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Locked {
            before: shard.users.weight(),
            shard,
            held: &self.held,
        })
    }
}

/// A shard that is worked on. Whatever that does to its weight is counted.
struct Locked<'c> {
    shard: MutexGuard<'c, Shard>,
    before: usize,
    held: &'c AtomicUsize,
}

impl Deref for Locked<'_> {
    type Target = Shard;

    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let after = self.shard.users.weight();
        if after != self.before {
            // Wraps around where it shrank, and back.
            let change = after.wrapping_sub(self.before);
            self.held.fetch_add(change, Ordering::Relaxed);
        }
    }
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn account(size: usize) -> Arc<Entry> {
        let mut state = UserState::default();
        let content = Some(Bytes::from(vec![b'x'; size]));
        let place = (Scope::global(), "m.large".into());
        let rows = &mut state.account_data;
        rows.load(place, Position(1), size, content);
        Entry::new(state)
    }

    fn user(number: usize) -> UserId {
        UserId::new(format!("@{number}:a"))
    }

    fn held(cache: &Cache) -> usize {
        let known = |number: &usize| {
            cache
                .shard(&user(*number))
                .unwrap()
                .users
                .peek(&user(*number))
                .map(|it| it.read().weight())
        };
        (0..USERS).filter_map(|number| known(&number)).sum()
    }

    const USERS: usize = 300;

    // shows: SRV-10
    #[test]
    fn many_large_accounts_take_no_more_than_the_capacity() {
        let cache = Cache::new(8 * MIB);
        for number in 0..USERS {
            let user = user(number);
            let epoch = cache.lookup(&user).err().unwrap();
            assert!(cache.admit(&user, account(MIB), epoch).is_some());
            assert!(held(&cache) <= 8 * MIB, "{number}");
        }
        assert!(held(&cache) >= 6 * MIB);
    }

    #[test]
    fn an_account_that_grows_is_counted_and_leaves_when_it_is_too_large() {
        let cache = Cache::new(512 * MIB);
        let user = user(0);
        let epoch = cache.lookup(&user).err().unwrap();
        assert!(cache.admit(&user, account(0), epoch).is_some());
        let put = |number: u64, size: usize| {
            let write = AccountDataWrite {
                user: user.clone(),
                scope: Scope::global(),
                event_type: format!("m.{number}").into(),
                content: vec![b'x'; size].into(),
            };
            let position = Position(2 + number);
            cache.apply(Effect::AccountData { write, position });
        };
        for number in 0..20 {
            put(number, MIB / 20);
            assert!(cache.lookup(&user).is_ok());
        }
        let counted = cache.shard(&user).unwrap().users.weight();
        assert!(counted >= held(&cache) && held(&cache) >= 20 * (MIB / 20));
        put(20, MIB);
        assert!(cache.lookup(&user).is_err());
    }

    #[test]
    fn an_account_larger_than_the_capacity_can_be_read() {
        let cache = Cache::new(MIB);
        let epoch = cache.lookup(&user(0)).err().unwrap();
        let entry = cache.admit(&user(0), account(4 * MIB), epoch).unwrap();
        assert!(entry.read().weight() > 4 * MIB);
        assert_eq!(held(&cache), 0);
    }
}

//! The store: what it is made of, and how a user comes into memory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use super::cache::{Cache, Entry};
use super::checkpoints::Checkpoints;
use super::errors::{OpenError, unavailable};
use super::loads::Loads;
use super::opening::{self, Opened, Options};
use super::reader::{Loaded, Readers};
use super::writer::Writer;
use crate::store::{Quotas, StoreError, UserId, Wakeups};

/// The embedded store. One process at a time: whoever opens it must hold the folder's lock.
pub struct SqliteStore {
    pub(super) writer: Writer,
    pub(super) readers: Arc<Readers>,
    pub(super) cache: Arc<Cache>,
    pub(super) loads: Loads,
    pub(super) wakeups: Arc<Wakeups>,
    pub(super) quotas: Quotas,
    pub(super) batch_key: [u8; 32],
}

impl SqliteStore {
    /// Opens the file, or makes it. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the file is broken, not ours, or from a newer version.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let Opened {
            mut connection,
            batch_key,
        } = opening::open(path, &options.server_name)?;
        let wakeups = Wakeups::new();
        let cache = Arc::new(Cache::new(options.cache_bytes));
        let checkpoints = Checkpoints::start(path, &mut connection)?;
        let writer = Writer::start(
            connection,
            Some(checkpoints),
            Arc::clone(&cache),
            Arc::clone(&wakeups),
        )?;
        let readers = Readers::new(path);
        Ok(Self {
            writer,
            readers,
            cache,
            loads: Loads::default(),
            wakeups,
            quotas: options.quotas,
            batch_key,
        })
    }

    /// How often the file was read, and how often for all rows of an account.
    #[cfg(test)]
    pub(crate) fn work(&self) -> [usize; 2] {
        self.readers.work.counts()
    }

    /// The user, from memory or loaded; `None` when there is no such user.
    pub(super) async fn user(&self, user: &UserId) -> Result<Option<Arc<Entry>>, StoreError> {
        if let Ok(entry) = self.cache.lookup(user) {
            return Ok(Some(entry));
        }
        // One loads, and who comes meanwhile finds what it loaded: a large account is not in memory
        // once for everyone who asks.
        let _turn = self.loads.turn(user).await;
        for _ in 0..MAX_LOAD_ATTEMPTS {
            let epoch = match self.cache.lookup(user) {
                Ok(entry) => return Ok(Some(entry)),
                Err(epoch) => epoch,
            };
            let Some(entry) = self.load(user).await? else {
                return Ok(None);
            };
            if let Some(entry) = self.cache.admit(user, entry, epoch) {
                return Ok(Some(entry));
            }
        }
        // Commits of the neighbours keep slipping in. Ask the writer's queue for a quiet moment:
        // what is loaded between two transactions cannot be overtaken by one.
        let (readers, cache, owned) = (
            Arc::clone(&self.readers),
            Arc::clone(&self.cache),
            user.clone(),
        );
        self.writer
            .write(move |_| {
                let epoch = match cache.lookup(&owned) {
                    Ok(entry) => return Ok(Some(entry)),
                    Err(epoch) => epoch,
                };
                let Loaded::User(state) = readers.load(&owned, u64::MAX)? else {
                    return Ok(None);
                };
                Ok(cache.admit(&owned, Entry::new(*state), epoch))
            })
            .await
    }

    /// Reads from the file, beside the writer: what is too large or too rare for memory.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let turn = self.readers.turn().await?;
        let done = tokio::task::spawn_blocking(move || {
            turn.with(|connection| Ok(read(connection)))
                .map_err(unavailable)?
        });
        done.await.map_err(unavailable)?
    }

    async fn load(&self, user: &UserId) -> Result<Option<Arc<Entry>>, StoreError> {
        let mut loaded = self.load_within(user, LARGE).await?;
        if matches!(loaded, Loaded::TooLarge) {
            // One at a time: what is being loaded is in memory beside all that the cache holds.
            let _turn = self.loads.large_turn().await;
            loaded = self.load_within(user, u64::MAX).await?;
        }
        match loaded {
            Loaded::User(state) => Ok(Some(Entry::new(*state))),
            Loaded::Nobody | Loaded::TooLarge => Ok(None),
        }
    }

    async fn load_within(&self, user: &UserId, most: u64) -> Result<Loaded, StoreError> {
        let (turn, user) = (self.readers.turn().await?, user.clone());
        let loaded = tokio::task::spawn_blocking(move || turn.load(&user, most)).await;
        loaded.map_err(unavailable)?.map_err(unavailable)
    }
}

impl fmt::Debug for SqliteStore {
    /// Nothing of what it holds: that is keys and other people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// Bytes of account data beyond which an account is large.
const LARGE: u64 = 4 * 1024 * 1024;

/// Loads that a neighbour's commit may spoil before the writer is asked.
const MAX_LOAD_ATTEMPTS: usize = 4;

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
use super::reader::Readers;
use super::rows::{account_data, history};
use super::writer::Writer;
use crate::store::{Quotas, Scope, StoreError, Stored, UserId, Wakeups};

/// The embedded store. One process at a time: anyone who opens it must hold the folder's lock.
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
        if options.quotas.history.is_none() {
            history::forget_all(&mut connection)?;
        }
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

    /// The number of reads of the file, and of reads of all rows of an account.
    #[cfg(test)]
    pub(crate) fn work(&self) -> [usize; 2] {
        self.readers.work.counts()
    }

    /// The user, from memory or loaded; `None` when there is no such user.
    pub(super) async fn user(&self, user: &UserId) -> Result<Option<Arc<Entry>>, StoreError> {
        if let Ok(entry) = self.cache.lookup(user) {
            return Ok(Some(entry));
        }
        // One caller loads, and those that come meanwhile find the result: a large account is not in
        // memory once for each of them.
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
        // Other commits keep invalidating the load. Ask the writer's queue for a quiet moment:
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
                let Some(state) = readers.load(&owned)? else {
                    return Ok(None);
                };
                Ok(cache.admit(&owned, Entry::new(state), epoch))
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

    /// A content of a large account. One at a time is read, so that those who ask for many leave
    /// connections and processors to the others.
    pub(super) async fn content(
        &self,
        user: &UserId,
        scope: &Scope,
        event_type: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let _turn = self.loads.content_turn(user).await;
        let (owned, scope, event_type) = (user.clone(), scope.clone(), event_type.to_owned());
        self.read(move |connection| {
            account_data::content(connection, &owned, &scope, &event_type).map_err(unavailable)
        })
        .await
    }

    async fn load(&self, user: &UserId) -> Result<Option<Arc<Entry>>, StoreError> {
        let (turn, user) = (self.readers.turn().await?, user.clone());
        let loaded = tokio::task::spawn_blocking(move || turn.load(&user)).await;
        let state = loaded.map_err(unavailable)?.map_err(unavailable)?;
        Ok(state.map(Entry::new))
    }
}

impl fmt::Debug for SqliteStore {
    /// Nothing of what it holds: that is keys and other people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

/// The number of loads that other commits may invalidate before the writer is asked.
const MAX_LOAD_ATTEMPTS: usize = 4;

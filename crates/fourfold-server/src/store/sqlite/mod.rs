//! The store on SQLite: one file, one process, one writing thread, reads from memory.
//!
//! The file runs in WAL mode with `synchronous=FULL`: a commit returns after the log is on the disk.
//! Writes commit together (`writer`), and what they wrote is moved into the file beside them
//! (`checkpoints`); reads come from a coherent cache of the users in use
//! (`cache`), which loads from the file beside the writer (`reader`).

mod cache;
mod checkpoints;
#[cfg(test)]
mod faults;
mod loads;
mod reader;
mod rows;
mod schema;
mod state;
mod unseen;
#[cfg(test)]
pub(crate) mod work;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use self::cache::{Cache, Entry};
use self::checkpoints::Checkpoints;
use self::loads::Loads;
use self::reader::{Loaded, Readers};
use self::rows::{account_data, accounts, devices, sessions};
use self::writer::Writer;
use super::{
    Changes, Condition, Device, DeviceId, Filter, NewAccount, NewSession, Position, Quotas, Scope,
    Session, Store, StoreError, Stored, Timestamp, TokenHash, TokenPair, UserId,
};
use crate::store::wakeup::{Wakeups, Watch};

/// The embedded store. One process at a time: whoever opens it must hold the folder's lock.
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    cache: Arc<Cache>,
    loads: Loads,
    wakeups: Arc<Wakeups>,
    quotas: Quotas,
    batch_key: [u8; 32],
}

impl SqliteStore {
    /// Opens the file, or makes it. Blocks; call it where blocking is allowed.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: the file is broken, not ours, or from a newer version.
    pub fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A deleted password hash or secret leaves no copy in free pages.
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
        connection.set_prepared_statement_cache_capacity(128);
        schema::migrate(&mut connection)?;
        claim(&connection, &options.server_name)?;
        let batch_key = batch_key(&connection)?;

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

    /// The user, from memory or loaded; `None` when there is no such user.
    async fn user(&self, user: &UserId) -> Result<Option<Arc<Entry>>, StoreError> {
        if let Ok(entry) = self.cache.lookup(user) {
            return Ok(Some(entry));
        }
        // One loads, and who comes meanwhile finds what it loaded: a large account is not in memory
        // once for everyone who asks.
        let _turn = self.loads.turn(user).await;
        for _ in 0..LOAD_ATTEMPTS {
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
    async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
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

/// How the store is opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The server whose users live here. A file belongs to one server for ever.
    pub server_name: String,
    /// How much one user may store.
    pub quotas: Quotas,
    /// Memory for the users in use, in bytes.
    pub cache_bytes: usize,
}

impl Options {
    /// Default quotas and 96 MiB of cache.
    pub fn new(server_name: impl Into<String>) -> Self {
        Self {
            server_name: server_name.into(),
            quotas: Quotas::default(),
            cache_bytes: 96 * 1024 * 1024,
        }
    }
}

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// SQLite could not open, read or migrate it.
    #[error("the database cannot be opened")]
    Database(#[from] rusqlite::Error),
    /// It is not a file of this server.
    #[error("the database belongs to another program")]
    ForeignFile,
    /// A newer version wrote it; going back would lose what only that version knows.
    #[error("the database has schema {found}, this version knows {known}")]
    NewerSchema {
        /// The version of the file.
        found: usize,
        /// The newest version that is known here.
        known: usize,
    },
    /// It holds the users of another server.
    #[error("the database belongs to the server {0}")]
    OtherServer(String),
    /// The writing thread or the random generator of the system failed.
    #[error("the system refused a thread or random bytes")]
    System(#[from] std::io::Error),
}

#[async_trait]
impl Store for SqliteStore {
    async fn create_account(&self, user: &UserId, account: NewAccount) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| accounts::create(batch, &user, &account))
            .await
    }

    async fn password_hash(&self, user: &UserId) -> Result<Option<String>, StoreError> {
        // Always from the file and never from memory, so that no name costs more than another.
        let user = user.clone();
        self.read(move |connection| accounts::password_hash(connection, &user).map_err(unavailable))
            .await
    }

    async fn open_session(&self, user: &UserId, session: NewSession) -> Result<(), StoreError> {
        let (user, most) = (user.clone(), self.quotas.devices);
        self.writer
            .write(move |batch| sessions::open(batch, &user, &session, most))
            .await
    }

    async fn session(
        &self,
        user: &UserId,
        access: &TokenHash,
    ) -> Result<Option<Session>, StoreError> {
        if let Ok(entry) = self.cache.lookup(user)
            && let Some(session) = entry.read().sessions.get(access)
        {
            return Ok(Some(session.clone()));
        }
        // One row says whether there is such a session: a wrong token neither loads an account nor
        // tells by the time whether there is one.
        let (owned, access) = (user.clone(), *access);
        let known = self.read(move |connection| {
            sessions::exists(connection, &owned, &access).map_err(unavailable)
        });
        if !known.await? {
            return Ok(None);
        }
        let entry = self.user(user).await?;
        Ok(entry.and_then(|entry| entry.read().sessions.get(&access).cloned()))
    }

    async fn refresh_session(
        &self,
        user: &UserId,
        refresh: &TokenHash,
        tokens: TokenPair,
        now: Timestamp,
    ) -> Result<Option<DeviceId>, StoreError> {
        let (user, refresh) = (user.clone(), *refresh);
        self.writer
            .write(move |batch| sessions::refresh(batch, &user, &refresh, &tokens, now))
            .await
    }

    async fn confirm_session(&self, user: &UserId, access: &TokenHash) -> Result<(), StoreError> {
        let (user, access) = (user.clone(), *access);
        self.writer
            .write(move |batch| sessions::confirm(batch, &user, &access))
            .await
    }

    async fn touch_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        now: Timestamp,
        address: Option<String>,
    ) -> Result<(), StoreError> {
        let (user, device) = (user.clone(), device.clone());
        self.writer
            .write(move |batch| devices::touch(batch, &user, &device, now, address.as_deref()))
            .await
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry
            .map(|entry| entry.read().devices.clone())
            .unwrap_or_default())
    }

    async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Device>, StoreError> {
        Ok(self
            .user(user)
            .await?
            .and_then(|entry| entry.read().device(device)))
    }

    async fn rename_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        display_name: Option<String>,
    ) -> Result<bool, StoreError> {
        let (user, device) = (user.clone(), device.clone());
        self.writer
            .write(move |batch| devices::rename(batch, &user, &device, display_name.as_deref()))
            .await
    }

    async fn delete_devices(&self, user: &UserId, devices: &[DeviceId]) -> Result<(), StoreError> {
        let (user, devices) = (user.clone(), devices.to_vec());
        self.writer
            .write(move |batch| devices::delete(batch, &user, &devices))
            .await
    }

    async fn delete_all_devices(&self, user: &UserId) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| devices::delete_all(batch, &user))
            .await
    }

    async fn put_account_data(
        &self,
        user: &UserId,
        scope: Scope,
        event_type: &str,
        content: Bytes,
        condition: Condition,
    ) -> Result<Position, StoreError> {
        let write = account_data::Write {
            user: user.clone(),
            scope,
            event_type: event_type.into(),
            // A copy of its own: what came from the network is a slice of a larger buffer.
            content: Bytes::copy_from_slice(&content),
            condition,
            most_types: self.quotas.account_data_types,
            most_bytes: self.quotas.account_data_bytes,
        };
        self.writer
            .write(move |batch| account_data::put(batch, &write))
            .await
    }

    async fn account_data(
        &self,
        user: &UserId,
        scope: &Scope,
        event_type: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry.and_then(|entry| entry.read().account_data(scope, event_type)))
    }

    async fn changes(&self, user: &UserId, since: Option<Position>) -> Result<Changes, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry
            .map(|entry| entry.read().changes(since))
            .unwrap_or_default())
    }

    async fn put_filter(&self, user: &UserId, definition: Bytes) -> Result<u64, StoreError> {
        if let Some(entry) = self.user(user).await? {
            let known = entry.read();
            let same = known
                .filters
                .iter()
                .find(|(_, known)| *known.definition() == definition);
            if let Some((filter, _)) = same {
                return Ok(*filter);
            }
        }
        let (user, most) = (user.clone(), self.quotas.filters);
        self.writer
            .write(move |batch| account_data::put_filter(batch, &user, &definition, most))
            .await
    }

    async fn filter(&self, user: &UserId, filter: u64) -> Result<Option<Arc<Filter>>, StoreError> {
        Ok(self
            .user(user)
            .await?
            .and_then(|entry| entry.read().filters.get(&filter).cloned()))
    }

    fn watch(&self, user: &UserId) -> Watch {
        self.wakeups.watch(user)
    }

    async fn batch_key(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.batch_key)
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}

/// The default name of the file inside a data folder.
#[must_use]
pub fn file_in(folder: &Path) -> PathBuf {
    folder.join("fourfold.sqlite3")
}

fn claim(connection: &Connection, server_name: &str) -> Result<(), OpenError> {
    let owner: Option<Vec<u8>> = connection
        .query_row(
            "SELECT value FROM meta WHERE name = 'server_name'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match owner {
        Some(owner) if owner == server_name.as_bytes() => Ok(()),
        Some(owner) => Err(OpenError::OtherServer(
            String::from_utf8_lossy(&owner).into_owned(),
        )),
        None => {
            connection.execute(
                "INSERT INTO meta (name, value) VALUES ('server_name', ?1)",
                [server_name.as_bytes()],
            )?;
            Ok(())
        }
    }
}

fn batch_key(connection: &Connection) -> Result<[u8; 32], OpenError> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(std::io::Error::other)?;
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('batch_key', ?1)",
        [fresh],
    )?;
    let key = connection.query_row(
        "SELECT value FROM meta WHERE name = 'batch_key'",
        [],
        |row| row.get(0),
    )?;
    Ok(key)
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Arc::new(error))
}

/// Why a write did not happen.
fn refused(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => unavailable(error),
    }
}

/// SQLite's integers are signed; ours are counters and times that never come near the top.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Pages that the writer keeps in memory, so that it need not read what it wrote a while ago.
const PAGE_CACHE_KIB: i64 = 32 * 1024;

/// Bytes of account data beyond which an account is large.
const LARGE: u64 = 4 * 1024 * 1024;

/// Loads that a neighbour's commit may spoil before the writer is asked.
const LOAD_ATTEMPTS: usize = 4;

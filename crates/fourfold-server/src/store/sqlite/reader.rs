//! Loading a user from the file, beside the writer.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::contents::AccountDataRows;
use super::integers::unsigned;
use super::rows::{account_data, inbox, keys};
use super::state::{LogIns, Stream, UserState};
use crate::store::{
    Device, DeviceId, Filter, Position, Session, StoreError, Timestamp, TokenHash, UserId,
};

/// Read connections, opened when needed and kept for the next load.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
    /// The data read so far.
    #[cfg(test)]
    pub(super) work: super::work::Counter,
}

/// Leave to read, on a thread that may block.
#[derive(Debug)]
pub(super) struct Turn {
    readers: Arc<Readers>,
    _permit: OwnedSemaphorePermit,
}

impl Deref for Turn {
    type Target = Readers;

    fn deref(&self) -> &Readers {
        &self.readers
    }
}

impl Readers {
    pub(super) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::default(),
            turns: Arc::new(Semaphore::new(KEPT)),
            #[cfg(test)]
            work: super::work::Counter::default(),
        })
    }

    /// Waits until fewer read than there are connections kept: opening one costs far more than a read.
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, StoreError> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        Ok(Turn {
            readers: Arc::clone(self),
            _permit: permit.map_err(|_| StoreError::Closed)?,
        })
    }

    /// Reads all rows of a user as one snapshot, without the contents that stay in the file; `None`
    /// when there is no such user. Blocks.
    pub(super) fn load(&self, user: &UserId) -> Result<Option<UserState>, rusqlite::Error> {
        #[cfg(test)]
        self.work.loads();
        self.with(|connection| {
            let transaction = connection.transaction()?;
            let loaded = load(&transaction, user)?;
            transaction.commit()?;
            Ok(loaded)
        })
    }

    /// Reads on a connection of its own. Blocks.
    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        #[cfg(test)]
        self.work.reads();
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.open()?,
        };
        let value = read(&mut connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(value)
    }

    /// Closes the idle connections, so that the last connection to the file is the writer's and its
    /// closing folds the write-ahead log into the file.
    pub(super) fn close(&self) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn open(&self) -> Result<Connection, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

fn load(
    transaction: &Transaction<'_>,
    user: &UserId,
) -> Result<Option<UserState>, rusqlite::Error> {
    let id = user.as_str();
    let found = transaction
        .prepare_cached(
            "SELECT position, device_list_position, account_data_bytes FROM users
             WHERE user_id = ?1",
        )?
        .query_row([id], |row| {
            let position = Position(unsigned(row.get(0)?));
            let device_list = Position(unsigned(row.get(1)?));
            let contents = AccountDataRows::of_length(unsigned(row.get(2)?));
            Ok((Stream::at(position, device_list), contents))
        })
        .optional()?;
    let Some((stream, mut contents)) = found else {
        return Ok(None);
    };

    let mut devices = transaction.prepare_cached(
        "SELECT device_id, display_name, last_seen_at, last_seen_address
         FROM devices WHERE user_id = ?1 ORDER BY device_id",
    )?;
    let devices = devices.query_map([id], device)?.collect::<Result<_, _>>()?;

    let mut sessions = transaction.prepare_cached(
        "SELECT access_hash, device_id, expires_at, replaces IS NOT NULL
         FROM sessions WHERE user_id = ?1",
    )?;
    let sessions = sessions.query_map([id], |row| session(user, row))?;
    let log_ins = LogIns::new(devices, sessions.collect::<Result<Vec<_>, _>>()?);

    account_data::load(transaction, user, &mut contents)?;

    let mut filters = transaction
        .prepare_cached("SELECT filter_id, definition FROM filters WHERE user_id = ?1")?;
    let filters = filters.query_map([id], filter)?;
    Ok(Some(UserState {
        stream,
        account_data: contents,
        filters: filters.collect::<Result<_, _>>()?,
        keys: keys::load(transaction, user, stream.device_list(), &log_ins)?,
        inboxes: inbox::load(transaction, user)?,
        log_ins,
    }))
}

fn device(row: &Row<'_>) -> Result<Device, rusqlite::Error> {
    Ok(Device {
        id: DeviceId::new(row.get::<_, Box<str>>(0)?),
        display_name: row.get(1)?,
        last_seen_at: Timestamp(unsigned(row.get(2)?)),
        last_seen_address: row.get(3)?,
    })
}

fn filter(row: &Row<'_>) -> Result<(u64, Arc<Filter>), rusqlite::Error> {
    let definition = Bytes::from(row.get::<_, Vec<u8>>(1)?);
    Ok((unsigned(row.get(0)?), Filter::new(definition)))
}

fn session(user: &UserId, row: &Row<'_>) -> Result<Session, rusqlite::Error> {
    Ok(Session {
        user: user.clone(),
        access: TokenHash(row.get(0)?),
        device: DeviceId::new(row.get::<_, Box<str>>(1)?),
        expires_at: row
            .get::<_, Option<i64>>(2)?
            .map(|at| Timestamp(unsigned(at))),
        unconfirmed: row.get(3)?,
        last_seen_at: Timestamp::default(),
    })
}

/// How many read at once, and how many connections are kept: loads are rare, and one costs memory for
/// its page cache.
const KEPT: usize = 4;

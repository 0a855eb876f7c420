//! Sealed rows: what a device keeps, unreadable without its [`SealingKey`].

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::error::LocalStateError;
use super::place::Place;
use super::{LocalState, schema};
use crate::SealingKey;
use crate::wiped_json::to_wiped_json;

/// The sealed rows of an account: read one by one, written all or nothing.
///
/// Rows that are put here are visible to later reads at once, and on disk when
/// [`commit`](Self::commit) returns. Dropped before that, it never was. Each row is sealed for its
/// user, its table and its name, so that none can be put in the place of another.
pub(crate) struct SealedRows {
    user_id: String,
    /// Held so that the state stays ours for as long as the device is used.
    place: Place,
    connection: Connection,
    key: SealingKey,
    /// Not yet on disk; `None` for a row that goes.
    pending: BTreeMap<(Table, String), Option<Zeroizing<Vec<u8>>>>,
}

/// The kind of a row. The name is part of the sealed data: it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    /// One row that tells whether the key fits.
    Check,
    /// The private keys of the device; one row.
    Account,
    /// Lines of the audit log that were not handed over yet.
    Audit,
    /// The key backup whose private key was known here last; one row.
    Backup,
    /// Answers that came while sharing was locked; a row for each.
    Held,
    /// The state of secret sharing; one row.
    Machine,
    /// The events that wait to be sent; a row for each, in order.
    Outbox,
    /// The state of a peer, a device that messages are encrypted for; a row for each.
    Peer,
    /// Secrets that came and were not taken yet; a row for each.
    Received,
    /// Olm sessions; a row for each.
    Session,
    /// The position of the device in its inbox, and what was uploaded to the server; one row.
    Sync,
    /// Secrets that were made here and are not in secret storage yet; one row.
    Unstored,
    /// Which devices are known and trusted; one row.
    Trust,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Account => "account",
            Self::Audit => "audit",
            Self::Backup => "backup",
            Self::Held => "held",
            Self::Machine => "machine",
            Self::Outbox => "outbox",
            Self::Received => "received",
            Self::Peer => "peer",
            Self::Session => "session",
            Self::Sync => "sync",
            Self::Unstored => "unstored",
            Self::Trust => "trust",
        }
    }
}

impl LocalState {
    /// Opens the sealed rows; `None` when there are none.
    pub(crate) fn sealed_rows(&self, key: &SealingKey) -> Result<Option<SealedRows>, SealedError> {
        let rows = SealedRows::new(self, key)?;
        match rows.bytes(Table::Check, "") {
            Ok(Some(_)) => Ok(Some(rows)),
            Ok(None) => Ok(None),
            Err(SealedError::Unreadable) => Err(SealedError::WrongKey),
            Err(error) => Err(error),
        }
    }

    /// Begins again with a key. What was sealed before is gone with the first commit, except for
    /// these tables where the key opens them.
    pub(crate) fn new_sealed_rows(
        &self,
        key: &SealingKey,
        kept: &[Table],
    ) -> Result<SealedRows, SealedError> {
        let mut rows = SealedRows::new(self, key)?;
        for (table, row) in rows.everything()? {
            let keep = kept.iter().any(|kept| kept.name() == table);
            let Some(table) = ALL.iter().copied().find(|known| known.name() == table) else {
                continue;
            };
            if !(keep && rows.bytes(table, &row).is_ok()) {
                rows.delete(table, &row);
            }
        }
        rows.put_bytes(Table::Check, "", Zeroizing::new(Vec::new()));
        Ok(rows)
    }

    /// Whether a device keeps anything here.
    pub(crate) fn has_sealed_rows(&self) -> Result<bool, LocalStateError> {
        self.connection
            .query_row("SELECT EXISTS (SELECT 1 FROM sealed)", [], |row| row.get(0))
            .map_err(|error| self.database(error))
    }
}

impl SealedRows {
    fn new(state: &LocalState, key: &SealingKey) -> Result<Self, SealedError> {
        Ok(Self {
            user_id: state.user_id.clone(),
            place: state.place.clone(),
            connection: schema::open(&state.place)?,
            key: key.clone(),
            pending: BTreeMap::new(),
        })
    }

    /// A row as the type that was put there; `None` when there is none.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        row: &str,
    ) -> Result<Option<T>, SealedError> {
        read(self.bytes(table, row)?)
    }

    /// Sets a row.
    pub(crate) fn put(
        &mut self,
        table: Table,
        row: &str,
        value: &impl Serialize,
    ) -> Result<(), SealedError> {
        let bytes = to_wiped_json(value).ok_or(SealedError::Unreadable)?;
        self.put_bytes(table, row, bytes);
        Ok(())
    }

    /// Removes a row, if it is there.
    pub(crate) fn delete(&mut self, table: Table, row: &str) {
        self.pending.insert((table, row.to_owned()), None);
    }

    /// The names of the rows of a table that begin like this, in order.
    pub(crate) fn names(&self, table: Table, prefix: &str) -> Result<Vec<String>, SealedError> {
        let mut names = self.stored_names(table, prefix)?;
        for ((of, row), value) in &self.pending {
            if *of == table && row.starts_with(prefix) {
                names.retain(|name| name != row);
                names.extend(value.is_some().then(|| row.clone()));
            }
        }
        names.sort();
        Ok(names)
    }

    /// The rows as they are on disk, without what was put and deleted since the last commit.
    pub(crate) fn on_disk(&self) -> OnDisk<'_> {
        OnDisk(self)
    }

    /// Writes everything that was put and deleted, in one transaction that survives a power failure.
    /// After an error nothing of it happened, neither on disk nor here.
    pub(crate) fn commit(&mut self) -> Result<(), SealedError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let mut sealed = Vec::with_capacity(pending.len());
        for ((table, row), value) in &pending {
            let blob = match value {
                None => None,
                Some(bytes) => Some(
                    self.key
                        .seal(bytes, &self.place(*table, row))
                        .ok_or(SealedError::Randomness)?,
                ),
            };
            sealed.push((table.name(), row, blob));
        }
        self.write(&sealed).map_err(|error| self.database(error))
    }

    /// Forgets what was put and deleted since the last commit.
    pub(crate) fn discard(&mut self) {
        self.pending.clear();
    }

    fn write(
        &mut self,
        rows: &[(&'static str, &String, Option<Vec<u8>>)],
    ) -> Result<(), rusqlite::Error> {
        let transaction = self.connection.transaction()?;
        for (table, row, blob) in rows {
            match blob {
                Some(blob) => transaction
                    .prepare_cached(
                        "INSERT OR REPLACE INTO sealed (kind, row, blob) VALUES (?1, ?2, ?3)",
                    )?
                    .execute((table, row, blob))?,
                None => transaction
                    .prepare_cached("DELETE FROM sealed WHERE kind = ?1 AND row = ?2")?
                    .execute((table, row))?,
            };
        }
        transaction.commit()
    }

    fn put_bytes(&mut self, table: Table, row: &str, bytes: Zeroizing<Vec<u8>>) {
        self.pending.insert((table, row.to_owned()), Some(bytes));
    }

    fn bytes(&self, table: Table, row: &str) -> Result<Option<Zeroizing<Vec<u8>>>, SealedError> {
        match self.pending.get(&(table, row.to_owned())) {
            Some(pending) => Ok(pending.clone()),
            None => self.stored_bytes(table, row),
        }
    }

    fn stored_bytes(
        &self,
        table: Table,
        row: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, SealedError> {
        let blob: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT blob FROM sealed WHERE kind = ?1 AND row = ?2")
            .and_then(|mut query| {
                query
                    .query_row((table.name(), row), |row| row.get(0))
                    .optional()
            })
            .map_err(|error| self.database(error))?;
        blob.map(|blob| {
            self.key
                .open(&blob, &self.place(table, row))
                .ok_or(SealedError::Unreadable)
        })
        .transpose()
    }

    fn stored_names(&self, table: Table, prefix: &str) -> Result<Vec<String>, SealedError> {
        self.connection
            .prepare_cached(
                "SELECT row FROM sealed WHERE kind = ?1 AND substr(row, 1, length(?2)) = ?2",
            )
            .and_then(|mut query| {
                query
                    .query_map((table.name(), prefix), |row| row.get(0))?
                    .collect()
            })
            .map_err(|error| self.database(error))
    }

    fn everything(&self) -> Result<Vec<(String, String)>, SealedError> {
        self.connection
            .prepare("SELECT kind, row FROM sealed")
            .and_then(|mut query| {
                query
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .map_err(|error| self.database(error))
    }

    /// The associated data of a row: each part with its length, so that they cannot be confused.
    fn place(&self, table: Table, row: &str) -> Vec<u8> {
        let mut place = b"fourfold sealed row 1".to_vec();
        for part in [&self.user_id, table.name(), row] {
            place.extend_from_slice(&(part.len() as u64).to_le_bytes());
            place.extend_from_slice(part.as_bytes());
        }
        place
    }

    fn database(&self, error: rusqlite::Error) -> SealedError {
        LocalStateError::database(self.place.path(), error).into()
    }
}

impl std::fmt::Debug for SealedRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedRows")
            .field("path", &self.place.path())
            .finish_non_exhaustive()
    }
}

/// The rows as a power failure would leave them. What leaves this machine is read here, so that it
/// cannot leave before it is kept.
pub(crate) struct OnDisk<'a>(&'a SealedRows);

impl OnDisk<'_> {
    /// A row as the type that was put there; `None` when there is none.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        row: &str,
    ) -> Result<Option<T>, SealedError> {
        read(self.0.stored_bytes(table, row)?)
    }

    /// The names of the rows of a table, in order.
    pub(crate) fn names(&self, table: Table) -> Result<Vec<String>, SealedError> {
        let mut names = self.0.stored_names(table, "")?;
        names.sort();
        Ok(names)
    }
}

fn read<T: DeserializeOwned>(bytes: Option<Zeroizing<Vec<u8>>>) -> Result<Option<T>, SealedError> {
    bytes
        .map(|bytes| serde_json::from_slice(&bytes).map_err(|_| SealedError::Unreadable))
        .transpose()
}

/// Why sealed rows cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealedError {
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    #[error("the operating system has no random numbers")]
    Randomness,
    /// A row that does not open although the key fits, or that is not what was put there.
    #[error("a sealed row is damaged")]
    Unreadable,
    #[error("the key does not open it")]
    WrongKey,
}

const ALL: &[Table] = &[
    Table::Check,
    Table::Account,
    Table::Audit,
    Table::Backup,
    Table::Held,
    Table::Machine,
    Table::Outbox,
    Table::Received,
    Table::Peer,
    Table::Session,
    Table::Sync,
    Table::Unstored,
    Table::Trust,
];

#[cfg(test)]
mod tests;

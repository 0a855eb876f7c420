//! Key backups. Too large and too rarely read for memory: they are read from the file.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::sqlite::{SqliteStore, integer, unavailable, unsigned};
use crate::store::{
    BackedUpKey, KeyBackup, KeyBackupState, KeyBackupStore, KeyRank, KeySelection, Quotas,
    StoreError, UserId,
};

#[async_trait]
impl KeyBackupStore for SqliteStore {
    async fn create_backup(
        &self,
        user: &UserId,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<u64, StoreError> {
        let (user, quotas) = (user.clone(), self.quotas.clone());
        self.writer
            .write(move |batch| create(batch, &user, &algorithm, &auth_data, &quotas))
            .await
    }

    async fn backup(
        &self,
        user: &UserId,
        version: Option<u64>,
    ) -> Result<Option<KeyBackup>, StoreError> {
        let user = user.clone();
        self.read(move |connection| find(connection, &user, version).map_err(unavailable))
            .await
    }

    async fn replace_backup_auth_data(
        &self,
        user: &UserId,
        version: u64,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<(), StoreError> {
        let (user, quotas) = (user.clone(), self.quotas.clone());
        self.writer
            .write(move |batch| {
                replace_auth_data(batch, &user, version, &algorithm, &auth_data, &quotas)
            })
            .await
    }

    async fn delete_backup(&self, user: &UserId, version: u64) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| delete(batch, &user, version))
            .await
    }

    async fn put_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        keys: Vec<BackedUpKey>,
    ) -> Result<KeyBackupState, StoreError> {
        let (user, quotas) = (user.clone(), self.quotas.clone());
        self.writer
            .write_large(move |batch| put_keys(batch, &user, version, &keys, &quotas))
            .await
    }

    async fn backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
        after: Option<(String, String)>,
        most: usize,
    ) -> Result<Option<(Vec<BackedUpKey>, bool)>, StoreError> {
        let user = user.clone();
        self.read(move |connection| {
            keys(connection, &user, version, &selection, after, most).map_err(unavailable)
        })
        .await
    }

    async fn delete_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
    ) -> Result<KeyBackupState, StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| delete_keys(batch, &user, version, &selection))
            .await
    }
}

/// What the backups of a user count, over all versions.
#[derive(Clone, Copy, Default)]
struct Totals {
    newest: u64,
    keys: u64,
    bytes: u64,
}

fn totals(connection: &Connection, user: &UserId) -> Result<Totals, rusqlite::Error> {
    let found = connection
        .prepare_cached("SELECT newest, keys, bytes FROM backup_totals WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| {
            Ok(Totals {
                newest: unsigned(row.get(0)?),
                keys: unsigned(row.get(1)?),
                bytes: unsigned(row.get(2)?),
            })
        });
    Ok(found.optional()?.unwrap_or_default())
}

fn write_totals(
    connection: &Connection,
    user: &UserId,
    totals: Totals,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO backup_totals (user_id, newest, keys, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET newest = ?2, keys = ?3, bytes = ?4",
        )?
        .execute(params![
            user.as_str(),
            integer(totals.newest),
            integer(totals.keys),
            integer(totals.bytes),
        ])?;
    Ok(())
}

fn create(
    batch: &mut Batch<'_>,
    user: &UserId,
    algorithm: &str,
    auth_data: &Bytes,
    quotas: &Quotas,
) -> Result<u64, WriteError> {
    // Refuses a user who is not there.
    batch.counters(user)?;
    let connection = batch.connection();
    let mut totals = totals(connection, user)?;
    let versions: i64 = connection
        .prepare_cached("SELECT count(*) FROM backups WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))?;
    if unsigned(versions) >= quotas.backups {
        return Err(refused("versions of the key backup"));
    }
    totals.newest += 1;
    totals.bytes += length(algorithm.len() + auth_data.len());
    if totals.bytes > quotas.backup_bytes {
        return Err(refused("bytes of key backups"));
    }
    connection
        .prepare_cached(
            "INSERT INTO backups (user_id, version, algorithm, auth_data, count, etag)
             VALUES (?1, ?2, ?3, ?4, 0, 0)",
        )?
        .execute(params![
            user.as_str(),
            integer(totals.newest),
            algorithm,
            &**auth_data
        ])?;
    write_totals(connection, user, totals)?;
    Ok(totals.newest)
}

/// One version, or the current one.
fn find(
    connection: &Connection,
    user: &UserId,
    version: Option<u64>,
) -> Result<Option<KeyBackup>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT version, algorithm, auth_data, count, etag FROM backups
             WHERE user_id = ?1 AND (?2 IS NULL OR version = ?2)
             ORDER BY version DESC LIMIT 1",
        )?
        .query_row(params![user.as_str(), version.map(integer)], |row| {
            Ok(KeyBackup {
                version: unsigned(row.get(0)?),
                algorithm: row.get(1)?,
                auth_data: row.get::<_, Vec<u8>>(2)?.into(),
                state: KeyBackupState {
                    count: unsigned(row.get(3)?),
                    etag: unsigned(row.get(4)?),
                },
            })
        })
        .optional()
}

fn existing(connection: &Connection, user: &UserId, version: u64) -> Result<KeyBackup, WriteError> {
    find(connection, user, Some(version))?.ok_or(WriteError::Refused(StoreError::NoSuchBackup))
}

fn replace_auth_data(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    algorithm: &str,
    auth_data: &Bytes,
    quotas: &Quotas,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let backup = existing(connection, user, version)?;
    if backup.algorithm != algorithm {
        return Err(WriteError::Refused(StoreError::Changed));
    }
    let mut totals = totals(connection, user)?;
    let before = totals.bytes;
    totals.bytes = before.saturating_sub(length(backup.auth_data.len())) + length(auth_data.len());
    if totals.bytes > quotas.backup_bytes && totals.bytes > before {
        return Err(refused("bytes of key backups"));
    }
    connection
        .prepare_cached("UPDATE backups SET auth_data = ?3 WHERE user_id = ?1 AND version = ?2")?
        .execute(params![user.as_str(), integer(version), &**auth_data])?;
    write_totals(connection, user, totals)?;
    Ok(())
}

fn delete(batch: &mut Batch<'_>, user: &UserId, version: u64) -> Result<(), WriteError> {
    let connection = batch.connection();
    let mut totals = totals(connection, user)?;
    let Some(backup) = find(connection, user, Some(version))? else {
        // Numbers are given out in order: each up to the newest was there once.
        let was_there = (1..=totals.newest).contains(&version);
        return if was_there {
            Ok(())
        } else {
            Err(WriteError::Refused(StoreError::NoSuchBackup))
        };
    };
    let (_, bytes) = measure(connection, user, version, &KeySelection::All)?;
    totals.keys = totals.keys.saturating_sub(backup.state.count);
    let own = length(backup.algorithm.len() + backup.auth_data.len());
    totals.bytes = totals.bytes.saturating_sub(bytes + own);
    remove(connection, user, version, &KeySelection::All)?;
    connection
        .prepare_cached("DELETE FROM backups WHERE user_id = ?1 AND version = ?2")?
        .execute(params![user.as_str(), integer(version)])?;
    write_totals(connection, user, totals)?;
    Ok(())
}

fn put_keys(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    keys: &[BackedUpKey],
    quotas: &Quotas,
) -> Result<KeyBackupState, WriteError> {
    let connection = batch.connection();
    let backup = existing(connection, user, version)?;
    let current = find(connection, user, None)?.map_or(version, |current| current.version);
    if current != version {
        let error = StoreError::NotCurrentBackup(current);
        return Err(WriteError::Refused(error));
    }

    // All is decided before anything is written, because a refusal must leave no trace.
    let mut state = backup.state;
    let mut totals = totals(connection, user)?;
    let before = totals;
    let mut better: BTreeMap<(&str, &str), &BackedUpKey> = BTreeMap::new();
    for key in keys {
        let place = (key.room_id.as_str(), key.session_id.as_str());
        let stored = match better.get(&place) {
            Some(sooner) => Some((sooner.rank(), weight(sooner))),
            None => rank(connection, user, version, place)?,
        };
        match stored {
            Some((stored, _)) if !key.rank().is_better_than(stored) => continue,
            Some((_, weight)) => totals.bytes = totals.bytes.saturating_sub(weight),
            None => {
                totals.keys += 1;
                state.count += 1;
            }
        }
        totals.bytes += weight(key);
        better.insert(place, key);
    }
    if better.is_empty() {
        return Ok(state);
    }
    if totals.keys > quotas.backup_keys && totals.keys > before.keys {
        return Err(refused("keys in key backups"));
    }
    if totals.bytes > quotas.backup_bytes && totals.bytes > before.bytes {
        return Err(refused("bytes of key backups"));
    }
    state.etag += 1;
    let mut insert = connection.prepare_cached(
        "INSERT INTO backup_keys (user_id, version, room_id, session_id, first_message_index,
            forwarded_count, is_verified, session_data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET first_message_index = ?5, forwarded_count = ?6,
            is_verified = ?7, session_data = ?8",
    )?;
    for key in better.values() {
        insert.execute(params![
            user.as_str(),
            integer(version),
            key.room_id,
            key.session_id,
            integer(key.first_message_index),
            integer(key.forwarded_count),
            key.is_verified,
            &*key.session_data,
        ])?;
    }
    write_state(connection, user, version, state)?;
    write_totals(connection, user, totals)?;
    Ok(state)
}

fn delete_keys(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    selection: &KeySelection,
) -> Result<KeyBackupState, WriteError> {
    let connection = batch.connection();
    let mut state = existing(connection, user, version)?.state;
    let (count, bytes) = measure(connection, user, version, selection)?;
    if count == 0 {
        return Ok(state);
    }
    remove(connection, user, version, selection)?;
    state.count = state.count.saturating_sub(count);
    state.etag += 1;
    write_state(connection, user, version, state)?;
    let mut totals = totals(connection, user)?;
    totals.keys = totals.keys.saturating_sub(count);
    totals.bytes = totals.bytes.saturating_sub(bytes);
    write_totals(connection, user, totals)?;
    Ok(state)
}

fn write_state(
    connection: &Connection,
    user: &UserId,
    version: u64,
    state: KeyBackupState,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "UPDATE backups SET count = ?3, etag = ?4 WHERE user_id = ?1 AND version = ?2",
        )?
        .execute(params![
            user.as_str(),
            integer(version),
            integer(state.count),
            integer(state.etag),
        ])?;
    Ok(())
}

fn keys(
    connection: &Connection,
    user: &UserId,
    version: u64,
    selection: &KeySelection,
    after: Option<(String, String)>,
    most: usize,
) -> Result<Option<(Vec<BackedUpKey>, bool)>, rusqlite::Error> {
    // One snapshot: no version is deleted between the two questions.
    let transaction = connection.unchecked_transaction()?;
    if find(&transaction, user, Some(version))?.is_none() {
        return Ok(None);
    }
    if let KeySelection::Session(room, session) = selection {
        let one = one(&transaction, user, version, (room, session))?;
        return Ok(Some((one.into_iter().collect(), false)));
    }
    // No ID is empty, so that every key is after the first bound.
    let [from_room, from_session, to_room, to_session] = bounds(selection);
    let (from_room, from_session) = match &after {
        Some((room, session)) => (text(room), text(session)),
        None => (from_room, from_session),
    };
    let mut select = transaction.prepare_cached(
        "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified,
            session_data FROM backup_keys
         WHERE user_id = ?1 AND version = ?2
            AND (room_id, session_id) > (?3, ?4) AND (room_id, session_id) <= (?5, ?6)
         ORDER BY room_id, session_id",
    )?;
    let mut found = select.query_map(
        params![
            user.as_str(),
            integer(version),
            from_room,
            from_session,
            to_room,
            to_session
        ],
        backed_up_key,
    )?;
    let (mut keys, mut bytes) = (Vec::new(), 0);
    while bytes < most {
        let Some(key) = found.next().transpose()? else {
            return Ok(Some((keys, false)));
        };
        bytes += key.room_id.len() + key.session_id.len() + key.session_data.len() + ROW;
        keys.push(key);
    }
    let more = found.next().transpose()?.is_some();
    Ok(Some((keys, more)))
}

/// How good the key of a session is, and what it weighs: what an upload asks for each of its keys. Its
/// data stays in the file.
fn rank(
    connection: &Connection,
    user: &UserId,
    version: u64,
    (room_id, session_id): (&str, &str),
) -> Result<Option<(KeyRank, u64)>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT first_message_index, forwarded_count, is_verified, length(session_data)
             FROM backup_keys
             WHERE user_id = ?1 AND version = ?2 AND room_id = ?3 AND session_id = ?4",
        )?
        .query_row(
            params![user.as_str(), integer(version), room_id, session_id],
            |row| {
                let rank = KeyRank {
                    first_message_index: unsigned(row.get(0)?),
                    forwarded_count: unsigned(row.get(1)?),
                    is_verified: row.get(2)?,
                };
                let ids = length(room_id.len() + session_id.len());
                Ok((rank, ids + unsigned(row.get(3)?)))
            },
        )
        .optional()
}

/// The key of a session.
fn one(
    connection: &Connection,
    user: &UserId,
    version: u64,
    (room_id, session_id): (&str, &str),
) -> Result<Option<BackedUpKey>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT room_id, session_id, first_message_index, forwarded_count, is_verified,
                session_data FROM backup_keys
             WHERE user_id = ?1 AND version = ?2 AND room_id = ?3 AND session_id = ?4",
        )?
        .query_row(
            params![user.as_str(), integer(version), room_id, session_id],
            backed_up_key,
        )
        .optional()
}

/// How many keys are selected, and how many bytes they count.
fn measure(
    connection: &Connection,
    user: &UserId,
    version: u64,
    selection: &KeySelection,
) -> Result<(u64, u64), rusqlite::Error> {
    let [from_room, from_session, to_room, to_session] = bounds(selection);
    connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(octet_length(room_id) + octet_length(session_id)
                + length(session_data)), 0) FROM backup_keys
             WHERE user_id = ?1 AND version = ?2
                AND (room_id, session_id) >= (?3, ?4) AND (room_id, session_id) <= (?5, ?6)",
        )?
        .query_row(
            params![
                user.as_str(),
                integer(version),
                from_room,
                from_session,
                to_room,
                to_session
            ],
            |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))),
        )
}

fn remove(
    connection: &Connection,
    user: &UserId,
    version: u64,
    selection: &KeySelection,
) -> Result<(), rusqlite::Error> {
    let [from_room, from_session, to_room, to_session] = bounds(selection);
    connection
        .prepare_cached(
            "DELETE FROM backup_keys
             WHERE user_id = ?1 AND version = ?2
                AND (room_id, session_id) >= (?3, ?4) AND (room_id, session_id) <= (?5, ?6)",
        )?
        .execute(params![
            user.as_str(),
            integer(version),
            from_room,
            from_session,
            to_room,
            to_session
        ])?;
    Ok(())
}

/// The first and the last of a selection, so that the primary key finds it. In SQLite a blob comes
/// after every text.
fn bounds(selection: &KeySelection) -> [ToSqlOutput<'_>; 4] {
    const FIRST: ToSqlOutput<'static> = ToSqlOutput::Borrowed(ValueRef::Text(b""));
    const LAST: ToSqlOutput<'static> = ToSqlOutput::Borrowed(ValueRef::Blob(b""));
    match selection {
        KeySelection::All => [FIRST, FIRST, LAST, LAST],
        KeySelection::Room(room) => [text(room), FIRST, text(room), LAST],
        KeySelection::Session(room, session) => {
            [text(room), text(session), text(room), text(session)]
        }
    }
}

fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::from(text)
}

fn backed_up_key(row: &Row<'_>) -> Result<BackedUpKey, rusqlite::Error> {
    Ok(BackedUpKey {
        room_id: row.get(0)?,
        session_id: row.get(1)?,
        first_message_index: unsigned(row.get(2)?),
        forwarded_count: unsigned(row.get(3)?),
        is_verified: row.get(4)?,
        session_data: row.get::<_, Vec<u8>>(5)?.into(),
    })
}

/// What a key takes beside its texts.
const ROW: usize = 128;

fn weight(key: &BackedUpKey) -> u64 {
    length(key.room_id.len() + key.session_id.len() + key.session_data.len())
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn refused(what: &'static str) -> WriteError {
    WriteError::Refused(StoreError::Quota(what))
}

//! The room keys in a key backup.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::backup_selection::{bounds, measure, remove, text};
use super::backups::{existing, find, totals, write_state, write_totals};
use crate::store::rules::backups::{Accepted, Upload, check_current, without_keys};
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length, unsigned};
use crate::store::{BackedUpKey, BackupQuota, KeyBackupState, KeyRank, KeySelection, UserId};

pub(in crate::store::sqlite) fn put(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    keys: &[BackedUpKey],
    quota: BackupQuota,
) -> Result<KeyBackupState, WriteError> {
    let connection = batch.connection();
    // All is decided before anything is written, because a refusal must leave no trace.
    let accepted = decide(connection, user, version, keys, quota)?;
    if accepted.keys.is_empty() {
        return Ok(accepted.state);
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO backup_keys (user_id, version, room_id, session_id, first_message_index,
            forwarded_count, is_verified, session_data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT DO UPDATE SET first_message_index = ?5, forwarded_count = ?6,
            is_verified = ?7, session_data = ?8",
    )?;
    for key in accepted.keys {
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
    write_state(connection, user, version, accepted.state)?;
    write_totals(connection, user, accepted.totals)?;
    Ok(accepted.state)
}

/// Decides whether these keys may be put, and computes the totals.
pub(in crate::store::sqlite) fn decide<'k>(
    connection: &Connection,
    user: &UserId,
    version: u64,
    keys: &'k [BackedUpKey],
    quota: BackupQuota,
) -> Result<Accepted<'k>, WriteError> {
    let backup = existing(connection, user, version)?;
    let current = find(connection, user, None)?.map_or(version, |current| current.version);
    check_current(version, current)?;
    let mut upload = Upload::new(backup.state, totals(connection, user)?);
    for key in keys {
        let stored = if upload.holds(key) {
            None
        } else {
            rank(connection, user, version, key)?
        };
        upload.take(key, stored);
    }
    Ok(upload.finish(quota)?)
}

pub(in crate::store::sqlite) fn delete(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    selection: &KeySelection,
) -> Result<KeyBackupState, WriteError> {
    let connection = batch.connection();
    let state = existing(connection, user, version)?.state;
    let (count, weight) = measure(connection, user, version, selection)?;
    if count == 0 {
        return Ok(state);
    }
    remove(connection, user, version, selection)?;
    let state = without_keys(state, count);
    write_state(connection, user, version, state)?;
    let totals = totals(connection, user)?;
    write_totals(connection, user, totals.without_keys(count, weight))?;
    Ok(state)
}

pub(in crate::store::sqlite) fn page(
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
    key: &BackedUpKey,
) -> Result<Option<(KeyRank, u64)>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT first_message_index, forwarded_count, is_verified, length(session_data)
             FROM backup_keys
             WHERE user_id = ?1 AND version = ?2 AND room_id = ?3 AND session_id = ?4",
        )?
        .query_row(
            params![user.as_str(), integer(version), key.room_id, key.session_id],
            |row| {
                let rank = KeyRank {
                    first_message_index: unsigned(row.get(0)?),
                    forwarded_count: unsigned(row.get(1)?),
                    is_verified: row.get(2)?,
                };
                let ids = length(key.room_id.len() + key.session_id.len());
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

/// The overhead of a key beside its texts.
const ROW: usize = 128;

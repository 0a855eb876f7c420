//! Writing account data and filters.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use crate::store::sqlite::cache::Effect;
use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::sqlite::{integer, unsigned};
use crate::store::{Condition, Position, Scope, StoreError, UserId};

/// One replacement of account data.
pub(in crate::store::sqlite) struct Write {
    pub(in crate::store::sqlite) user: UserId,
    pub(in crate::store::sqlite) scope: Scope,
    pub(in crate::store::sqlite) event_type: Arc<str>,
    pub(in crate::store::sqlite) content: Bytes,
    pub(in crate::store::sqlite) condition: Condition,
    pub(in crate::store::sqlite) most_types: u64,
    pub(in crate::store::sqlite) most_bytes: u64,
}

pub(in crate::store::sqlite) fn put(
    batch: &mut Batch<'_>,
    write: &Write,
) -> Result<Position, WriteError> {
    let connection = batch.connection();
    let user = write.user.as_str();
    let key_length = length(write.event_type.len() + write.scope.as_str().len());
    let stored = connection
        .prepare_cached(
            "SELECT position, length(content) FROM account_data
             WHERE user_id = ?1 AND room_id = ?2 AND type = ?3",
        )?
        .query_row(
            params![user, write.scope.as_str(), &*write.event_type],
            |row| Ok((Position(unsigned(row.get(0)?)), unsigned(row.get(1)?))),
        )
        .optional()?;
    if !write.condition.holds(stored.map(|(position, _)| position)) {
        return Err(WriteError::Refused(StoreError::Changed));
    }

    let counters = batch.counters(&write.user)?;
    let mut types = counters.account_data_types;
    let mut bytes = counters.account_data_bytes;
    match stored {
        Some((_, stored)) => bytes = bytes.saturating_sub(stored),
        None => {
            types += 1;
            bytes += key_length;
        }
    }
    bytes += length(write.content.len());
    if types > write.most_types && stored.is_none() {
        return Err(WriteError::Refused(StoreError::Quota(
            "types of account data",
        )));
    }
    // A user over the limit (it was lowered) may still shrink.
    if bytes > write.most_bytes && bytes > counters.account_data_bytes {
        return Err(WriteError::Refused(StoreError::Quota(
            "bytes of account data",
        )));
    }
    counters.account_data_types = types;
    counters.account_data_bytes = bytes;
    counters.position = Position(counters.position.0 + 1);
    let position = counters.position;

    connection
        .prepare_cached(
            "INSERT INTO account_data (user_id, room_id, type, position, content)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET position = ?4, content = ?5",
        )?
        .execute(params![
            user,
            write.scope.as_str(),
            &*write.event_type,
            integer(position.0),
            &*write.content,
        ])?;
    batch.effect(Effect::AccountData {
        user: write.user.clone(),
        scope: write.scope.clone(),
        event_type: Arc::clone(&write.event_type),
        content: write.content.clone(),
        position,
    });
    if write.scope.is_global() {
        batch.wake(&write.user);
    }
    Ok(position)
}

pub(in crate::store::sqlite) fn put_filter(
    batch: &mut Batch<'_>,
    user: &UserId,
    definition: &Bytes,
    most: u64,
) -> Result<u64, WriteError> {
    batch.counters(user)?;
    let connection = batch.connection();
    let same = connection
        .prepare_cached(
            "SELECT filter_id FROM filters WHERE user_id = ?1 AND definition = ?2 LIMIT 1",
        )?
        .query_row(params![user.as_str(), &**definition], |row| row.get(0))
        .optional()?;
    if let Some(filter) = same {
        return Ok(unsigned(filter));
    }
    // Filters are never deleted, so the highest number counts them.
    let count: i64 = connection
        .prepare_cached("SELECT coalesce(max(filter_id), 0) FROM filters WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))?;
    let filter = unsigned(count) + 1;
    if filter > most {
        return Err(WriteError::Refused(StoreError::Quota("filters")));
    }
    connection
        .prepare_cached("INSERT INTO filters (user_id, filter_id, definition) VALUES (?1, ?2, ?3)")?
        .execute(params![user.as_str(), integer(filter), &**definition])?;
    batch.reload(user);
    Ok(filter)
}

fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

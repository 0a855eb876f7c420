//! Writing filters.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use crate::store::UserId;
use crate::store::rules::devices::next_filter;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};

pub(in crate::store::sqlite) fn put(
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
    let newest: i64 = connection
        .prepare_cached("SELECT coalesce(max(filter_id), 0) FROM filters WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))?;
    let filter = next_filter(unsigned(newest), most)?;
    connection
        .prepare_cached("INSERT INTO filters (user_id, filter_id, definition) VALUES (?1, ?2, ?3)")?
        .execute(params![user.as_str(), integer(filter), &**definition])?;
    batch.reload(user, Change::Filter);
    Ok(filter)
}

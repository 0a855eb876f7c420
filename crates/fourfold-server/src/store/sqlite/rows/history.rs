//! The history of account data: what a write moves into it, and reading it.

use rusqlite::{Connection, Params, Row, params};

use crate::store::rules::history::{self as rules, Usage};
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::AccountDataWrite;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length, unsigned};
use crate::store::{
    DeviceId, HistoryEntry, HistoryPage, HistoryQuota, Origin, Position, Timestamp, UserId,
};

/// Keeps the content that a write is about to replace, and deletes what the quota has no room for.
/// Returns `false` when the write stores the same content again: that is no change.
pub(in crate::store::sqlite) fn keep(
    batch: &mut Batch<'_>,
    write: &AccountDataWrite,
    now: Timestamp,
    quota: HistoryQuota,
) -> Result<bool, WriteError> {
    let user = write.user.as_str();
    let connection = batch.connection();
    // From row to row, so that a large content is not copied into memory.
    let mut insert = connection.prepare_cached(
        "INSERT INTO account_data_history
            (user_id, type, position, written_at, device_id, replaced_at, size, content)
         SELECT user_id, type, position, written_at, device_id, ?3, length + ?4,
            coalesce(large_contents.content, account_data.content)
         FROM account_data LEFT JOIN large_contents USING (user_id, room_id, type)
         WHERE user_id = ?1 AND room_id = '' AND type = ?2
            AND coalesce(large_contents.content, account_data.content) != ?5
         RETURNING size",
    )?;
    let name = length(write.event_type.len());
    let key = params![
        user,
        &*write.event_type,
        integer(now.0),
        integer(name),
        &*write.content
    ];
    let kept = sum(insert.query(key)?)?;
    if kept.entries == 0 {
        return Ok(false);
    }
    let counters = batch.counters(&write.user)?;
    counters.history = counters.history.with(kept.bytes);
    let is_sweep_due = rules::is_sweep_due(counters.history_swept_at, now);

    if let Some(newest) = beyond_quota(connection, write, quota)? {
        let oldest_of_type = "DELETE FROM account_data_history
            WHERE user_id = ?1 AND type = ?2 AND position <= ?3 RETURNING size";
        let key = params![user, &*write.event_type, newest];
        delete(batch, &write.user, oldest_of_type, key)?;
    }
    if is_sweep_due {
        let expired = "DELETE FROM account_data_history
            WHERE user_id = ?1 AND replaced_at < ?2 RETURNING size";
        let oldest = integer(rules::oldest(now, quota).0);
        delete(batch, &write.user, expired, params![user, oldest])?;
        batch.counters(&write.user)?.history_swept_at = now;
    }
    let excess = rules::excess(batch.counters(&write.user)?.history, quota);
    if excess != Usage::default() {
        delete_oldest(batch, &write.user, excess)?;
    }
    Ok(true)
}

/// Deletes the history of one user.
pub(in crate::store::sqlite) fn forget(
    batch: &mut Batch<'_>,
    user: &UserId,
) -> Result<(), WriteError> {
    batch.counters(user)?.history = Usage::default();
    batch
        .connection()
        .prepare_cached("DELETE FROM account_data_history WHERE user_id = ?1")?
        .execute([user.as_str()])?;
    Ok(())
}

/// Deletes the history of everyone: the server keeps none.
pub(in crate::store::sqlite) fn forget_all(
    connection: &mut Connection,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "DELETE FROM account_data_history;
         UPDATE users SET history_entries = 0, history_bytes = 0 WHERE history_entries > 0;
         UPDATE account_data SET written_at = NULL, device_id = NULL
            WHERE written_at IS NOT NULL;",
    )?;
    transaction.commit()
}

pub(in crate::store::sqlite) fn page(
    connection: &Connection,
    user: &UserId,
    wanted: &HistoryPage,
    quota: Option<HistoryQuota>,
) -> Result<(Vec<HistoryEntry>, bool), rusqlite::Error> {
    // A snapshot: no content is missing because it moved from one table to the other.
    let snapshot = connection.unchecked_transaction()?;
    let oldest = quota.map_or(i64::MAX, |quota| {
        integer(rules::oldest(wanted.now, quota).0)
    });
    let before = wanted.before.map_or(i64::MAX, |it| integer(it.0));
    let entries_wanted = wanted.entries.max(1);
    let most = integer(length(entries_wanted).saturating_add(1));
    let mut found = snapshot.prepare_cached(
        "SELECT type, position, 1 FROM account_data
         WHERE user_id = ?1 AND room_id = '' AND (?2 IS NULL OR type = ?2) AND position < ?3
         UNION ALL
         SELECT type, position, 0 FROM account_data_history
         WHERE user_id = ?1 AND (?2 IS NULL OR type = ?2) AND position < ?3 AND replaced_at >= ?4
         ORDER BY position DESC LIMIT ?5",
    )?;
    let key = params![
        user.as_str(),
        wanted.event_type.as_deref(),
        before,
        oldest,
        most
    ];
    let mut found = found.query(key)?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        if entries.len() >= entries_wanted || (bytes >= wanted.bytes && !entries.is_empty()) {
            return Ok((entries, true));
        }
        let (event_type, position): (Box<str>, i64) = (row.get(0)?, row.get(1)?);
        let statement = if row.get(2)? { CURRENT } else { EARLIER };
        let key = params![user.as_str(), &event_type, position];
        let entry = snapshot
            .prepare_cached(statement)?
            .query_row(key, |row| entry(&event_type, position, row))?;
        bytes += entry.content.len();
        entries.push(entry);
    }
    Ok((entries, false))
}

const CURRENT: &str = "SELECT written_at, device_id, NULL,
        coalesce(large_contents.content, account_data.content)
     FROM account_data LEFT JOIN large_contents USING (user_id, room_id, type)
     WHERE user_id = ?1 AND room_id = '' AND type = ?2 AND position = ?3";

const EARLIER: &str = "SELECT written_at, device_id, replaced_at, content
     FROM account_data_history WHERE user_id = ?1 AND type = ?2 AND position = ?3";

fn entry(event_type: &str, position: i64, row: &Row<'_>) -> Result<HistoryEntry, rusqlite::Error> {
    let at = row.get::<_, Option<i64>>(0)?;
    let device = row.get::<_, Option<Box<str>>>(1)?;
    let origin = at.zip(device).map(|(at, device)| Origin {
        device: DeviceId::new(device),
        at: Timestamp(unsigned(at)),
    });
    let replaced_at = row.get::<_, Option<i64>>(2)?;
    Ok(HistoryEntry {
        event_type: event_type.into(),
        position: Position(unsigned(position)),
        origin,
        replaced_at: replaced_at.map(|at| Timestamp(unsigned(at))),
        content: row.get::<_, Vec<u8>>(3)?.into(),
    })
}

/// The newest of the contents that leave because their type has too many; `None` when it has not.
fn beyond_quota(
    connection: &Connection,
    write: &AccountDataWrite,
    quota: HistoryQuota,
) -> Result<Option<i64>, rusqlite::Error> {
    let mut nth = connection.prepare_cached(
        "SELECT position FROM account_data_history WHERE user_id = ?1 AND type = ?2
         ORDER BY position DESC LIMIT 1 OFFSET ?3",
    )?;
    let mut nth = |number: u64| {
        let key = params![write.user.as_str(), &*write.event_type, integer(number)];
        let mut found = nth.query(key)?;
        found.next()?.map(|row| row.get::<_, i64>(0)).transpose()
    };
    let most = quota.entries_of_type;
    match nth(most)? {
        Some(_) => nth(rules::most_after_deletion(most)),
        None => Ok(None),
    }
}

/// Deletes contents in the order in which they were replaced, which is that of their rows, until so
/// much is gone. A content that was stored long ago and replaced just now is not among the first.
fn delete_oldest(batch: &mut Batch<'_>, user: &UserId, excess: Usage) -> Result<(), WriteError> {
    let newest = {
        let mut oldest = batch.connection().prepare_cached(
            "SELECT rowid, size FROM account_data_history WHERE user_id = ?1 ORDER BY rowid",
        )?;
        let mut oldest = oldest.query([user.as_str()])?;
        let (mut gone, mut newest) = (Usage::default(), 0);
        while gone.entries < excess.entries || gone.bytes < excess.bytes {
            let Some(row) = oldest.next()? else {
                break;
            };
            newest = row.get(0)?;
            gone = gone.with(unsigned(row.get(1)?));
        }
        newest
    };
    let oldest = "DELETE FROM account_data_history
        WHERE user_id = ?1 AND rowid <= ?2 RETURNING size";
    delete(batch, user, oldest, params![user.as_str(), newest])
}

/// Runs a deletion that returns the sizes, and counts it.
fn delete(
    batch: &mut Batch<'_>,
    user: &UserId,
    statement: &str,
    key: impl Params,
) -> Result<(), WriteError> {
    let deleted = sum(batch.connection().prepare_cached(statement)?.query(key)?)?;
    let counters = batch.counters(user)?;
    counters.history = counters.history.without(deleted);
    Ok(())
}

fn sum(mut sizes: rusqlite::Rows<'_>) -> Result<Usage, rusqlite::Error> {
    let mut usage = Usage::default();
    while let Some(row) = sizes.next()? {
        usage = usage.with(unsigned(row.get(0)?));
    }
    Ok(usage)
}

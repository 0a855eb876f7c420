//! The history of account data: what a write moves into it, and reading it.

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use crate::store::rules::history::{self as rules, Usage};
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::AccountDataWrite;
use crate::store::sqlite::contents::MAX_SMALL;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length, unsigned};
use crate::store::{
    DeviceId, HistoryEntry, HistoryPage, HistoryQuota, Origin, Position, Timestamp, UserId,
};

/// The row of account data that a write replaces.
pub(in crate::store::sqlite) struct Replaced {
    pub(in crate::store::sqlite) position: Position,
    pub(in crate::store::sqlite) length: u64,
    content: Vec<u8>,
    note: Note,
}

/// What a row of account data says about its history.
#[derive(Default)]
pub(in crate::store::sqlite) struct Note {
    pub(in crate::store::sqlite) written_at: Option<i64>,
    pub(in crate::store::sqlite) device: Option<Box<str>>,
    /// The number of earlier contents, or more.
    pub(in crate::store::sqlite) earlier: i64,
}

impl Replaced {
    pub(in crate::store::sqlite) fn find(
        connection: &Connection,
        write: &AccountDataWrite,
    ) -> Result<Option<Self>, rusqlite::Error> {
        let mut found = connection.prepare_cached(
            "SELECT position, length, content, written_at, device_id, earlier FROM account_data
             WHERE user_id = ?1 AND room_id = ?2 AND type = ?3",
        )?;
        let replaced = |row: &Row<'_>| {
            Ok(Self {
                position: Position(unsigned(row.get(0)?)),
                length: unsigned(row.get(1)?),
                content: row.get(2)?,
                note: Note {
                    written_at: row.get(3)?,
                    device: row.get(4)?,
                    earlier: row.get(5)?,
                },
            })
        };
        let key = params![
            write.user.as_str(),
            write.scope.as_str(),
            &*write.event_type
        ];
        found.query_row(key, replaced).optional()
    }

    fn is_large(&self) -> bool {
        self.length > length(MAX_SMALL)
    }

    /// Whether the write stores the same content again.
    fn is_same(
        &self,
        connection: &Connection,
        write: &AccountDataWrite,
    ) -> Result<bool, rusqlite::Error> {
        if self.length != length(write.content.len()) {
            return Ok(false);
        }
        if !self.is_large() {
            return Ok(self.content == *write.content);
        }
        connection
            .prepare_cached(
                "SELECT content = ?3 FROM large_contents
                 WHERE user_id = ?1 AND room_id = '' AND type = ?2",
            )?
            .query_row(
                params![write.user.as_str(), &*write.event_type, &*write.content],
                |row| row.get(0),
            )
    }
}

/// Keeps the content that a write is about to replace, and deletes what the quota has no room for.
/// Returns what the new row says. A content that is stored again unchanged is no change: it keeps its
/// origin.
pub(in crate::store::sqlite) fn keep(
    batch: &mut Batch<'_>,
    write: &AccountDataWrite,
    replaced: Option<Replaced>,
    (position, origin): (Position, &Origin),
    quota: HistoryQuota,
) -> Result<Note, WriteError> {
    let mut note = Note {
        written_at: Some(integer(origin.at.0)),
        device: Some(origin.device.as_str().into()),
        earlier: 0,
    };
    let Some(replaced) = replaced else {
        return Ok(note);
    };
    if replaced.is_same(batch.connection(), write)? {
        return Ok(replaced.note);
    }
    insert(batch.connection(), write, &replaced, (position, origin.at))?;
    let counters = batch.counters(&write.user)?;
    counters.history = counters
        .history
        .with(replaced.length + length(write.event_type.len()));
    let is_sweep_due = rules::is_sweep_due(counters.history_swept_at, origin.at);

    note.earlier = replaced.note.earlier + 1;
    if unsigned(note.earlier) > quota.entries_of_type {
        note.earlier = limit_type(batch, write, quota)?;
    }
    let user = write.user.as_str();
    if is_sweep_due {
        let expired = "DELETE FROM account_data_history
            WHERE user_id = ?1 AND replaced_at < ?2 RETURNING type, position, length";
        let oldest = integer(rules::oldest(origin.at, quota).0);
        delete(batch, &write.user, expired, params![user, oldest])?;
        batch.counters(&write.user)?.history_swept_at = origin.at;
    }
    let excess = rules::excess(batch.counters(&write.user)?.history, quota);
    if excess != Usage::default() {
        delete_oldest(batch, &write.user, excess)?;
    }
    Ok(note)
}

fn insert(
    connection: &Connection,
    write: &AccountDataWrite,
    replaced: &Replaced,
    (position, now): (Position, Timestamp),
) -> Result<(), rusqlite::Error> {
    let user = write.user.as_str();
    connection
        .prepare_cached(
            "INSERT INTO account_data_history (user_id, type, position, replaced_by, replaced_at,
                written_at, device_id, length, content)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            user,
            &*write.event_type,
            integer(replaced.position.0),
            integer(position.0),
            integer(now.0),
            replaced.note.written_at,
            replaced.note.device,
            integer(replaced.length),
            replaced.content,
        ])?;
    if replaced.is_large() {
        // From row to row, so that a large content is not copied into memory.
        connection
            .prepare_cached(
                "INSERT INTO large_history (user_id, type, position, content)
                 SELECT user_id, type, ?3, content FROM large_contents
                 WHERE user_id = ?1 AND room_id = '' AND type = ?2",
            )?
            .execute(params![
                user,
                &*write.event_type,
                integer(replaced.position.0)
            ])?;
    }
    Ok(())
}

/// Deletes the history of one user.
pub(in crate::store::sqlite) fn forget(
    batch: &mut Batch<'_>,
    user: &UserId,
) -> Result<(), WriteError> {
    batch.counters(user)?.history = Usage::default();
    for statement in [
        "DELETE FROM account_data_history WHERE user_id = ?1",
        "DELETE FROM large_history WHERE user_id = ?1",
        "UPDATE account_data SET earlier = 0 WHERE user_id = ?1 AND earlier > 0",
    ] {
        let connection = batch.connection();
        connection
            .prepare_cached(statement)?
            .execute([user.as_str()])?;
    }
    Ok(())
}

/// Deletes the history of everyone: the server keeps none.
pub(in crate::store::sqlite) fn forget_all(
    connection: &mut Connection,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(
        "DELETE FROM account_data_history;
         DELETE FROM large_history;
         UPDATE users SET history_entries = 0, history_bytes = 0 WHERE history_entries > 0;
         UPDATE account_data SET written_at = NULL, device_id = NULL, earlier = 0
            WHERE written_at IS NOT NULL OR earlier > 0;",
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

const EARLIER: &str = "SELECT written_at, device_id, replaced_at,
        coalesce(large_history.content, account_data_history.content)
     FROM account_data_history LEFT JOIN large_history USING (user_id, type, position)
     WHERE user_id = ?1 AND type = ?2 AND position = ?3";

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

/// Deletes the oldest contents of a type that has too many, and returns the number of those that stay.
fn limit_type(
    batch: &mut Batch<'_>,
    write: &AccountDataWrite,
    quota: HistoryQuota,
) -> Result<i64, WriteError> {
    let (user, event_type) = (write.user.as_str(), &*write.event_type);
    let most = integer(quota.entries_of_type);
    let stay = integer(rules::most_after_deletion(quota.entries_of_type));
    // Counted now: contents may have gone for other reasons.
    let count: i64 = batch
        .connection()
        .prepare_cached(
            "SELECT count(*) FROM account_data_history WHERE user_id = ?1 AND type = ?2",
        )?
        .query_row(params![user, event_type], |row| row.get(0))?;
    if count <= most {
        return Ok(count);
    }
    let oldest = "DELETE FROM account_data_history WHERE user_id = ?1 AND type = ?2
        AND position <= (SELECT position FROM account_data_history WHERE user_id = ?1 AND type = ?2
            ORDER BY position DESC LIMIT 1 OFFSET ?3)
        RETURNING type, position, length";
    delete(batch, &write.user, oldest, params![user, event_type, stay])?;
    Ok(stay)
}

/// Deletes contents in the order in which they were replaced, until so much is gone. A content that
/// was stored long ago and replaced just now is not among the first.
fn delete_oldest(batch: &mut Batch<'_>, user: &UserId, excess: Usage) -> Result<(), WriteError> {
    let newest = {
        let mut oldest = batch.connection().prepare_cached(
            "SELECT replaced_by, length + octet_length(type) FROM account_data_history
             WHERE user_id = ?1 ORDER BY replaced_by",
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
        WHERE user_id = ?1 AND replaced_by <= ?2 RETURNING type, position, length";
    delete(batch, user, oldest, params![user.as_str(), newest])
}

/// Runs a deletion that returns what it deleted, counts it, and deletes the contents that lie apart.
fn delete(
    batch: &mut Batch<'_>,
    user: &UserId,
    statement: &str,
    key: impl Params,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let (mut deleted, mut large) = (Usage::default(), Vec::new());
    {
        let mut statement = connection.prepare_cached(statement)?;
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            let (event_type, position): (Box<str>, i64) = (row.get(0)?, row.get(1)?);
            let content = unsigned(row.get(2)?);
            deleted = deleted.with(content + length(event_type.len()));
            if content > length(MAX_SMALL) {
                large.push((event_type, position));
            }
        }
    }
    for (event_type, position) in large {
        connection
            .prepare_cached(
                "DELETE FROM large_history WHERE user_id = ?1 AND type = ?2 AND position = ?3",
            )?
            .execute(params![user.as_str(), event_type, position])?;
    }
    let counters = batch.counters(user)?;
    counters.history = counters.history.without(deleted);
    Ok(())
}

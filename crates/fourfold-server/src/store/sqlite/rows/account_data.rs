//! Account data: writing it, and reading all rows of a user or one content.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::history::{self, Note, Replaced};
use crate::store::rules::account_data::{self as rules, Lengths};
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::{AccountDataWrite, Effect};
use crate::store::sqlite::contents::{AccountDataRows, MAX_SMALL};
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length, unsigned};
use crate::store::{
    AccountDataQuota, Condition, HistoryQuota, Origin, Position, Scope, Stored, UserId,
};

pub(in crate::store::sqlite) fn put(
    batch: &mut Batch<'_>,
    write: &AccountDataWrite,
    condition: Condition,
    origin: &Origin,
    quota: AccountDataQuota,
    history: Option<HistoryQuota>,
) -> Result<Position, WriteError> {
    let connection = batch.connection();
    let user = write.user.as_str();
    let replaced = Replaced::find(connection, write)?;
    rules::check(condition, replaced.as_ref().map(|it| it.position))?;

    let counters = batch.counters(&write.user)?;
    let lengths = Lengths {
        name: length(write.event_type.len() + write.scope.as_str().len()),
        content: length(write.content.len()),
    };
    let stored = replaced.as_ref().map(|it| it.length);
    counters.account_data = rules::replace(counters.account_data, stored, lengths, quota)?;
    counters.position = Position(counters.position.0 + 1);
    let position = counters.position;
    let note = match history.filter(|_| write.scope.is_global()) {
        // Before the row changes.
        Some(history) => history::keep(batch, write, replaced, (position, origin), history)?,
        None => Note::default(),
    };

    let is_large = write.content.len() > MAX_SMALL;
    connection
        .prepare_cached(
            "INSERT INTO account_data (user_id, room_id, type, position, length, content,
                written_at, device_id, earlier)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET position = ?4, length = ?5, content = ?6,
                written_at = ?7, device_id = ?8, earlier = ?9",
        )?
        .execute(params![
            user,
            write.scope.as_str(),
            &*write.event_type,
            integer(position.0),
            integer(lengths.content),
            if is_large { &[] } else { &*write.content },
            note.written_at,
            note.device,
            note.earlier,
        ])?;
    if is_large {
        connection
            .prepare_cached(
                "INSERT INTO large_contents (user_id, room_id, type, content)
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET content = ?4",
            )?
            .execute(params![
                user,
                write.scope.as_str(),
                &*write.event_type,
                &*write.content,
            ])?;
    } else if stored.is_some_and(|stored| stored > length(MAX_SMALL)) {
        connection
            .prepare_cached(
                "DELETE FROM large_contents WHERE user_id = ?1 AND room_id = ?2 AND type = ?3",
            )?
            .execute(params![user, write.scope.as_str(), &*write.event_type])?;
    }
    let effect = Effect::AccountData {
        write: write.clone(),
        position,
    };
    batch.effect(effect, Change::AccountData(&write.scope));
    Ok(position)
}

/// Reads the rows of a user into `rows`, without the contents that stay in the file.
pub(in crate::store::sqlite) fn load(
    connection: &Connection,
    user: &UserId,
    rows: &mut AccountDataRows,
) -> Result<(), rusqlite::Error> {
    let mut found = connection.prepare_cached(
        "SELECT room_id, type, position, length, content FROM account_data WHERE user_id = ?1",
    )?;
    let mut found = found.query([user.as_str()])?;
    let mut has_large = false;
    while let Some(row) = found.next()? {
        let place = place(row)?;
        let position = Position(unsigned(row.get(2)?));
        let length = usize::try_from(unsigned(row.get(3)?)).unwrap_or(usize::MAX);
        let content = (length <= MAX_SMALL)
            .then(|| row.get(4).map(owned))
            .transpose()?;
        has_large |= content.is_none();
        rows.load(place, position, length, content);
    }
    if !has_large || rows.is_large() {
        return Ok(());
    }
    let mut large = connection
        .prepare_cached("SELECT room_id, type, content FROM large_contents WHERE user_id = ?1")?;
    let mut large = large.query([user.as_str()])?;
    while let Some(row) = large.next()? {
        rows.load_content(place(row)?, owned(row.get(2)?));
    }
    Ok(())
}

pub(in crate::store::sqlite) fn content(
    connection: &Connection,
    user: &UserId,
    scope: &Scope,
    event_type: &str,
) -> Result<Option<Stored>, rusqlite::Error> {
    // One statement: no write comes between the number and the content.
    let mut found = connection.prepare_cached(
        "SELECT position, coalesce(large_contents.content, account_data.content)
         FROM account_data LEFT JOIN large_contents USING (user_id, room_id, type)
         WHERE user_id = ?1 AND room_id = ?2 AND type = ?3",
    )?;
    let key = params![user.as_str(), scope.as_str(), event_type];
    let stored = |row: &Row<'_>| {
        Ok(Stored {
            position: Position(unsigned(row.get(0)?)),
            content: owned(row.get(1)?),
        })
    };
    found.query_row(key, stored).optional()
}

fn place(row: &Row<'_>) -> Result<(Scope, Arc<str>), rusqlite::Error> {
    Ok((Scope::room(row.get::<_, Box<str>>(0)?), row.get(1)?))
}

fn owned(content: Vec<u8>) -> Bytes {
    content.into()
}

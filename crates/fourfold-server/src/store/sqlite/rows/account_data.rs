//! Account data: writing it, and reading one content.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::store::rules::account_data::{self as rules, Lengths};
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::{AccountDataWrite, Effect};
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length, unsigned};
use crate::store::{AccountDataQuota, Condition, Position, Scope, Stored, UserId};

pub(in crate::store::sqlite) fn put(
    batch: &mut Batch<'_>,
    write: &AccountDataWrite,
    condition: Condition,
    quota: AccountDataQuota,
) -> Result<Position, WriteError> {
    let connection = batch.connection();
    let user = write.user.as_str();
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
    rules::check(condition, stored.map(|(position, _)| position))?;

    let counters = batch.counters(&write.user)?;
    let lengths = Lengths {
        name: length(write.event_type.len() + write.scope.as_str().len()),
        content: length(write.content.len()),
    };
    let stored = stored.map(|(_, length)| length);
    counters.account_data = rules::replace(counters.account_data, stored, lengths, quota)?;
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
    let effect = Effect::AccountData {
        write: write.clone(),
        position,
    };
    batch.effect(effect, Change::AccountData(&write.scope));
    Ok(position)
}

pub(in crate::store::sqlite) fn content(
    connection: &Connection,
    user: &UserId,
    scope: &Scope,
    event_type: &str,
) -> Result<Option<Stored>, rusqlite::Error> {
    let mut found = connection.prepare_cached(
        "SELECT position, content FROM account_data
         WHERE user_id = ?1 AND room_id = ?2 AND type = ?3",
    )?;
    let key = params![user.as_str(), scope.as_str(), event_type];
    let stored = |row: &Row<'_>| {
        Ok(Stored {
            position: Position(unsigned(row.get(0)?)),
            content: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        })
    };
    found.query_row(key, stored).optional()
}

//! Selections of backed up keys: measured, and removed.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, params};

use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{KeySelection, UserId};

/// The number of selected keys, and of their bytes.
pub(super) fn measure(
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

pub(super) fn remove(
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
pub(super) fn bounds(selection: &KeySelection) -> [ToSqlOutput<'_>; 4] {
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

pub(super) fn text(text: &str) -> ToSqlOutput<'_> {
    ToSqlOutput::from(text)
}

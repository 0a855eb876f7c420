//! Inboxes: what waits in them, and what leaves them.

use std::collections::HashMap;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::store::rules::admission::Waiting;
use crate::store::rules::messages::is_acknowledged;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::Effect;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{Amount, DeviceId, Inbox, InboxMessage, Position, UserId};

pub(in crate::store::sqlite) fn messages(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
    (after, end): (Position, Position),
    most: usize,
) -> Result<Vec<InboxMessage>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(
        "SELECT position, event FROM to_device
         WHERE user_id = ?1 AND device_id = ?2 AND position > ?3 AND position <= ?4
         ORDER BY position LIMIT ?5",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let (after, end) = (integer(after.0), integer(end.0));
    let values = params![user.as_str(), device.as_str(), after, end, most];
    let rows = statement.query_map(values, |row| {
        Ok(InboxMessage {
            position: Position(unsigned(row.get(0)?)),
            event: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        })
    })?;
    rows.collect()
}

pub(in crate::store::sqlite) fn acknowledge(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    up_to: Position,
) -> Result<(), WriteError> {
    let position = batch.counters(user)?.position;
    if !is_acknowledged(up_to, position) {
        return Ok(());
    }
    let connection = batch.connection();
    let values = params![user.as_str(), device.as_str(), integer(up_to.0)];
    let gone = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(event)), 0), count(sender),
                coalesce(sum(length(event)) FILTER (WHERE sender IS NOT NULL), 0)
             FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND position <= ?3",
        )?
        .query_row(values, |row| {
            Ok(Waiting {
                all: amount(row, 0)?,
                of_others: amount(row, 2)?,
            })
        })?;
    if gone.all.messages > 0 {
        connection
            .prepare_cached(
                "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND position <= ?3",
            )?
            .execute(values)?;
    }
    count_out(batch, user, device, &gone, up_to)
}

/// Counts messages out that left before they were acknowledged.
pub(super) fn removed(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    gone: &Waiting,
) -> Result<(), WriteError> {
    count_out(batch, user, device, gone, Position::default())
}

fn count_out(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    gone: &Waiting,
    acknowledged: Position,
) -> Result<(), WriteError> {
    let position = batch.counters(user)?.position;
    let inbox = batch
        .connection()
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages - ?3,
                inbox_bytes = inbox_bytes - ?4, inbox_acknowledged = max(inbox_acknowledged, ?5),
                inbox_messages_of_others = inbox_messages_of_others - ?6,
                inbox_bytes_of_others = inbox_bytes_of_others - ?7
             WHERE user_id = ?1 AND device_id = ?2
             RETURNING inbox_messages, inbox_newest, inbox_acknowledged",
        )?
        .query_row(
            params![
                user.as_str(),
                device.as_str(),
                integer(gone.all.messages),
                integer(gone.all.bytes),
                integer(acknowledged.0),
                integer(gone.of_others.messages),
                integer(gone.of_others.bytes),
            ],
            counted,
        )
        .optional()?;
    if let Some(inbox) = inbox {
        let effect = Effect::Inbox {
            user: user.clone(),
            device: device.clone(),
            inbox,
            position,
        };
        batch.effect(effect, Change::MessagesLeft);
    }
    Ok(())
}

pub(in crate::store::sqlite) fn load(
    transaction: &Transaction<'_>,
    user: &UserId,
) -> Result<HashMap<DeviceId, Inbox>, rusqlite::Error> {
    let mut rows = transaction.prepare_cached(
        "SELECT inbox_messages, inbox_newest, inbox_acknowledged, device_id FROM devices
         WHERE user_id = ?1 AND inbox_newest > 0",
    )?;
    let inbox = |row: &Row<'_>| {
        let device = DeviceId::new(row.get::<_, Box<str>>(3)?);
        Ok((device, counted(row)?))
    };
    rows.query_map([user.as_str()], inbox)?.collect()
}

/// Two columns, from `first` on.
pub(super) fn amount(row: &Row<'_>, first: usize) -> Result<Amount, rusqlite::Error> {
    Ok(Amount {
        messages: unsigned(row.get(first)?),
        bytes: unsigned(row.get(first + 1)?),
    })
}

/// The state of an inbox, from a row with the three columns in this order.
pub(super) fn counted(row: &Row<'_>) -> Result<Inbox, rusqlite::Error> {
    Ok(Inbox {
        messages: unsigned(row.get(0)?),
        newest: Position(unsigned(row.get(1)?)),
        acknowledged: Position(unsigned(row.get(2)?)),
    })
}

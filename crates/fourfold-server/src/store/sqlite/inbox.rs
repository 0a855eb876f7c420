//! Inboxes, and the transactions that fill them once.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Transaction as ReadTransaction, params};

use super::cache::Effect;
use super::state::UserState;
use super::writer::{Batch, WriteError};
use super::{SqliteStore, integer, unavailable, unsigned};
use crate::store::{
    DeviceId, Inbox, InboxMessage, InboxStore, Outgoing, Position, Quotas, Recipient, StoreError,
    Transaction, UserId,
};

#[async_trait]
impl InboxStore for SqliteStore {
    async fn send(
        &self,
        sender: &UserId,
        transaction: Transaction,
        messages: Vec<Outgoing>,
    ) -> Result<(), StoreError> {
        let (sender, quotas) = (sender.clone(), self.quotas.clone());
        self.writer
            .write(move |batch| send(batch, &sender, &transaction, &messages, &quotas))
            .await
    }

    async fn inbox(&self, user: &UserId, device: &DeviceId) -> Result<Inbox, StoreError> {
        let entry = self.user(user).await?;
        let inbox = entry.and_then(|entry| entry.read().inboxes.get(device).copied());
        Ok(inbox.unwrap_or_default())
    }

    async fn inbox_messages(
        &self,
        user: &UserId,
        device: &DeviceId,
        after: Position,
        most: usize,
    ) -> Result<Vec<InboxMessage>, StoreError> {
        let (user, device) = (user.clone(), device.clone());
        self.read(move |connection| messages(connection, &user, &device, after, most))
            .await
    }

    async fn acknowledge(
        &self,
        user: &UserId,
        device: &DeviceId,
        up_to: Position,
    ) -> Result<(), StoreError> {
        let (user, device) = (user.clone(), device.clone());
        // Nothing depends on it: what was acknowledged is not shown again to whoever acknowledged,
        // and a deletion that is lost comes with the next acknowledgement.
        self.writer
            .post(move |batch| acknowledge(batch, &user, &device, up_to))
            .await
    }
}

fn send(
    batch: &mut Batch<'_>,
    sender: &UserId,
    transaction: &Transaction,
    messages: &[Outgoing],
    quotas: &Quotas,
) -> Result<(), WriteError> {
    if !exists(batch.connection(), sender, &transaction.device)? {
        return Err(WriteError::Refused(StoreError::NoSuchDevice));
    }
    let mut copies = Vec::with_capacity(messages.len());
    let mut bytes = 0;
    for message in messages {
        let devices = match &message.recipient {
            Recipient::Device(device) => vec![device.clone()],
            Recipient::Every => devices(batch.connection(), &message.user)?,
        };
        bytes += devices.len() * message.event.len();
        copies.extend(devices.into_iter().map(|device| (device, message)));
    }
    if bytes > MOST_BYTES {
        return Err(WriteError::Refused(StoreError::Quota(
            "bytes for all devices together",
        )));
    }
    if !note(batch.connection(), sender, transaction)? {
        return Ok(());
    }
    for (device, message) in copies {
        deliver(batch, &device, message, quotas)?;
    }
    Ok(())
}

/// Notes a transaction; `false` when it was done before.
fn note(
    connection: &Connection,
    user: &UserId,
    transaction: &Transaction,
) -> Result<bool, WriteError> {
    let (user, device) = (user.as_str(), transaction.device.as_str());
    let inserted = connection
        .prepare_cached(
            "INSERT INTO transactions (user_id, device_id, hash, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user,
            device,
            transaction.hash,
            integer(transaction.at.0)
        ])?;
    let [first, ..] = transaction.hash;
    if inserted > 0 && first.is_multiple_of(FORGET_EVERY) {
        let end = transaction.at.0.saturating_sub(milliseconds(REMEMBERED));
        connection
            .prepare_cached(
                "DELETE FROM transactions WHERE user_id = ?1 AND device_id = ?2 AND at < max(?3,
                    coalesce((SELECT at FROM transactions WHERE user_id = ?1 AND device_id = ?2
                        ORDER BY at DESC LIMIT 1 OFFSET ?4), 0))",
            )?
            .execute(params![user, device, integer(end), MOST_REMEMBERED])?;
    }
    Ok(inserted > 0)
}

fn deliver(
    batch: &mut Batch<'_>,
    device: &DeviceId,
    message: &Outgoing,
    quotas: &Quotas,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let user = &message.user;
    let position = match batch.counters(user) {
        Ok(counters) => Position(counters.position.0 + 1),
        Err(WriteError::Refused(StoreError::NoSuchUser)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = i64::try_from(message.event.len()).unwrap_or(i64::MAX);
    let inbox = connection
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages + 1,
                inbox_bytes = inbox_bytes + ?3, inbox_newest = ?4
             WHERE user_id = ?1 AND device_id = ?2
                AND inbox_messages < ?5 AND inbox_bytes + ?3 <= ?6
             RETURNING inbox_messages, inbox_acknowledged",
        )?
        .query_row(
            params![
                user.as_str(),
                device.as_str(),
                length,
                integer(position.0),
                integer(quotas.inbox_messages),
                integer(quotas.inbox_bytes),
            ],
            |row| {
                Ok(Inbox {
                    messages: unsigned(row.get(0)?),
                    newest: position,
                    acknowledged: Position(unsigned(row.get(1)?)),
                })
            },
        )
        .optional()?;
    let Some(inbox) = inbox else {
        tracing::debug!("a message to a device that is unknown or has a full inbox was dropped");
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT INTO to_device (user_id, device_id, position, event) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![
            user.as_str(),
            device.as_str(),
            integer(position.0),
            &*message.event
        ])?;
    batch.counters(user)?.position = position;
    batch.effect(Effect::Inbox {
        user: user.clone(),
        device: device.clone(),
        inbox,
        position,
    });
    batch.wake(user);
    Ok(())
}

fn acknowledge(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    up_to: Position,
) -> Result<(), WriteError> {
    let position = batch.counters(user)?.position;
    // A position of the future: the file was restored from a backup. It acknowledges nothing.
    if up_to > position {
        return Ok(());
    }
    let connection = batch.connection();
    let values = params![user.as_str(), device.as_str(), integer(up_to.0)];
    let (messages, bytes): (i64, i64) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(length(event)), 0) FROM to_device
             WHERE user_id = ?1 AND device_id = ?2 AND position <= ?3",
        )?
        .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    if messages > 0 {
        connection
            .prepare_cached(
                "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND position <= ?3",
            )?
            .execute(values)?;
    }
    let inbox = connection
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages - ?4,
                inbox_bytes = inbox_bytes - ?5, inbox_acknowledged = max(inbox_acknowledged, ?3)
             WHERE user_id = ?1 AND device_id = ?2
             RETURNING inbox_messages, inbox_newest, inbox_acknowledged",
        )?
        .query_row(
            params![
                user.as_str(),
                device.as_str(),
                integer(up_to.0),
                messages,
                bytes
            ],
            |row| {
                Ok(Inbox {
                    messages: unsigned(row.get(0)?),
                    newest: Position(unsigned(row.get(1)?)),
                    acknowledged: Position(unsigned(row.get(2)?)),
                })
            },
        )
        .optional()?;
    if let Some(inbox) = inbox {
        batch.effect(Effect::Inbox {
            user: user.clone(),
            device: device.clone(),
            inbox,
            position,
        });
    }
    Ok(())
}

/// Deletes the inbox and the transactions of a device.
pub(super) fn delete(
    batch: &Batch<'_>,
    user: &UserId,
    device: &DeviceId,
) -> Result<(), WriteError> {
    for statement in [
        "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2",
        "DELETE FROM transactions WHERE user_id = ?1 AND device_id = ?2",
    ] {
        batch
            .connection()
            .prepare_cached(statement)?
            .execute(params![user.as_str(), device.as_str()])?;
    }
    Ok(())
}

pub(super) fn load(
    transaction: &ReadTransaction<'_>,
    user: &UserId,
    state: &mut UserState,
) -> Result<(), rusqlite::Error> {
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, inbox_messages, inbox_newest, inbox_acknowledged FROM devices
         WHERE user_id = ?1 AND inbox_newest > 0",
    )?;
    let mut rows = rows.query([user.as_str()])?;
    while let Some(row) = rows.next()? {
        let inbox = Inbox {
            messages: unsigned(row.get(1)?),
            newest: Position(unsigned(row.get(2)?)),
            acknowledged: Position(unsigned(row.get(3)?)),
        };
        let device = DeviceId::new(row.get::<_, Box<str>>(0)?);
        state.inboxes.insert(device, inbox);
    }
    Ok(())
}

fn messages(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
    after: Position,
    most: usize,
) -> Result<Vec<InboxMessage>, StoreError> {
    let read = || {
        let mut statement = connection.prepare_cached(
            "SELECT position, event FROM to_device
             WHERE user_id = ?1 AND device_id = ?2 AND position > ?3 ORDER BY position LIMIT ?4",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = params![user.as_str(), device.as_str(), integer(after.0), most];
        let rows = statement.query_map(values, |row| {
            Ok(InboxMessage {
                position: Position(unsigned(row.get(0)?)),
                event: Bytes::from(row.get::<_, Vec<u8>>(1)?),
            })
        })?;
        rows.collect::<Result<_, _>>()
    };
    read().map_err(unavailable)
}

fn exists(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT 1 FROM devices WHERE user_id = ?1 AND device_id = ?2")?
        .exists(params![user.as_str(), device.as_str()])
}

pub(super) fn devices(
    connection: &Connection,
    user: &UserId,
) -> Result<Vec<DeviceId>, rusqlite::Error> {
    let mut statement =
        connection.prepare_cached("SELECT device_id FROM devices WHERE user_id = ?1")?;
    let rows = statement.query_map([user.as_str()], |row| {
        row.get::<_, Box<str>>(0).map(DeviceId::new)
    })?;
    rows.collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that one request may put into inboxes.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long a transaction is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Transactions of one device that are remembered; of more, the oldest are forgotten early.
const MOST_REMEMBERED: i64 = 50_000;

/// One in so many transactions looks for what may be forgotten.
const FORGET_EVERY: u8 = 64;

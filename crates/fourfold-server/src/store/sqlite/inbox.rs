//! Inboxes, and the transactions that fill them once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction as ReadTransaction, params};

use super::cache::Effect;
use super::state::UserState;
use super::writer::{Batch, WriteError};
use super::{SqliteStore, integer, milliseconds, secret_requests, unavailable, unsigned};
use crate::store::{
    DeviceId, Inbox, InboxMessage, InboxStore, Outgoing, Position, Quotas, Recipient, StoreError,
    Timestamp, Transaction, UserId,
};

#[async_trait]
impl InboxStore for SqliteStore {
    async fn send(
        &self,
        sender: &UserId,
        transaction: Transaction,
        messages: Vec<Outgoing>,
    ) -> Result<usize, StoreError> {
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
        let end = self.inbox(user, device).await?.newest;
        let (user, device, cache) = (user.clone(), device.clone(), Arc::clone(&self.cache));
        self.read(move |connection| {
            cache.unseen.shows(&user, &device, end);
            messages(connection, &user, &device, (after, end), most)
        })
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
) -> Result<usize, WriteError> {
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
        if copies.len() > MOST_COPIES || bytes > MOST_BYTES {
            return Err(WriteError::Refused(StoreError::Quota(
                "messages for all devices together",
            )));
        }
    }
    if !note(batch.connection(), sender, transaction)? {
        return Ok(0);
    }
    for (device, message) in &copies {
        deliver(batch, sender, device, message, transaction.at, quotas)?;
    }
    Ok(copies.len())
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
        forget(connection, integer(end))?;
        forget_most(connection, user, device)?;
    }
    Ok(inserted > 0)
}

/// Forgets transactions that are older than `end`, a bounded number at once: of all users, because the
/// table is in the order of arrival and of no other.
fn forget(connection: &Connection, end: i64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "DELETE FROM transactions WHERE at < ?1
                AND rowid IN (SELECT rowid FROM transactions ORDER BY rowid LIMIT ?2)",
        )?
        .execute([end, FORGOTTEN_AT_ONCE])?;
    Ok(())
}

/// Forgets the oldest transactions of a device that made too many.
fn forget_most(connection: &Connection, user: &str, device: &str) -> Result<(), rusqlite::Error> {
    let remembered: i64 = connection
        .prepare_cached("SELECT count(*) FROM transactions WHERE user_id = ?1 AND device_id = ?2")?
        .query_row([user, device], |row| row.get(0))?;
    if remembered <= MOST_REMEMBERED {
        return Ok(());
    }
    connection
        .prepare_cached(
            "DELETE FROM transactions WHERE rowid IN (SELECT rowid FROM transactions
                WHERE user_id = ?1 AND device_id = ?2 ORDER BY rowid LIMIT ?3)",
        )?
        .execute(params![user, device, remembered - KEPT_OF_TOO_MANY])?;
    Ok(())
}

fn deliver(
    batch: &mut Batch<'_>,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    now: Timestamp,
    quotas: &Quotas,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let user = &message.user;
    if secret_requests::cancel(batch, sender, device, message)? {
        return Ok(());
    }
    let position = match batch.counters(user) {
        Ok(counters) => Position(counters.position.0 + 1),
        Err(WriteError::Refused(StoreError::NoSuchUser)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut inbox = enter(connection, device, message, position, quotas)?;
    if inbox.is_none() && secret_requests::expire(batch, user, device, now)? {
        inbox = enter(connection, device, message, position, quotas)?;
    }
    let Some(inbox) = inbox else {
        tracing::debug!("a message to a device that is unknown or has a full inbox was dropped");
        return Ok(());
    };
    let request = secret_requests::Columns::of(sender, message, now);
    connection
        .prepare_cached(
            "INSERT INTO to_device
                (user_id, device_id, position, event, request, requesting_device, arrived_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            user.as_str(),
            device.as_str(),
            integer(position.0),
            &*message.event,
            request.as_ref().map(|it| it.request),
            request.as_ref().and_then(|it| it.requesting_device),
            request.as_ref().map(|it| it.arrived_at),
        ])?;
    if request.is_some() {
        batch.unseen().arrives(user, device, position);
    }
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

/// Counts a message in; `None` when there is no such device or no room.
fn enter(
    connection: &Connection,
    device: &DeviceId,
    message: &Outgoing,
    position: Position,
    quotas: &Quotas,
) -> Result<Option<Inbox>, rusqlite::Error> {
    let length = i64::try_from(message.event.len()).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages + 1,
                inbox_bytes = inbox_bytes + ?3, inbox_newest = ?4
             WHERE user_id = ?1 AND device_id = ?2
                AND inbox_messages < ?5 AND inbox_bytes + ?3 <= ?6
             RETURNING inbox_messages, inbox_newest, inbox_acknowledged",
        )?
        .query_row(
            params![
                message.user.as_str(),
                device.as_str(),
                length,
                integer(position.0),
                integer(quotas.inbox_messages),
                integer(quotas.inbox_bytes),
            ],
            counted,
        )
        .optional()
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
    count_out(batch, user, device, messages, bytes, up_to)
}

/// Counts messages out that left before they were acknowledged.
pub(super) fn removed(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    messages: usize,
    bytes: i64,
) -> Result<(), WriteError> {
    let messages = i64::try_from(messages).unwrap_or(i64::MAX);
    count_out(batch, user, device, messages, bytes, Position::default())
}

fn count_out(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    messages: i64,
    bytes: i64,
    acknowledged: Position,
) -> Result<(), WriteError> {
    let position = batch.counters(user)?.position;
    let inbox = batch
        .connection()
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages - ?3,
                inbox_bytes = inbox_bytes - ?4, inbox_acknowledged = max(inbox_acknowledged, ?5)
             WHERE user_id = ?1 AND device_id = ?2
             RETURNING inbox_messages, inbox_newest, inbox_acknowledged",
        )?
        .query_row(
            params![
                user.as_str(),
                device.as_str(),
                messages,
                bytes,
                integer(acknowledged.0)
            ],
            counted,
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
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
) -> Result<(), WriteError> {
    secret_requests::forget(batch, user, device)?;
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
        "SELECT inbox_messages, inbox_newest, inbox_acknowledged, device_id FROM devices
         WHERE user_id = ?1 AND inbox_newest > 0",
    )?;
    let mut rows = rows.query([user.as_str()])?;
    while let Some(row) = rows.next()? {
        let device = DeviceId::new(row.get::<_, Box<str>>(3)?);
        state.inboxes.insert(device, counted(row)?);
    }
    Ok(())
}

fn messages(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
    (after, end): (Position, Position),
    most: usize,
) -> Result<Vec<InboxMessage>, StoreError> {
    let read = || {
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

/// How an inbox stands, from a row with the three columns in this order.
fn counted(row: &Row<'_>) -> Result<Inbox, rusqlite::Error> {
    Ok(Inbox {
        messages: unsigned(row.get(0)?),
        newest: Position(unsigned(row.get(1)?)),
        acknowledged: Position(unsigned(row.get(2)?)),
    })
}

/// Copies that one request may put into inboxes: the writer does nothing else meanwhile.
const MOST_COPIES: usize = 5_000;

/// Bytes that one request may put into inboxes.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How long a transaction is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Transactions of one device that are remembered; of more, the oldest are forgotten early.
const MOST_REMEMBERED: i64 = 50_000;

/// Those that stay then, fewer so that the next does not come at once.
const KEPT_OF_TOO_MANY: i64 = 49_000;

/// One in so many transactions looks for what may be forgotten.
const FORGET_EVERY: u8 = 64;

/// Transactions that it forgets at most: more than came since the last time.
const FORGOTTEN_AT_ONCE: i64 = 4 * FORGET_EVERY as i64;

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    /// A file with so many transactions of a device, one each millisecond, and one of another device
    /// before them.
    fn with(transactions: i64) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
            .execute_batch(&format!(
                "INSERT INTO transactions VALUES ('@a:a', 'E', x'00', 1);
                 INSERT INTO transactions WITH RECURSIVE n(n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {transactions})
                    SELECT '@a:a', 'D', CAST(n AS BLOB), n FROM n;"
            ))
            .unwrap();
        connection
    }

    /// How many of the device are remembered, and since when; and how many of the other.
    fn remembered(connection: &Connection) -> (i64, i64, i64) {
        let query = "SELECT count(*) FILTER (WHERE device_id = 'D'),
            coalesce(min(at) FILTER (WHERE device_id = 'D'), 0),
            count(*) FILTER (WHERE device_id = 'E') FROM transactions";
        let row =
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        row.unwrap()
    }

    #[test]
    fn what_is_old_is_forgotten_a_bounded_number_at_once() {
        let connection = with(1_000);
        forget(&connection, 11).unwrap();
        assert_eq!(remembered(&connection), (990, 11, 0));
        forget(&connection, 1_000_000).unwrap();
        assert_eq!(remembered(&connection), (990 - 256, 11 + 256, 0));
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten_and_nobody_elses() {
        let connection = with(MOST_REMEMBERED);
        forget_most(&connection, "@a:a", "D").unwrap();
        assert_eq!(remembered(&connection), (MOST_REMEMBERED, 1, 1));
        let connection = with(MOST_REMEMBERED + 1);
        forget_most(&connection, "@a:a", "D").unwrap();
        let oldest = MOST_REMEMBERED + 2 - KEPT_OF_TOO_MANY;
        assert_eq!(remembered(&connection), (KEPT_OF_TOO_MANY, oldest, 1));
    }
}

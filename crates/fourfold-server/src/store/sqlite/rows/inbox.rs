//! Inboxes.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, Transaction as ReadTransaction, params};

use super::{secret_requests, transactions};
use crate::store::rules::admission::{self, Amount, Sender, Waiting};
use crate::store::sqlite::cache::Effect;
use crate::store::sqlite::state::UserState;
use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::sqlite::{SqliteStore, integer, unavailable, unsigned};
use crate::store::{
    DeviceId, Inbox, InboxMessage, InboxStore, Outgoing, Position, Quotas, Recipient, Sent,
    StoreError, Timestamp, Transaction, UserId,
};

#[async_trait]
impl InboxStore for SqliteStore {
    async fn send(
        &self,
        sender: &UserId,
        transaction: Transaction,
        messages: Vec<Outgoing>,
    ) -> Result<Sent, StoreError> {
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
) -> Result<Sent, WriteError> {
    if !exists(batch.connection(), sender, &transaction.device)? {
        return Err(WriteError::Refused(StoreError::NoSuchDevice));
    }
    let mut copies = Vec::with_capacity(messages.len());
    let mut bytes = 0;
    for (index, message) in messages.iter().enumerate() {
        let devices = match &message.recipient {
            Recipient::Device(device) => vec![device.clone()],
            Recipient::Every => devices(batch.connection(), &message.user)?,
        };
        bytes += devices.len() * message.event.len();
        copies.extend(devices.into_iter().map(|device| (index, device, message)));
        if copies.len() > MOST_COPIES || bytes > MOST_BYTES {
            return Err(WriteError::Refused(StoreError::Quota(
                "messages for all devices together",
            )));
        }
    }
    let begun = transactions::begin(batch.connection(), sender, transaction)?;
    let mut sent = Sent::default();
    let mut refused = Vec::new();
    for (index, device, message) in &copies {
        if !begun.wants(|| transactions::copy(*index, device)) {
            continue;
        }
        sent.copies += 1;
        let own = message.user == *sender;
        if !deliver(batch, sender, device, message, transaction.at, quotas)? {
            refused.push(transactions::copy(*index, device));
            let count = if own {
                &mut sent.refused_own
            } else {
                &mut sent.refused
            };
            *count += 1;
        }
    }
    let nothing = refused.len() == sent.copies;
    transactions::end(
        batch.connection(),
        sender,
        transaction,
        &begun,
        &refused,
        nothing,
    )?;
    Ok(sent)
}

/// Puts a copy into its inbox; `false` when there is no room.
fn deliver(
    batch: &mut Batch<'_>,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    now: Timestamp,
    quotas: &Quotas,
) -> Result<bool, WriteError> {
    let connection = batch.connection();
    let user = &message.user;
    if secret_requests::cancel(batch, sender, device, message)? {
        return Ok(true);
    }
    let position = match batch.counters(user) {
        Ok(counters) => Position(counters.position.0 + 1),
        Err(WriteError::Refused(StoreError::NoSuchUser)) => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut verdict = judge(connection, sender, device, message, quotas)?;
    if verdict == Verdict::Full && secret_requests::expire(batch, user, device, now)? {
        verdict = judge(connection, sender, device, message, quotas)?;
    }
    match verdict {
        Verdict::Admitted => {}
        Verdict::NoSuchDevice => return Ok(true),
        Verdict::Full => return Ok(false),
    }
    let Some(inbox) = enter(connection, sender, device, message, position)? else {
        return Ok(true);
    };
    let request = secret_requests::Columns::of(sender, message, now);
    connection
        .prepare_cached(
            "INSERT INTO to_device
                (user_id, device_id, position, event, request, requesting_device, arrived_at, sender)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            user.as_str(),
            device.as_str(),
            integer(position.0),
            &*message.event,
            request.as_ref().map(|it| it.request),
            request.as_ref().and_then(|it| it.requesting_device),
            request.as_ref().map(|it| it.arrived_at),
            (sender != user).then(|| sender.as_str()),
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
    Ok(true)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Admitted,
    Full,
    NoSuchDevice,
}

/// Asks [`admission`](crate::store::rules::admission), with what waits.
fn judge(
    connection: &Connection,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    quotas: &Quotas,
) -> Result<Verdict, rusqlite::Error> {
    let inbox = params![message.user.as_str(), device.as_str()];
    let waiting = connection
        .prepare_cached(
            "SELECT inbox_messages, inbox_bytes, inbox_messages_of_others, inbox_bytes_of_others
             FROM devices WHERE user_id = ?1 AND device_id = ?2",
        )?
        .query_row(inbox, |row| {
            Ok(Waiting {
                all: amount(row, 0)?,
                of_others: amount(row, 2)?,
            })
        })
        .optional()?;
    let Some(waiting) = waiting else {
        return Ok(Verdict::NoSuchDevice);
    };
    let length = u64::try_from(message.event.len()).unwrap_or(u64::MAX);
    let kind = kind(sender, message);
    let mut of_sender = Amount::default();
    if admission::depends_on_sender(quotas, &waiting, kind, length) {
        let values = params![message.user.as_str(), device.as_str(), sender.as_str()];
        of_sender = connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(length(event)), 0) FROM to_device
                 WHERE user_id = ?1 AND device_id = ?2 AND sender = ?3",
            )?
            .query_row(values, |row| amount(row, 0))?;
    }
    if admission::admits(quotas, &waiting, kind, of_sender, length) {
        return Ok(Verdict::Admitted);
    }
    Ok(Verdict::Full)
}

fn kind(sender: &UserId, message: &Outgoing) -> Sender {
    if *sender == message.user {
        Sender::Own
    } else {
        Sender::Other
    }
}

/// Two columns, from `first` on.
fn amount(row: &Row<'_>, first: usize) -> Result<Amount, rusqlite::Error> {
    Ok(Amount {
        messages: unsigned(row.get(first)?),
        bytes: unsigned(row.get(first + 1)?),
    })
}

/// Counts a message in; `None` when there is no such device.
fn enter(
    connection: &Connection,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    position: Position,
) -> Result<Option<Inbox>, rusqlite::Error> {
    let length = u64::try_from(message.event.len()).unwrap_or(u64::MAX);
    let mut more = Waiting::default();
    more.add(kind(sender, message), length);
    connection
        .prepare_cached(
            "UPDATE devices SET inbox_messages = inbox_messages + 1,
                inbox_bytes = inbox_bytes + ?3, inbox_newest = ?4,
                inbox_messages_of_others = inbox_messages_of_others + ?5,
                inbox_bytes_of_others = inbox_bytes_of_others + ?6
             WHERE user_id = ?1 AND device_id = ?2
             RETURNING inbox_messages, inbox_newest, inbox_acknowledged",
        )?
        .query_row(
            params![
                message.user.as_str(),
                device.as_str(),
                integer(more.all.bytes),
                integer(position.0),
                integer(more.of_others.messages),
                integer(more.of_others.bytes),
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
pub(in crate::store::sqlite) fn removed(
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
pub(in crate::store::sqlite) fn delete(
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

pub(in crate::store::sqlite) fn load(
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

pub(in crate::store::sqlite) fn devices(
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

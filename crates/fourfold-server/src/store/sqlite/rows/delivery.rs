//! Delivering messages into inboxes.

use rusqlite::{Connection, OptionalExtension, params};

use super::inbox::{amount, counted};
use super::{devices, secret_requests, transactions};
use crate::store::rules::admission::{self, Sender, Waiting};
use crate::store::rules::messages::Copies;
use crate::store::rules::secret_requests::Marks;
use crate::store::rules::transactions as rules;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::cache::Effect;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, length};
use crate::store::{
    Amount, DeviceId, Inbox, InboxQuota, Outgoing, Position, Recipient, Sent, StoreError,
    Timestamp, Transaction, UserId,
};

pub(in crate::store::sqlite) fn send(
    batch: &mut Batch<'_>,
    sender: &UserId,
    transaction: &Transaction,
    messages: &[Outgoing],
    quota: &InboxQuota,
) -> Result<Sent, WriteError> {
    if !devices::exists(batch.connection(), sender, &transaction.device)? {
        return Err(WriteError::Refused(StoreError::NoSuchDevice));
    }
    let mut copies = Vec::with_capacity(messages.len());
    let mut counted = Copies::default();
    for (index, message) in messages.iter().enumerate() {
        let receivers = match &message.recipient {
            Recipient::Device(device) => vec![device.clone()],
            Recipient::Every => devices::list(batch.connection(), &message.user)?,
        };
        counted.add(receivers.len(), message.event.len())?;
        copies.extend(receivers.into_iter().map(|device| (index, device, message)));
    }
    let begun = transactions::begin(batch.connection(), sender, transaction)?;
    let mut sent = Sent::default();
    let mut refused = Vec::new();
    for (index, device, message) in &copies {
        if !begun.wants(|| rules::copy(*index, device)) {
            continue;
        }
        sent.copies += 1;
        let own = message.user == *sender;
        if !deliver(batch, sender, device, message, transaction.at, quota)? {
            refused.push(rules::copy(*index, device));
            let count = if own {
                &mut sent.refused_own
            } else {
                &mut sent.refused
            };
            *count += 1;
        }
    }
    let kept = begun.end(&refused, sent.copies);
    transactions::end(batch.connection(), sender, transaction, kept)?;
    Ok(sent)
}

/// Puts a copy into its inbox; `false` when there is no room.
fn deliver(
    batch: &mut Batch<'_>,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    now: Timestamp,
    quota: &InboxQuota,
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
    let mut verdict = judge(connection, sender, device, message, quota)?;
    if verdict == Verdict::Full && secret_requests::expire(batch, user, device, now)? {
        verdict = judge(connection, sender, device, message, quota)?;
    }
    match verdict {
        Verdict::Admitted => {}
        Verdict::NoSuchDevice => return Ok(true),
        Verdict::Full => return Ok(false),
    }
    let Some(inbox) = enter(connection, sender, device, message, position)? else {
        return Ok(true);
    };
    let marks = Marks::of(sender, message, now);
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
            marks.map(|it| it.request),
            marks.and_then(|it| it.requesting_device).map(DeviceId::as_str),
            marks.map(|it| integer(it.arrived_at.0)),
            (sender != user).then(|| sender.as_str()),
        ])?;
    if marks.is_some() {
        batch.unseen().arrives(user, device, position);
    }
    batch.counters(user)?.position = position;
    let effect = Effect::Inbox {
        user: user.clone(),
        device: device.clone(),
        inbox,
        position,
    };
    batch.effect(effect, Change::MessageArrived);
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
    quota: &InboxQuota,
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
    let length = length(message.event.len());
    let kind = Sender::of(sender, &message.user);
    let mut of_sender = Amount::default();
    if admission::depends_on_sender(quota, &waiting, kind, length) {
        let values = params![message.user.as_str(), device.as_str(), sender.as_str()];
        of_sender = connection
            .prepare_cached(
                "SELECT count(*), coalesce(sum(length(event)), 0) FROM to_device
                 WHERE user_id = ?1 AND device_id = ?2 AND sender = ?3",
            )?
            .query_row(values, |row| amount(row, 0))?;
    }
    if admission::admits(quota, &waiting, kind, of_sender, length) {
        return Ok(Verdict::Admitted);
    }
    Ok(Verdict::Full)
}

/// Counts a message in; `None` when there is no such device.
fn enter(
    connection: &Connection,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
    position: Position,
) -> Result<Option<Inbox>, rusqlite::Error> {
    let mut more = Waiting::default();
    more.add(
        Sender::of(sender, &message.user),
        length(message.event.len()),
    );
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

//! Requests for secrets that leave the inboxes where they wait: cancelled, expired, or made by a
//! device that is gone.

use std::collections::BTreeMap;

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::inbox::removed;
use crate::store::rules::admission::{Sender, Waiting};
use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::sqlite::{integer, milliseconds, unsigned};
use crate::store::{
    DeviceId, Outgoing, Position, SECRET_REQUEST_LIFETIME, SecretRequest, Timestamp, UserId,
};

/// What the row of a request has beside the message.
pub(in crate::store::sqlite) struct Columns<'a> {
    pub(in crate::store::sqlite) request: [u8; 32],
    pub(in crate::store::sqlite) requesting_device: Option<&'a str>,
    pub(in crate::store::sqlite) arrived_at: i64,
}

impl<'a> Columns<'a> {
    /// Those of a message, if it asks for a secret.
    pub(in crate::store::sqlite) fn of(
        sender: &UserId,
        message: &'a Outgoing,
        now: Timestamp,
    ) -> Option<Self> {
        let request = message.secret_request.as_ref().filter(|it| !it.cancels)?;
        let own = *sender == message.user;
        Some(Self {
            request: name(sender, request),
            requesting_device: own.then(|| request.requesting_device.as_str()),
            arrived_at: integer(now.0),
        })
    }
}

/// Takes away what a message cancels. `true` when the device cannot have seen any of it, and so need
/// not see the cancellation.
pub(in crate::store::sqlite) fn cancel(
    batch: &mut Batch<'_>,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
) -> Result<bool, WriteError> {
    let Some(request) = message.secret_request.as_ref().filter(|it| it.cancels) else {
        return Ok(false);
    };
    let user = &message.user;
    let mut statement = batch.connection().prepare_cached(
        "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND request = ?3
         RETURNING position, length(event)",
    )?;
    let values = params![user.as_str(), device.as_str(), name(sender, request)];
    let gone = statement.query_map(values, |row| {
        Ok((Position(unsigned(row.get(0)?)), unsigned(row.get(1)?)))
    })?;
    let gone: Vec<_> = gone.collect::<Result<_, _>>()?;
    if gone.is_empty() {
        return Ok(false);
    }
    let unseen = batch.unseen();
    let unseen = gone
        .iter()
        .all(|(position, _)| unseen.holds(user, device, *position));
    let own = sender == user;
    let mut left = Waiting::default();
    for (_, length) in gone {
        left.add(whose(own), length);
    }
    removed(batch, user, device, &left)?;
    Ok(unseen)
}

/// Takes the requests away that have expired; whether there were any.
pub(in crate::store::sqlite) fn expire(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    now: Timestamp,
) -> Result<bool, WriteError> {
    let end = now.0.saturating_sub(milliseconds(SECRET_REQUEST_LIFETIME));
    let mut statement = batch.connection().prepare_cached(
        "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND arrived_at <= ?3
         RETURNING length(event), sender IS NULL",
    )?;
    let mut left = Waiting::default();
    let mut gone = statement.query(params![user.as_str(), device.as_str(), integer(end)])?;
    while let Some(row) = gone.next()? {
        left.add(whose(row.get(1)?), unsigned(row.get(0)?));
    }
    if left == Waiting::default() {
        return Ok(false);
    }
    removed(batch, user, device, &left)?;
    Ok(true)
}

/// Takes away what a device, which is about to be deleted, asked of the user's other devices.
pub(in crate::store::sqlite) fn forget(
    batch: &mut Batch<'_>,
    user: &UserId,
    requester: &DeviceId,
) -> Result<(), WriteError> {
    let mut statement = batch.connection().prepare_cached(
        "DELETE FROM to_device WHERE user_id = ?1 AND requesting_device = ?2
         RETURNING device_id, length(event)",
    )?;
    let values = params![user.as_str(), requester.as_str()];
    let gone = statement.query_map(values, |row| {
        Ok((DeviceId::new(row.get::<_, Box<str>>(0)?), row.get(1)?))
    })?;
    let mut inboxes: BTreeMap<DeviceId, Waiting> = BTreeMap::new();
    for row in gone {
        let (device, length) = row?;
        // Only requests of the user's own devices name one.
        let left = inboxes.entry(device).or_default();
        left.add(Sender::Own, unsigned(length));
    }
    for (device, left) in inboxes {
        removed(batch, user, &device, &left)?;
    }
    Ok(())
}

fn whose(own: bool) -> Sender {
    if own { Sender::Own } else { Sender::Other }
}

fn name(sender: &UserId, request: &SecretRequest) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (device, id) = (request.requesting_device.as_str(), &request.request_id);
    for part in [sender.as_str(), device, id] {
        // Each with its length, so that no two lists of parts look alike.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

//! Requests for secrets that leave the inboxes where they wait: cancelled, expired, or made by a
//! device that is gone.

use std::collections::BTreeMap;

use rusqlite::params;

use super::inbox::removed;
use crate::store::rules::admission::{Sender, Waiting};
use crate::store::rules::secret_requests::{cancelled, expired_at, goes_unseen};
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{DeviceId, Outgoing, Position, Timestamp, UserId};

/// Takes away what a message cancels. `true` when the device cannot have seen any of it, and so need
/// not see the cancellation.
pub(super) fn cancel(
    batch: &mut Batch<'_>,
    sender: &UserId,
    device: &DeviceId,
    message: &Outgoing,
) -> Result<bool, WriteError> {
    let Some(request) = cancelled(sender, message) else {
        return Ok(false);
    };
    let user = &message.user;
    let mut statement = batch.connection().prepare_cached(
        "DELETE FROM to_device WHERE user_id = ?1 AND device_id = ?2 AND request = ?3
         RETURNING position, length(event)",
    )?;
    let values = params![user.as_str(), device.as_str(), request];
    let gone = statement.query_map(values, |row| {
        Ok((Position(unsigned(row.get(0)?)), unsigned(row.get(1)?)))
    })?;
    let gone: Vec<_> = gone.collect::<Result<_, _>>()?;
    if gone.is_empty() {
        return Ok(false);
    }
    let unseen = batch.unseen();
    let positions = gone.iter().map(|(position, _)| *position);
    let goes_unseen = goes_unseen(positions, |it| unseen.holds(user, device, it));
    let mut left = Waiting::default();
    for (_, length) in gone {
        left.add(Sender::of(sender, user), length);
    }
    removed(batch, user, device, &left)?;
    Ok(goes_unseen)
}

/// Takes the requests away that have expired; whether there were any.
pub(super) fn expire(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    now: Timestamp,
) -> Result<bool, WriteError> {
    let end = expired_at(now).0;
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
pub(super) fn forget(
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

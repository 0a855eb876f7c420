//! Removing devices with all that belongs to them.

use rusqlite::params;

use super::{devices, keys, secret_requests};
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::{DeviceId, UserId};

pub(in crate::store::sqlite) fn delete(
    batch: &mut Batch<'_>,
    user: &UserId,
    devices: &[DeviceId],
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let mut deleted = 0;
    for device in devices {
        connection
            .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND device_id = ?2")?
            .execute(params![user.as_str(), device.as_str()])?;
        keys::delete(batch, user, device)?;
        empty_inbox(batch, user, device)?;
        deleted += connection
            .prepare_cached("DELETE FROM devices WHERE user_id = ?1 AND device_id = ?2")?
            .execute(params![user.as_str(), device.as_str()])?;
    }
    if deleted > 0 {
        batch.move_device_list(user)?;
    }
    Ok(())
}

pub(in crate::store::sqlite) fn delete_all(
    batch: &mut Batch<'_>,
    user: &UserId,
) -> Result<(), WriteError> {
    let ids = devices::list(batch.connection(), user)?;
    delete(batch, user, &ids)
}

/// Deletes the inbox and the transactions of a device.
fn empty_inbox(batch: &mut Batch<'_>, user: &UserId, device: &DeviceId) -> Result<(), WriteError> {
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

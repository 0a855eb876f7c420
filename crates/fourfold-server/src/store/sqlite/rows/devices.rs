//! Writing devices.

use rusqlite::params;

use super::{inbox, keys};
use crate::store::sqlite::integer;
use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::{DeviceId, Timestamp, UserId};

pub(in crate::store::sqlite) fn rename(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    display_name: Option<&str>,
) -> Result<bool, WriteError> {
    let renamed = batch
        .connection()
        .prepare_cached(
            "UPDATE devices SET display_name = ?3 WHERE user_id = ?1 AND device_id = ?2",
        )?
        .execute(params![user.as_str(), device.as_str(), display_name])?;
    if renamed == 0 {
        return Ok(false);
    }
    batch.move_device_list(user)?;
    Ok(true)
}

pub(in crate::store::sqlite) fn touch(
    batch: &mut Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    now: Timestamp,
    address: Option<&str>,
) -> Result<(), WriteError> {
    let touched = batch
        .connection()
        .prepare_cached(
            "UPDATE devices SET last_seen_at = ?3, last_seen_address = ?4
             WHERE user_id = ?1 AND device_id = ?2 AND last_seen_at < ?3",
        )?
        .execute(params![
            user.as_str(),
            device.as_str(),
            integer(now.0),
            address
        ])?;
    if touched > 0 {
        batch.reload(user);
    }
    Ok(())
}

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
        inbox::delete(batch, user, device)?;
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
    let ids = inbox::devices(batch.connection(), user)?;
    delete(batch, user, &ids)
}

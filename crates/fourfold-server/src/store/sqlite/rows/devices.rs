//! Devices.

use rusqlite::{Connection, params};

use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::integer;
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
        batch.reload(user, Change::DeviceSeen);
    }
    Ok(())
}

pub(super) fn exists(
    connection: &Connection,
    user: &UserId,
    device: &DeviceId,
) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT 1 FROM devices WHERE user_id = ?1 AND device_id = ?2")?
        .exists(params![user.as_str(), device.as_str()])
}

pub(super) fn list(
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

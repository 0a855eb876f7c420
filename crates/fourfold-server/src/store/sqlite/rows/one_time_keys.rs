//! One-time and fallback keys: uploading, claiming, counting.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};

use super::devices;
use crate::store::rules::keys as rules;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::unsigned;
use crate::store::{
    ClaimedKey, DeviceId, KeyCounts, OneTimeKey, OneTimeUpload, StoreError, UserId, WantedKey,
};

/// Adds the keys of an upload; a refusal comes before the first change.
pub(super) fn add(
    batch: &mut Batch<'_>,
    user: &UserId,
    upload: &OneTimeUpload,
    most: u64,
) -> Result<(), WriteError> {
    let fresh = fresh_keys(batch, user, upload, most)?;
    store(batch, user, upload, &fresh)
}

pub(in crate::store::sqlite) fn claim(
    batch: &mut Batch<'_>,
    user: &UserId,
    wanted: &[WantedKey],
) -> Result<Vec<ClaimedKey>, WriteError> {
    let connection = batch.connection();
    let mut claimed = Vec::with_capacity(wanted.len());
    for WantedKey { device, algorithm } in wanted {
        let values = params![user.as_str(), device.as_str(), algorithm];
        let one_time = connection
            .prepare_cached(
                "DELETE FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = (
                    SELECT key_id FROM one_time_keys
                    WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
                    ORDER BY ordinal LIMIT 1)
                 RETURNING key_id, key",
            )?
            .query_row(values, |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let found = match one_time {
            Some(found) => Some(found),
            None => connection
                .prepare_cached(
                    "UPDATE fallback_keys SET used = 1
                     WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
                     RETURNING key_id, key",
                )?
                .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?,
        };
        if let Some((id, key)) = found {
            let (algorithm, key) = (algorithm.clone(), Bytes::from(key));
            let key = OneTimeKey { algorithm, id, key };
            let device = device.clone();
            claimed.push(ClaimedKey { device, key });
        }
    }
    if !claimed.is_empty() {
        batch.reload(user, Change::OneTimeKeys);
    }
    Ok(claimed)
}

/// The counts of each device that has keys.
pub(super) fn counts(
    transaction: &Transaction<'_>,
    user: &str,
) -> Result<BTreeMap<DeviceId, KeyCounts>, rusqlite::Error> {
    let mut counts = BTreeMap::<_, KeyCounts>::new();
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, algorithm, count(*) FROM one_time_keys
         WHERE user_id = ?1 GROUP BY device_id, algorithm",
    )?;
    let mut rows = rows.query([user])?;
    while let Some(row) = rows.next()? {
        let device = DeviceId::new(row.get::<_, Box<str>>(0)?);
        let counts = counts.entry(device).or_default();
        counts
            .one_time_keys
            .insert(row.get(1)?, unsigned(row.get(2)?));
    }
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, algorithm FROM fallback_keys
         WHERE user_id = ?1 AND used = 0 ORDER BY device_id, algorithm",
    )?;
    let mut rows = rows.query([user])?;
    while let Some(row) = rows.next()? {
        let device = DeviceId::new(row.get::<_, Box<str>>(0)?);
        let counts = counts.entry(device).or_default();
        counts.unused_fallback_keys.push(row.get(1)?);
    }
    Ok(counts)
}

/// The one-time keys that are not there yet.
fn fresh_keys<'u>(
    batch: &Batch<'_>,
    user: &UserId,
    upload: &'u OneTimeUpload,
    most: u64,
) -> Result<Vec<&'u OneTimeKey>, WriteError> {
    let connection = batch.connection();
    let device = upload.device.as_str();
    if !devices::exists(connection, user, &upload.device)? {
        return Err(StoreError::NoSuchDevice.into());
    }
    let mut fresh = Vec::new();
    for key in &upload.one_time_keys {
        let known: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT key FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4",
            )?
            .query_row(
                params![user.as_str(), device, key.algorithm, key.id],
                |row| row.get(0),
            )
            .optional()?;
        if rules::is_fresh(key, known.as_deref())? {
            fresh.push(key);
        }
    }
    if !fresh.is_empty() {
        let count: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM one_time_keys WHERE user_id = ?1 AND device_id = ?2",
            )?
            .query_row(params![user.as_str(), device], |row| row.get(0))?;
        rules::check_one_time_keys(unsigned(count), fresh.len(), most)?;
    }
    Ok(fresh)
}

fn store(
    batch: &mut Batch<'_>,
    user: &UserId,
    upload: &OneTimeUpload,
    fresh: &[&OneTimeKey],
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let device = upload.device.as_str();
    if !fresh.is_empty() {
        let last: i64 = connection
            .prepare_cached(
                "SELECT coalesce(max(ordinal), 0) FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2",
            )?
            .query_row(params![user.as_str(), device], |row| row.get(0))?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, ordinal, key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (key, ordinal) in fresh.iter().zip(last.saturating_add(1)..) {
            let values = params![
                user.as_str(),
                device,
                key.algorithm,
                key.id,
                ordinal,
                &*key.key
            ];
            insert.execute(values)?;
        }
    }
    for key in &upload.fallback_keys {
        connection
            .prepare_cached(
                "INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key, used)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0)
                 ON CONFLICT DO UPDATE SET key_id = ?4, key = ?5, used = 0
                 WHERE key_id <> ?4 OR key <> ?5",
            )?
            .execute(params![
                user.as_str(),
                device,
                key.algorithm,
                key.id,
                &*key.key
            ])?;
    }
    batch.reload(user, Change::OneTimeKeys);
    Ok(())
}

//! Versions of key backups, and their sums.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::backup_selection::{measure, remove};
use crate::store::rules::backups::Totals;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{BackupQuota, KeyBackup, KeyBackupState, KeySelection, StoreError, UserId};

pub(in crate::store::sqlite) fn create(
    batch: &mut Batch<'_>,
    user: &UserId,
    algorithm: &str,
    auth_data: &Bytes,
    quota: BackupQuota,
) -> Result<u64, WriteError> {
    // Refuses a user who is not there.
    batch.counters(user)?;
    let connection = batch.connection();
    let versions: i64 = connection
        .prepare_cached("SELECT count(*) FROM backups WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))?;
    let totals = totals(connection, user)?;
    let totals = totals.with_version(unsigned(versions), algorithm, auth_data, quota)?;
    connection
        .prepare_cached(
            "INSERT INTO backups (user_id, version, algorithm, auth_data, count, etag)
             VALUES (?1, ?2, ?3, ?4, 0, 0)",
        )?
        .execute(params![
            user.as_str(),
            integer(totals.newest),
            algorithm,
            &**auth_data
        ])?;
    write_totals(connection, user, totals)?;
    Ok(totals.newest)
}

pub(in crate::store::sqlite) fn replace_auth_data(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
    algorithm: &str,
    auth_data: &Bytes,
    quota: BackupQuota,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let backup = existing(connection, user, version)?;
    let totals = totals(connection, user)?;
    let totals = totals.with_auth_data(&backup, algorithm, auth_data, quota)?;
    connection
        .prepare_cached("UPDATE backups SET auth_data = ?3 WHERE user_id = ?1 AND version = ?2")?
        .execute(params![user.as_str(), integer(version), &**auth_data])?;
    write_totals(connection, user, totals)?;
    Ok(())
}

pub(in crate::store::sqlite) fn delete(
    batch: &mut Batch<'_>,
    user: &UserId,
    version: u64,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let totals = totals(connection, user)?;
    let Some(backup) = find(connection, user, Some(version))? else {
        return Ok(totals.check_was_given_out(version)?);
    };
    let (_, weight) = measure(connection, user, version, &KeySelection::All)?;
    remove(connection, user, version, &KeySelection::All)?;
    connection
        .prepare_cached("DELETE FROM backups WHERE user_id = ?1 AND version = ?2")?
        .execute(params![user.as_str(), integer(version)])?;
    write_totals(connection, user, totals.without_version(&backup, weight))?;
    Ok(())
}

/// One version, or the current one.
pub(in crate::store::sqlite) fn find(
    connection: &Connection,
    user: &UserId,
    version: Option<u64>,
) -> Result<Option<KeyBackup>, rusqlite::Error> {
    connection
        .prepare_cached(
            "SELECT version, algorithm, auth_data, count, etag FROM backups
             WHERE user_id = ?1 AND (?2 IS NULL OR version = ?2)
             ORDER BY version DESC LIMIT 1",
        )?
        .query_row(params![user.as_str(), version.map(integer)], |row| {
            Ok(KeyBackup {
                version: unsigned(row.get(0)?),
                algorithm: row.get(1)?,
                auth_data: row.get::<_, Vec<u8>>(2)?.into(),
                state: KeyBackupState {
                    count: unsigned(row.get(3)?),
                    etag: unsigned(row.get(4)?),
                },
            })
        })
        .optional()
}

pub(super) fn existing(
    connection: &Connection,
    user: &UserId,
    version: u64,
) -> Result<KeyBackup, WriteError> {
    find(connection, user, Some(version))?.ok_or(WriteError::Refused(StoreError::NoSuchBackup))
}

pub(super) fn totals(connection: &Connection, user: &UserId) -> Result<Totals, rusqlite::Error> {
    let found = connection
        .prepare_cached("SELECT newest, keys, bytes FROM backup_totals WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| {
            Ok(Totals {
                newest: unsigned(row.get(0)?),
                keys: unsigned(row.get(1)?),
                bytes: unsigned(row.get(2)?),
            })
        });
    Ok(found.optional()?.unwrap_or_default())
}

pub(super) fn write_totals(
    connection: &Connection,
    user: &UserId,
    totals: Totals,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "INSERT INTO backup_totals (user_id, newest, keys, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET newest = ?2, keys = ?3, bytes = ?4",
        )?
        .execute(params![
            user.as_str(),
            integer(totals.newest),
            integer(totals.keys),
            integer(totals.bytes),
        ])?;
    Ok(())
}

pub(super) fn write_state(
    connection: &Connection,
    user: &UserId,
    version: u64,
    state: KeyBackupState,
) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "UPDATE backups SET count = ?3, etag = ?4 WHERE user_id = ?1 AND version = ?2",
        )?
        .execute(params![
            user.as_str(),
            integer(version),
            integer(state.count),
            integer(state.etag),
        ])?;
    Ok(())
}

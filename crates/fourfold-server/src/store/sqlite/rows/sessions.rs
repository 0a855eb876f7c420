//! Writing sessions.

use rusqlite::{Connection, OptionalExtension, params};

use super::keys;
use crate::store::rules::devices::check_room;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{DeviceId, NewSession, StoreError, Timestamp, TokenHash, TokenPair, UserId};

pub(in crate::store::sqlite) fn open(
    batch: &mut Batch<'_>,
    user: &UserId,
    session: &NewSession,
    most_devices: u64,
) -> Result<(), WriteError> {
    batch.counters(user)?;
    if keys::is_cross_signing_key(batch, user, &session.device)? {
        return Err(WriteError::Refused(StoreError::DeviceIdTaken));
    }
    let connection = batch.connection();
    let now = integer(session.opened_at.0);
    let known = connection
        .prepare_cached(
            "UPDATE devices SET last_seen_at = ?3, last_seen_address = ?4
             WHERE user_id = ?1 AND device_id = ?2",
        )?
        .execute(params![
            user.as_str(),
            session.device.as_str(),
            now,
            session.address
        ])?;
    if known > 0 {
        connection
            .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND device_id = ?2")?
            .execute(params![user.as_str(), session.device.as_str()])?;
    } else {
        let devices: i64 = connection
            .prepare_cached("SELECT count(*) FROM devices WHERE user_id = ?1")?
            .query_row([user.as_str()], |row| row.get(0))?;
        check_room(unsigned(devices), most_devices)?;
        connection
            .prepare_cached(
                "INSERT INTO devices (user_id, device_id, display_name, created_at, last_seen_at,
                    last_seen_address) VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
            )?
            .execute(params![
                user.as_str(),
                session.device.as_str(),
                session.display_name,
                now,
                session.address,
            ])?;
    }
    insert(batch, user, &session.device, &session.tokens, None)?;
    batch.move_device_list(user)
}

pub(in crate::store::sqlite) fn refresh(
    batch: &mut Batch<'_>,
    user: &UserId,
    refresh: &TokenHash,
    tokens: &TokenPair,
    now: Timestamp,
) -> Result<Option<DeviceId>, WriteError> {
    let connection = batch.connection();
    let pair = connection
        .prepare_cached(
            "SELECT access_hash, device_id FROM sessions WHERE user_id = ?1 AND refresh_hash = ?2",
        )?
        .query_row(params![user.as_str(), refresh.0], |row| {
            Ok((TokenHash(row.get(0)?), row.get::<_, Box<str>>(1)?))
        })
        .optional()?;
    let Some((access, device)) = pair else {
        return Ok(None);
    };
    let device = DeviceId::new(device);
    // To use the refresh token of a pair is to use the pair: the pair that it replaces ends.
    confirm(batch, user, &access)?;
    connection
        .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND replaces = ?2")?
        .execute(params![user.as_str(), access.0])?;
    insert(batch, user, &device, tokens, Some(access))?;
    connection
        .prepare_cached(
            "UPDATE devices SET last_seen_at = ?3 WHERE user_id = ?1 AND device_id = ?2",
        )?
        .execute(params![user.as_str(), device.as_str(), integer(now.0)])?;
    batch.reload(user, Change::SessionRefreshed);
    Ok(Some(device))
}

pub(in crate::store::sqlite) fn confirm(
    batch: &mut Batch<'_>,
    user: &UserId,
    access: &TokenHash,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let replaced = connection
        .prepare_cached(
            "SELECT replaces FROM sessions
             WHERE user_id = ?1 AND access_hash = ?2 AND replaces IS NOT NULL",
        )?
        .query_row(params![user.as_str(), access.0], |row| {
            row.get(0).map(TokenHash)
        })
        .optional()?;
    let Some(replaced) = replaced else {
        return Ok(());
    };
    connection
        .prepare_cached("DELETE FROM sessions WHERE user_id = ?1 AND access_hash = ?2")?
        .execute(params![user.as_str(), replaced.0])?;
    connection
        .prepare_cached(
            "UPDATE sessions SET replaces = NULL WHERE user_id = ?1 AND access_hash = ?2",
        )?
        .execute(params![user.as_str(), access.0])?;
    // A long poll under the old token must end.
    batch.reload(user, Change::SessionConfirmed);
    Ok(())
}

/// Whether there is a session, by one row.
pub(in crate::store::sqlite) fn exists(
    connection: &Connection,
    user: &UserId,
    access: &TokenHash,
) -> Result<bool, rusqlite::Error> {
    connection
        .prepare_cached("SELECT 1 FROM sessions WHERE user_id = ?1 AND access_hash = ?2")?
        .exists(params![user.as_str(), access.0])
}

fn insert(
    batch: &Batch<'_>,
    user: &UserId,
    device: &DeviceId,
    tokens: &TokenPair,
    replaces: Option<TokenHash>,
) -> Result<(), WriteError> {
    batch
        .connection()
        .prepare_cached(
            "INSERT INTO sessions (user_id, access_hash, device_id, refresh_hash, expires_at,
                replaces) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            user.as_str(),
            tokens.access.0,
            device.as_str(),
            tokens.refresh.map(|hash| hash.0),
            tokens.expires_at.map(|at| integer(at.0)),
            replaces.map(|hash| hash.0),
        ])?;
    Ok(())
}

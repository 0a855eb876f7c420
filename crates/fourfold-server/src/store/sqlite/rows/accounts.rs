//! Accounts: making them, and the row of their password.

use rusqlite::{Connection, OptionalExtension, params};

use super::sessions;
use crate::store::rules::wakes::Change;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::integer;
use crate::store::{NewAccount, StoreError, UserId};

pub(in crate::store::sqlite) fn create(
    batch: &mut Batch<'_>,
    user: &UserId,
    account: &NewAccount,
) -> Result<(), WriteError> {
    let inserted = batch
        .connection()
        .prepare_cached(
            "INSERT INTO users (user_id, password_hash, created_at, position,
                device_list_position, account_data_types, account_data_bytes)
             VALUES (?1, ?2, ?3, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user.as_str(),
            account.password_hash,
            integer(account.created_at.0)
        ])?;
    if inserted == 0 {
        return Err(WriteError::Refused(StoreError::UserInUse));
    }
    batch.reload(user, Change::Made);
    if let Some(session) = &account.session {
        // The first device fits any quota: a refusal here would come after a change.
        sessions::open(batch, user, session, u64::MAX)?;
    }
    Ok(())
}

/// Reads one row of one table, for any user.
pub(in crate::store::sqlite) fn password_hash(
    connection: &Connection,
    user: &UserId,
) -> Result<Option<String>, rusqlite::Error> {
    connection
        .prepare_cached("SELECT password_hash FROM users WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))
        .optional()
}

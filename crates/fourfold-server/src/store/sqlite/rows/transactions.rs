//! The transactions that fill inboxes once.

use rusqlite::{Connection, params};

use crate::store::rules::transactions::{
    Begun, FORGET_EVERY, Kept, forgotten_before, looks_for_old, too_many,
};
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::{integer, unsigned};
use crate::store::{Transaction, UserId};

/// Records a transaction and returns what was done of it before.
pub(super) fn begin(
    connection: &Connection,
    user: &UserId,
    transaction: &Transaction,
) -> Result<Begun, WriteError> {
    let (user, device) = (user.as_str(), transaction.device.as_str());
    let inserted = connection
        .prepare_cached(
            "INSERT INTO transactions (user_id, device_id, hash, at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            user,
            device,
            transaction.hash,
            integer(transaction.at.0)
        ])?;
    if inserted == 0 {
        let refused: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT refused FROM transactions
                 WHERE user_id = ?1 AND device_id = ?2 AND hash = ?3",
            )?
            .query_row(params![user, device, transaction.hash], |row| row.get(0))?;
        return Ok(refused.map_or(Begun::Done, Begun::But));
    }
    if looks_for_old(transaction) {
        forget(connection, integer(forgotten_before(transaction.at).0))?;
        forget_most(connection, user, device)?;
    }
    Ok(Begun::Fresh)
}

/// Notes what could not be delivered.
pub(super) fn end(
    connection: &Connection,
    user: &UserId,
    transaction: &Transaction,
    kept: Kept,
) -> Result<(), WriteError> {
    let (user, device) = (user.as_str(), transaction.device.as_str());
    match kept {
        Kept::AsBefore => {}
        Kept::Nothing => {
            connection
                .prepare_cached(
                    "DELETE FROM transactions
                     WHERE user_id = ?1 AND device_id = ?2 AND hash = ?3",
                )?
                .execute(params![user, device, transaction.hash])?;
        }
        Kept::But(refused) => {
            connection
                .prepare_cached(
                    "UPDATE transactions SET refused = ?4
                     WHERE user_id = ?1 AND device_id = ?2 AND hash = ?3",
                )?
                .execute(params![user, device, transaction.hash, refused])?;
        }
    }
    Ok(())
}

/// Forgets transactions that are older than `end`, a bounded number at once: of all users, because the
/// table is in the order of arrival and of no other.
fn forget(connection: &Connection, end: i64) -> Result<(), rusqlite::Error> {
    connection
        .prepare_cached(
            "DELETE FROM transactions WHERE at < ?1
                AND rowid IN (SELECT rowid FROM transactions ORDER BY rowid LIMIT ?2)",
        )?
        .execute([end, FORGOTTEN_AT_ONCE])?;
    Ok(())
}

/// Forgets the oldest transactions of a device that made too many.
fn forget_most(connection: &Connection, user: &str, device: &str) -> Result<(), rusqlite::Error> {
    let remembered: i64 = connection
        .prepare_cached("SELECT count(*) FROM transactions WHERE user_id = ?1 AND device_id = ?2")?
        .query_row([user, device], |row| row.get(0))?;
    let too_many = too_many(unsigned(remembered));
    if too_many == 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "DELETE FROM transactions WHERE rowid IN (SELECT rowid FROM transactions
                WHERE user_id = ?1 AND device_id = ?2 ORDER BY rowid LIMIT ?3)",
        )?
        .execute(params![user, device, integer(too_many)])?;
    Ok(())
}

/// Transactions that are forgotten at once: more than came since the last time.
const FORGOTTEN_AT_ONCE: i64 = 4 * FORGET_EVERY as i64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    /// A file with so many transactions of a device, one each millisecond, and one of another device
    /// before them.
    fn with(transactions: i64) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        connection
            .execute_batch(&format!(
                "INSERT INTO transactions (user_id, device_id, hash, at) VALUES ('@a:a', 'E', x'00', 1);
                 INSERT INTO transactions (user_id, device_id, hash, at) WITH RECURSIVE n(n) AS
                    (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {transactions})
                    SELECT '@a:a', 'D', CAST(n AS BLOB), n FROM n;"
            ))
            .unwrap();
        connection
    }

    /// How many of the device are remembered, and since when; and how many of the other.
    fn remembered(connection: &Connection) -> (i64, i64, i64) {
        let query = "SELECT count(*) FILTER (WHERE device_id = 'D'),
            coalesce(min(at) FILTER (WHERE device_id = 'D'), 0),
            count(*) FILTER (WHERE device_id = 'E') FROM transactions";
        let row =
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        row.unwrap()
    }

    #[test]
    fn what_is_old_is_forgotten_a_bounded_number_at_once() {
        let connection = with(1_000);
        forget(&connection, 11).unwrap();
        assert_eq!(remembered(&connection), (990, 11, 0));
        forget(&connection, 1_000_000).unwrap();
        assert_eq!(remembered(&connection), (990 - 256, 11 + 256, 0));
    }

    #[test]
    fn of_too_many_the_oldest_are_forgotten_and_nobody_elses() {
        let connection = with(50_000);
        forget_most(&connection, "@a:a", "D").unwrap();
        assert_eq!(remembered(&connection), (50_000, 1, 1));
        let connection = with(50_001);
        forget_most(&connection, "@a:a", "D").unwrap();
        assert_eq!(remembered(&connection), (49_000, 1_002, 1));
    }
}

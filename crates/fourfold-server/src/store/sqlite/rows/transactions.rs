//! The transactions that fill inboxes once.

use std::time::Duration;

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::store::sqlite::writer::WriteError;
use crate::store::sqlite::{integer, milliseconds};
use crate::store::{DeviceId, Transaction, UserId};

/// What was done of a transaction before.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::store::sqlite) enum Begun {
    /// Nothing.
    Fresh,
    /// All but these copies, for which there was no room.
    But(Vec<u8>),
    /// Everything.
    Done,
}

impl Begun {
    /// Whether a copy is still to be delivered.
    pub(in crate::store::sqlite) fn wants(&self, copy: impl FnOnce() -> [u8; COPY]) -> bool {
        match self {
            Self::Fresh => true,
            Self::Done => false,
            Self::But(refused) => {
                let copy = copy();
                refused.chunks_exact(COPY).any(|refused| refused == copy)
            }
        }
    }
}

/// Names a copy of a message within its request.
pub(in crate::store::sqlite) fn copy(index: usize, device: &DeviceId) -> [u8; COPY] {
    let mut hash = Sha256::new();
    hash.update(index.to_be_bytes());
    hash.update(device.as_str());
    let hash: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    [a, b, c, d, e, f, g, h]
}

/// Notes a transaction and says what was done of it before.
pub(in crate::store::sqlite) fn begin(
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
    let [first, ..] = transaction.hash;
    if first.is_multiple_of(FORGET_EVERY) {
        let end = transaction.at.0.saturating_sub(milliseconds(REMEMBERED));
        forget(connection, integer(end))?;
        forget_most(connection, user, device)?;
    }
    Ok(Begun::Fresh)
}

/// Notes what could not be delivered. When that is everything, nothing happened, and nothing is kept.
pub(in crate::store::sqlite) fn end(
    connection: &Connection,
    user: &UserId,
    transaction: &Transaction,
    begun: &Begun,
    refused: &[[u8; COPY]],
    nothing_delivered: bool,
) -> Result<(), WriteError> {
    let (user, device) = (user.as_str(), transaction.device.as_str());
    match begun {
        Begun::Done => return Ok(()),
        Begun::Fresh if refused.is_empty() => return Ok(()),
        Begun::Fresh if nothing_delivered => {
            connection
                .prepare_cached(
                    "DELETE FROM transactions
                     WHERE user_id = ?1 AND device_id = ?2 AND hash = ?3",
                )?
                .execute(params![user, device, transaction.hash])?;
            return Ok(());
        }
        Begun::Fresh | Begun::But(_) => {}
    }
    let refused = (!refused.is_empty()).then(|| refused.concat());
    connection
        .prepare_cached(
            "UPDATE transactions SET refused = ?4
             WHERE user_id = ?1 AND device_id = ?2 AND hash = ?3",
        )?
        .execute(params![user, device, transaction.hash, refused])?;
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
    if remembered <= MOST_REMEMBERED {
        return Ok(());
    }
    connection
        .prepare_cached(
            "DELETE FROM transactions WHERE rowid IN (SELECT rowid FROM transactions
                WHERE user_id = ?1 AND device_id = ?2 ORDER BY rowid LIMIT ?3)",
        )?
        .execute(params![user, device, remembered - KEPT_OF_TOO_MANY])?;
    Ok(())
}

/// Bytes that name a copy within its request: enough for the few thousand of one.
const COPY: usize = 8;

/// How long a transaction is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Transactions of one device that are remembered; of more, the oldest are forgotten early.
const MOST_REMEMBERED: i64 = 50_000;

/// Those that stay then, fewer so that the next does not come at once.
const KEPT_OF_TOO_MANY: i64 = 49_000;

/// One in so many transactions looks for what may be forgotten.
const FORGET_EVERY: u8 = 64;

/// Transactions that it forgets at most: more than came since the last time.
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
        let connection = with(MOST_REMEMBERED);
        forget_most(&connection, "@a:a", "D").unwrap();
        assert_eq!(remembered(&connection), (MOST_REMEMBERED, 1, 1));
        let connection = with(MOST_REMEMBERED + 1);
        forget_most(&connection, "@a:a", "D").unwrap();
        let oldest = MOST_REMEMBERED + 2 - KEPT_OF_TOO_MANY;
        assert_eq!(remembered(&connection), (KEPT_OF_TOO_MANY, oldest, 1));
    }
}

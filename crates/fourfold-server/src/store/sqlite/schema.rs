//! The tables, and how an older file becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use super::errors::OpenError;

/// Brings the file to the newest schema, one transaction a step: a step that was interrupted never
/// happened, and the next start takes it again.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let known = MIGRATIONS.len();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    let application: i32 = transaction.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found == 0 && application == 0 {
        let tables: i64 =
            transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables != 0 {
            return Err(OpenError::ForeignFile);
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    } else if application != APPLICATION_ID {
        return Err(OpenError::ForeignFile);
    }
    transaction.commit()?;
    if found > known {
        return Err(OpenError::NewerSchema { found, known });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(migration)?;
        let version = u32::try_from(index + 1).unwrap_or(u32::MAX);
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// "4Srv" in ASCII: tells our files from other people's.
const APPLICATION_ID: i32 = 0x3453_7276;

/// Step `n` takes a file from version `n` to version `n + 1`. Never edit a step that was released.
const MIGRATIONS: [&str; 8] = [
    V1,
    V2,
    KEY_BACKUP,
    SECRET_REQUESTS,
    ARRIVAL_ORDER,
    SENDERS,
    LARGE_CONTENTS,
    HISTORY,
];

/// Every primary key begins with the user ID, and a table is its primary key (`WITHOUT ROWID`) unless
/// it says why not: one user's rows lie side by side and a write touches one tree.
const V1: &str = "
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    user_id              TEXT    NOT NULL PRIMARY KEY,
    password_hash        TEXT    NOT NULL,
    created_at           INTEGER NOT NULL,
    -- The last number that the user's stream gave out.
    position             INTEGER NOT NULL,
    -- The number that the last change of the user's devices took.
    device_list_position INTEGER NOT NULL,
    -- What the quotas count, so that no write has to sum up.
    account_data_types   INTEGER NOT NULL,
    account_data_bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    user_id           TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    display_name      TEXT,
    created_at        INTEGER NOT NULL,
    last_seen_at      INTEGER NOT NULL,
    last_seen_address TEXT,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    user_id      TEXT NOT NULL,
    access_hash  BLOB NOT NULL,
    device_id    TEXT NOT NULL,
    refresh_hash BLOB,
    expires_at   INTEGER,
    -- The pair that ends when this one is used for the first time.
    replaces     BLOB,
    PRIMARY KEY (user_id, access_hash)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX sessions_by_refresh ON sessions (user_id, refresh_hash)
    WHERE refresh_hash IS NOT NULL;

CREATE TABLE account_data (
    user_id  TEXT    NOT NULL,
    -- Empty for the account itself.
    room_id  TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE filters (
    user_id    TEXT    NOT NULL,
    filter_id  INTEGER NOT NULL,
    definition BLOB    NOT NULL,
    PRIMARY KEY (user_id, filter_id)
) STRICT, WITHOUT ROWID;
";

/// Earlier contents of global account data, those of one user and type side by side, so that a write
/// and the deletion of the oldest touch few pages. As in account data, contents beyond 1 KiB lie apart.
const HISTORY: &str = "
CREATE TABLE account_data_history (
    user_id     TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    -- The number of the change that stored it, and of the one that replaced it.
    position    INTEGER NOT NULL,
    replaced_by INTEGER NOT NULL,
    replaced_at INTEGER NOT NULL,
    -- Null when it was stored while no history was kept.
    written_at  INTEGER,
    device_id   TEXT,
    length      INTEGER NOT NULL,
    content     BLOB    NOT NULL,
    PRIMARY KEY (user_id, type, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE large_history (
    user_id  TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    content  BLOB    NOT NULL,
    PRIMARY KEY (user_id, type, position)
) STRICT;

ALTER TABLE account_data ADD COLUMN written_at INTEGER;
ALTER TABLE account_data ADD COLUMN device_id  TEXT;
-- How many earlier contents there are at most, so that no write has to count.
ALTER TABLE account_data ADD COLUMN earlier    INTEGER NOT NULL DEFAULT 0;

-- What the quota counts, and when contents that are too old were last looked for.
ALTER TABLE users ADD COLUMN history_entries  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN history_bytes    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN history_swept_at INTEGER NOT NULL DEFAULT 0;
";

/// What may be large lies in tables that are not their primary key: there, SQLite reads a row with all
/// that it holds to find the next one. Of account data that are the contents beyond 1 KiB; the rows tell
/// how long each is.
const LARGE_CONTENTS: &str = "
CREATE TABLE large_contents (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    type    TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
) STRICT;
ALTER TABLE account_data ADD COLUMN length INTEGER NOT NULL DEFAULT 0;
UPDATE account_data SET length = length(content);
INSERT INTO large_contents SELECT user_id, room_id, type, content FROM account_data
    WHERE length > 1024;
UPDATE account_data SET content = x'' WHERE length > 1024;

CREATE TABLE kept_keys (
    user_id             TEXT    NOT NULL,
    version             INTEGER NOT NULL,
    room_id             TEXT    NOT NULL,
    session_id          TEXT    NOT NULL,
    first_message_index INTEGER NOT NULL,
    forwarded_count     INTEGER NOT NULL,
    is_verified         INTEGER NOT NULL,
    session_data        BLOB    NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
) STRICT;
INSERT INTO kept_keys SELECT user_id, version, room_id, session_id, first_message_index,
    forwarded_count, is_verified, session_data FROM backup_keys;
DROP TABLE backup_keys;
ALTER TABLE kept_keys RENAME TO backup_keys;
";

/// Who sent what waits, so that nobody takes the room of others; and what a request could not deliver.
const SENDERS: &str = "
-- Null when it is the user to whom the inbox belongs.
ALTER TABLE to_device ADD COLUMN sender TEXT;
UPDATE to_device SET sender = nullif(json_extract(CAST(event AS TEXT), '$.sender'), user_id)
    WHERE json_valid(CAST(event AS TEXT));
CREATE INDEX messages_of_others ON to_device (user_id, device_id, sender)
    WHERE sender IS NOT NULL;

-- What other users sent of what waits.
ALTER TABLE devices ADD COLUMN inbox_messages_of_others INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN inbox_bytes_of_others    INTEGER NOT NULL DEFAULT 0;
UPDATE devices SET (inbox_messages_of_others, inbox_bytes_of_others) =
    (SELECT count(*), coalesce(sum(length(event)), 0) FROM to_device
     WHERE to_device.user_id = devices.user_id AND to_device.device_id = devices.device_id
        AND sender IS NOT NULL);

-- The copies that are still to be delivered, eight bytes each; null when there are none.
ALTER TABLE transactions ADD COLUMN refused BLOB;
";

/// Messages and transactions in the order of arrival, not one device's side by side: those of one
/// commit, for whomever they are, share the last pages of a table instead of touching a page each, and
/// a message of the usual size needs no overflow page.
const ARRIVAL_ORDER: &str = "
CREATE TABLE arrived (
    user_id           TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    position          INTEGER NOT NULL,
    -- Type, sender and content as JSON text.
    event             BLOB    NOT NULL,
    request           BLOB,
    requesting_device TEXT,
    arrived_at        INTEGER,
    PRIMARY KEY (user_id, device_id, position)
) STRICT;
INSERT INTO arrived SELECT user_id, device_id, position, event, request, requesting_device, arrived_at
    FROM to_device;
DROP TABLE to_device;
ALTER TABLE arrived RENAME TO to_device;

CREATE INDEX secret_requests ON to_device (user_id, device_id, request)
    WHERE request IS NOT NULL;
CREATE INDEX secret_requests_by_requester ON to_device (user_id, requesting_device)
    WHERE requesting_device IS NOT NULL;
CREATE INDEX secret_requests_by_age ON to_device (user_id, device_id, arrived_at)
    WHERE arrived_at IS NOT NULL;

CREATE TABLE done (
    user_id   TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    -- SHA-256 of the route and the ID that the client gave.
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, hash)
) STRICT;
INSERT INTO done SELECT user_id, device_id, hash, at FROM transactions ORDER BY at;
DROP TABLE transactions;
ALTER TABLE done RENAME TO transactions;
";

/// Requests for secrets, found among the messages that wait. Of other messages, and of those that
/// came before this step, all three columns are null.
const SECRET_REQUESTS: &str = "
-- SHA-256 of sender, requesting device and request ID.
ALTER TABLE to_device ADD COLUMN request           BLOB;
-- Only of a request that the user's own device makes.
ALTER TABLE to_device ADD COLUMN requesting_device TEXT;
ALTER TABLE to_device ADD COLUMN arrived_at        INTEGER;

CREATE INDEX secret_requests ON to_device (user_id, device_id, request)
    WHERE request IS NOT NULL;
CREATE INDEX secret_requests_by_requester ON to_device (user_id, requesting_device)
    WHERE requesting_device IS NOT NULL;
CREATE INDEX secret_requests_by_age ON to_device (user_id, device_id, arrived_at)
    WHERE arrived_at IS NOT NULL;
";

/// Key backups.
const KEY_BACKUP: &str = "
CREATE TABLE backup_totals (
    user_id TEXT    NOT NULL PRIMARY KEY,
    -- The last version that was given out, deleted or not.
    newest  INTEGER NOT NULL,
    -- What the quotas count, over all versions.
    keys    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE backups (
    user_id   TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    algorithm TEXT    NOT NULL,
    auth_data BLOB    NOT NULL,
    count     INTEGER NOT NULL,
    etag      INTEGER NOT NULL,
    PRIMARY KEY (user_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE backup_keys (
    user_id             TEXT    NOT NULL,
    version             INTEGER NOT NULL,
    room_id             TEXT    NOT NULL,
    session_id          TEXT    NOT NULL,
    first_message_index INTEGER NOT NULL,
    forwarded_count     INTEGER NOT NULL,
    is_verified         INTEGER NOT NULL,
    session_data        BLOB    NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
) STRICT, WITHOUT ROWID;
";

/// Keys and to-device messages.
const V2: &str = "
CREATE TABLE device_keys (
    user_id   TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys      BLOB NOT NULL,
    PRIMARY KEY (user_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cross_signing_keys (
    user_id    TEXT    NOT NULL,
    -- 0 master, 1 self-signing, 2 user-signing.
    usage      INTEGER NOT NULL,
    public_key TEXT    NOT NULL,
    content    BLOB    NOT NULL,
    PRIMARY KEY (user_id, usage)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_signatures (
    -- Who signed.
    user_id     TEXT NOT NULL,
    signed_user TEXT NOT NULL,
    signed_key  TEXT NOT NULL,
    signing_key TEXT NOT NULL,
    signature   TEXT NOT NULL,
    PRIMARY KEY (user_id, signed_user, signed_key, signing_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE one_time_keys (
    user_id   TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    algorithm TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    -- The order of upload, which is the order of claiming.
    ordinal   INTEGER NOT NULL,
    key       BLOB    NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm, key_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_time_keys_in_order
    ON one_time_keys (user_id, device_id, algorithm, ordinal);

CREATE TABLE fallback_keys (
    user_id   TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    algorithm TEXT    NOT NULL,
    key_id    TEXT    NOT NULL,
    key       BLOB    NOT NULL,
    used      INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm)
) STRICT, WITHOUT ROWID;

CREATE TABLE to_device (
    user_id   TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    position  INTEGER NOT NULL,
    -- Type, sender and content as JSON text.
    event     BLOB    NOT NULL,
    PRIMARY KEY (user_id, device_id, position)
) STRICT, WITHOUT ROWID;

-- What waits in the inbox, so that no write has to count.
ALTER TABLE devices ADD COLUMN inbox_messages     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN inbox_bytes        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN inbox_newest       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN inbox_acknowledged INTEGER NOT NULL DEFAULT 0;

CREATE TABLE transactions (
    user_id   TEXT    NOT NULL,
    device_id TEXT    NOT NULL,
    -- SHA-256 of the route and the ID that the client gave.
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (user_id, device_id, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX transactions_by_age ON transactions (user_id, device_id, at);
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrates_once_and_again_without_effect() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        migrate(&mut connection).unwrap();
    }

    #[test]
    fn keeps_the_messages_of_an_older_file() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&MIGRATIONS[..4].concat()).unwrap();
        connection
            .execute_batch(
                "INSERT INTO to_device VALUES ('@a:a', 'D', 7, x'7b7d', x'01', 'E', 5),
                    ('@a:a', 'D', 8, CAST('{\"sender\":\"@b:a\"}' AS BLOB), NULL, NULL, NULL),
                    ('@a:a', 'D', 9, CAST('{\"sender\":\"@a:a\"}' AS BLOB), NULL, NULL, NULL);
                 INSERT INTO devices VALUES ('@a:a', 'D', NULL, 1, 1, NULL, 3, 36, 9, 0);
                 INSERT INTO transactions VALUES ('@a:a', 'D', x'02', 9), ('@a:a', 'D', x'03', 8);",
            )
            .unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        connection.pragma_update(None, "user_version", 4).unwrap();
        migrate(&mut connection).unwrap();
        let text = |query| -> String { connection.query_row(query, [], |row| row.get(0)).unwrap() };
        let message = "SELECT user_id || device_id || position || hex(event) || hex(request)
            || requesting_device || arrived_at FROM to_device WHERE position = 7";
        assert_eq!(text(message), "@a:aD77B7D01E5");
        let others = "SELECT group_concat(coalesce(sender, '-') || position, ' ') FROM
            (SELECT sender, position FROM to_device ORDER BY position)";
        assert_eq!(text(others), "-7 @b:a8 -9");
        let counted =
            "SELECT inbox_messages_of_others || ' ' || inbox_bytes_of_others FROM devices";
        assert_eq!(text(counted), "1 17");
        let transactions = "SELECT group_concat(hex(hash) || at) FROM
            (SELECT hash, at FROM transactions ORDER BY rowid)";
        assert_eq!(text(transactions), "038,029");
    }

    #[test]
    fn keeps_the_account_data_and_the_room_keys_of_an_older_file() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&MIGRATIONS[..6].concat()).unwrap();
        connection
            .execute_batch(
                "INSERT INTO account_data VALUES ('@a:a', '', 'm.small', 1, zeroblob(1024)),
                    ('@a:a', '!r', 'm.large', 2, zeroblob(1025));
                 INSERT INTO backup_keys VALUES ('@a:a', 2, '!r', 's', 3, 4, 1, x'7b7d');",
            )
            .unwrap();
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .unwrap();
        connection.pragma_update(None, "user_version", 6).unwrap();
        migrate(&mut connection).unwrap();
        let text = |query| -> String { connection.query_row(query, [], |row| row.get(0)).unwrap() };
        let rows = "SELECT group_concat(room_id || type || position || ' ' || length || ' '
            || length(content)) FROM (SELECT * FROM account_data ORDER BY position)";
        assert_eq!(text(rows), "m.small1 1024 1024,!rm.large2 1025 0");
        let large = "SELECT user_id || room_id || type || length(content) FROM large_contents";
        assert_eq!(text(large), "@a:a!rm.large1025");
        let keys = "SELECT user_id || version || room_id || session_id || first_message_index
            || forwarded_count || is_verified || hex(session_data) FROM backup_keys";
        assert_eq!(text(keys), "@a:a2!rs3417B7D");
    }

    #[test]
    fn refuses_a_newer_file() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let refused = migrate(&mut connection);
        assert!(matches!(
            refused,
            Err(OpenError::NewerSchema {
                found: 99,
                known: 8
            })
        ));
    }

    #[test]
    fn refuses_another_programs_file() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE notes (text TEXT)")
            .unwrap();
        assert!(matches!(
            migrate(&mut connection),
            Err(OpenError::ForeignFile)
        ));
    }

    #[test]
    fn every_primary_key_begins_with_the_user() {
        let all = MIGRATIONS.concat();
        let keys = all
            .split("CREATE TABLE ")
            .skip(1)
            .filter(|table| !table.starts_with("meta"));
        for table in keys {
            let mut columns = table.lines().skip(1).map(str::trim_start);
            let first = columns.find(|line| !line.starts_with("--")).unwrap();
            assert!(first.starts_with("user_id "), "{table}");
            assert!(
                table.contains("PRIMARY KEY (user_id") || first.ends_with("PRIMARY KEY,"),
                "{table}"
            );
        }
    }
}

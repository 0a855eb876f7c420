//! The tables of local state.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::error::LocalStateError;
use super::folder;
use super::place::Place;

/// Makes the file, complete from the moment at which it has its name.
pub(super) fn create(file: &Path, user_id: &str) -> Result<(), LocalStateError> {
    let draft = file.with_extension("new");
    // Left by a crash; the lock is ours, so nobody is writing it.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(LocalStateError::io(&draft, error));
        }
        _ => {}
    }
    folder::create_file(&draft)?;
    let database = |error| LocalStateError::database(&draft, error);
    let mut connection = connect_to_file(&draft).map_err(database)?;
    fill(&mut connection, user_id).map_err(database)?;
    connection.close().map_err(|(_, error)| database(error))?;
    fs::rename(&draft, file).map_err(|error| LocalStateError::io(file, error))?;
    folder::sync(file.parent().unwrap_or_else(|| Path::new(".")))
}

/// Makes the tables in memory, where they are for as long as a connection lives.
pub(super) fn create_in_memory(
    place: &Place,
    user_id: &str,
) -> Result<Connection, LocalStateError> {
    let mut connection =
        connect(place).map_err(|error| LocalStateError::database(place.path(), error))?;
    fill(&mut connection, user_id)
        .map_err(|error| LocalStateError::database(place.path(), error))?;
    Ok(connection)
}

/// Opens the tables, checks them and brings them up to date.
pub(super) fn open(place: &Place) -> Result<Connection, LocalStateError> {
    let file = place.path();
    let database = |error| LocalStateError::database(file, error);
    let corrupt = || LocalStateError::Corrupt {
        path: file.to_owned(),
    };
    let mut connection = connect(place).map_err(database)?;
    let pragma = |name: &str| -> Result<i64, rusqlite::Error> {
        connection.pragma_query_value(None, name, |row| row.get(0))
    };
    let (id, version) = pragma("application_id")
        .and_then(|id| Ok((id, pragma("user_version")?)))
        .map_err(database)?;
    let newest = MIGRATIONS.len();
    let version = usize::try_from(version).map_err(|_| corrupt())?;
    if id != APPLICATION_ID || version == 0 {
        return Err(corrupt());
    }
    if version > newest {
        return Err(LocalStateError::TooNew {
            path: file.to_owned(),
        });
    }
    let verdict: String = connection
        .pragma_query_value(None, "quick_check", |row| row.get(0))
        .map_err(database)?;
    if verdict != "ok" {
        return Err(corrupt());
    }
    migrate(&mut connection, version).map_err(database)?;
    Ok(connection)
}

fn fill(connection: &mut Connection, user_id: &str) -> Result<(), rusqlite::Error> {
    migrate(connection, 0)?;
    connection.execute(
        "INSERT INTO account (id, user_id) VALUES (1, ?1)",
        [user_id],
    )?;
    Ok(())
}

fn connect(place: &Place) -> Result<Connection, rusqlite::Error> {
    match place {
        Place::File { path, .. } => connect_to_file(path),
        Place::Memory { name } => connect_to_memory(name),
    }
}

/// SQLite keeps databases that begin with a slash in its file system in memory, by name.
fn connect_to_memory(name: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(name, flags, c"memdb")?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA secure_delete = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

fn connect_to_file(file: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    // The state and its device write to one file over two connections.
    connection.busy_timeout(BUSY)?;
    // A rollback journal that is gone for good before a commit returns: what is written is kept
    // through a power failure. What is deleted is overwritten.
    connection.execute_batch(
        "PRAGMA journal_mode = DELETE;
         PRAGMA synchronous = EXTRA;
         PRAGMA secure_delete = ON;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, version: usize) -> Result<(), rusqlite::Error> {
    if version >= MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in MIGRATIONS.iter().skip(version) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    let version = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    transaction.pragma_update(None, "user_version", version)?;
    transaction.commit()
}

/// The time for which one connection waits for another.
const BUSY: Duration = Duration::from_secs(10);

/// "4Sls"
const APPLICATION_ID: i64 = 0x3453_6C73;

/// Each brings the tables from its index to the next version. One that was released never changes.
const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE account (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    user_id TEXT NOT NULL,
    -- Whether a whole snapshot was ever pinned.
    is_pinned INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE session (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    homeserver TEXT NOT NULL,
    device_id TEXT,
    access_token TEXT NOT NULL
) STRICT;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    plan TEXT NOT NULL
) STRICT;
-- What was seen, the newest with the highest counter: the whole content of an event (entry '') and
-- each entry of a secret (entry = key ID). A hash of NULL: it was gone.
CREATE TABLE seen (
    event_type TEXT NOT NULL,
    entry TEXT NOT NULL,
    counter INTEGER NOT NULL,
    hash BLOB,
    PRIMARY KEY (event_type, entry, counter)
) STRICT, WITHOUT ROWID;
CREATE TABLE default_key (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT
) STRICT;
CREATE TABLE key_description (
    key_id TEXT PRIMARY KEY,
    content TEXT NOT NULL
) STRICT, WITHOUT ROWID;
",
    "
-- What a device keeps, each row sealed for its user, its kind and its name.
CREATE TABLE sealed (
    kind TEXT NOT NULL,
    row TEXT NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (kind, row)
) STRICT, WITHOUT ROWID;
",
    "
-- What was seen, the newest with the highest counter: the whole content of an event (key_id '') and
-- each entry of a secret, as it can be read. A body of NULL: it was gone. What earlier versions saw
-- are hashes of text; nothing that the server shows pushes them out.
CREATE TABLE sighting (
    event_type TEXT NOT NULL,
    key_id TEXT NOT NULL,
    reading TEXT NOT NULL,
    counter INTEGER NOT NULL,
    origin TEXT NOT NULL,
    body BLOB,
    iv BLOB,
    PRIMARY KEY (event_type, key_id, reading, counter)
) STRICT, WITHOUT ROWID;
INSERT INTO sighting (event_type, key_id, reading, counter, origin, body)
    SELECT event_type, entry, 'text', counter, 'opened', hash FROM seen;
DROP TABLE seen;
",
    "
-- The default key was accepted after every key that was seen until now.
UPDATE sighting SET counter = (SELECT max(counter) + 1 FROM sighting)
    WHERE event_type = 'm.secret_storage.default_key' AND key_id = '' AND counter = (
        SELECT max(counter) FROM sighting
            WHERE event_type = 'm.secret_storage.default_key' AND key_id = '');
",
];

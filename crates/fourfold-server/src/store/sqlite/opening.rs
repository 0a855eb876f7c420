//! Opening the file, and checking which server it belongs to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::errors::OpenError;
use super::schema;
use crate::store::Quotas;

/// The options for opening the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The server whose users live here. The server of a file cannot be changed.
    pub server_name: String,
    /// The quotas of one user.
    pub quotas: Quotas,
    /// Memory for the users in use, in bytes.
    pub cache_bytes: usize,
}

impl Options {
    /// Default quotas and 96 MiB of cache.
    pub fn new(server_name: impl Into<String>) -> Self {
        Self {
            server_name: server_name.into(),
            quotas: Quotas::default(),
            cache_bytes: 96 * 1024 * 1024,
        }
    }
}

/// The state of the writer, and the key of sync tokens from the file.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) batch_key: [u8; 32],
}

/// Opens the file for the writer, or makes it.
pub(super) fn open(path: &Path, server_name: &str) -> Result<Opened, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A deleted password hash or secret leaves no copy in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(128);
    schema::migrate(&mut connection)?;
    claim(&connection, server_name)?;
    let batch_key = batch_key(&connection)?;
    Ok(Opened {
        connection,
        batch_key,
    })
}

/// The default name of the file inside a data folder.
#[must_use]
pub fn file_in(folder: &Path) -> PathBuf {
    folder.join("fourfold.sqlite3")
}

fn claim(connection: &Connection, server_name: &str) -> Result<(), OpenError> {
    let owner: Option<Vec<u8>> = connection
        .query_row(
            "SELECT value FROM meta WHERE name = 'server_name'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    match owner {
        Some(owner) if owner == server_name.as_bytes() => Ok(()),
        Some(owner) => Err(OpenError::OtherServer(
            String::from_utf8_lossy(&owner).into_owned(),
        )),
        None => {
            connection.execute(
                "INSERT INTO meta (name, value) VALUES ('server_name', ?1)",
                [server_name.as_bytes()],
            )?;
            Ok(())
        }
    }
}

fn batch_key(connection: &Connection) -> Result<[u8; 32], OpenError> {
    let mut fresh = [0; 32];
    getrandom::fill(&mut fresh).map_err(std::io::Error::other)?;
    connection.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('batch_key', ?1)",
        [fresh],
    )?;
    let key = connection.query_row(
        "SELECT value FROM meta WHERE name = 'batch_key'",
        [],
        |row| row.get(0),
    )?;
    Ok(key)
}

/// Pages that the writer keeps in memory, so that it need not read what it wrote a while ago.
const PAGE_CACHE_KIB: i64 = 32 * 1024;

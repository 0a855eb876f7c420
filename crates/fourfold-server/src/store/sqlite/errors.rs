//! Errors of the database: while the file is opened, inside a transaction, and as callers see them.

use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// SQLite could not open, read or migrate it.
    #[error("the database cannot be opened")]
    Database(#[from] rusqlite::Error),
    /// It is not a file of this server.
    #[error("the database belongs to another program")]
    ForeignFile,
    /// A newer version wrote it; going back would lose what only that version knows.
    #[error("the database has schema {found}, this version knows {known}")]
    NewerSchema {
        /// The version of the file.
        found: usize,
        /// The newest version that is known here.
        known: usize,
    },
    /// It holds the users of another server.
    #[error("the database belongs to the server {0}")]
    OtherServer(String),
    /// The writing thread or the random generator of the system failed.
    #[error("the system refused a thread or random bytes")]
    System(#[from] std::io::Error),
}

/// Why a write did not happen.
#[derive(Debug)]
pub(super) enum WriteError {
    /// It may not; nothing was changed.
    Refused(StoreError),
    /// The database broke; the transaction is void.
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// A refusal by a rule.
impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

/// What a rule refuses outside of a write.
impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(error) => error,
            WriteError::Database(error) => refused(error),
        }
    }
}

pub(super) fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable(Arc::new(error))
}

/// Why a write did not happen, when the database is the cause.
pub(super) fn refused(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        _ => unavailable(error),
    }
}

//! What can go wrong with local state.

use std::path::{Path, PathBuf};

/// Why local state cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalStateError {
    /// The file is damaged, or not a local state at all. It is left as it is.
    #[error(
        "{} is damaged: restore it from a backup, or move it away and log in again; without it \
         nothing protects against a server that rolls back", path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// The account has a session at another homeserver, which a log-in does not replace.
    #[error(
        "this machine has a session of {user_id} at {homeserver}: log out there first, or log in \
         there"
    )]
    OtherHomeserver {
        /// The user, escaped.
        user_id: String,
        /// The address of that homeserver, escaped.
        homeserver: String,
    },
    /// A plan that was begun lies there and has to be resumed or abandoned first.
    #[error("an earlier change was not finished: resume or abandon it first")]
    Unfinished,
    /// Another process uses the state.
    #[error("{} is in use by another process: wait until it is done", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no state of this account.
    #[error("no session of {user_id} on this machine: log in first")]
    NoState {
        /// The user, escaped.
        user_id: String,
    },
    /// A file or a folder that others than its owner can read or write.
    #[error(
        "{} can be accessed by other users (mode {mode:03o}): check what they did, then run \
         chmod go= on it", path.display()
    )]
    Permissions {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Something that is not a file or a folder of its own, such as a symbolic link.
    #[error("{} is not an ordinary file or folder: move it away", path.display())]
    NotOrdinary {
        /// Where.
        path: PathBuf,
    },
    /// The file was written by a newer version of Fourfold.
    #[error("{} was written by a newer version of fourfold: use that one", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
    },
    /// The text cannot be the ID of a user, or is too long for the name of a file.
    #[error(
        "{user_id} cannot be the ID of a user, or is too long for the name of a file: write it \
         like @alice:example.org"
    )]
    UserId {
        /// The given text, escaped.
        user_id: String,
    },
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite could not do its work, for another reason than damage.
    #[error("{}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LocalStateError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, source }
    }

    pub(super) fn database(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::{Error as Sqlite, ErrorCode};
        let path = path.to_owned();
        match error {
            Sqlite::SqliteFailure(failure, _)
                if matches!(
                    failure.code,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
                ) =>
            {
                Self::Corrupt { path }
            }
            // A table or a value that is not what this program writes.
            Sqlite::QueryReturnedNoRows
            | Sqlite::InvalidColumnType(..)
            | Sqlite::FromSqlConversionFailure(..)
            | Sqlite::IntegralValueOutOfRange(..)
            | Sqlite::SqlInputError { .. }
            | Sqlite::Utf8Error(..) => Self::Corrupt { path },
            error => Self::Database {
                path,
                source: Box::new(error),
            },
        }
    }
}

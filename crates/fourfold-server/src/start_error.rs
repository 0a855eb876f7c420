//! Why a server did not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::store::StoreError;
use crate::store::sqlite::OpenError;

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server name is not one of Matrix.
    #[error("the server name is invalid")]
    ServerName,
    /// Argon2id does not allow the parameters.
    #[error("the cost of passwords is invalid")]
    PasswordCost,
    /// The data folder could not be made or locked.
    #[error("the data folder {} cannot be used", path.display())]
    DataFolder {
        /// The folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Another process uses the data folder.
    #[error("the data folder {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused something that it should not.
    #[error("a system resource is not available")]
    System(#[from] io::Error),
}

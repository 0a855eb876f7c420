//! Where the tables of a state are.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::LocalStateError;

/// The file of a state, or the memory of this process.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file, locked against other processes for as long as anybody in this one holds the lock.
    File { path: PathBuf, _lock: Arc<File> },
    /// Memory, under a name that no other state has. It is gone with the last connection.
    Memory { name: PathBuf },
}

impl Place {
    pub(super) fn file(path: PathBuf, lock: File) -> Self {
        let _lock = Arc::new(lock);
        Self::File { path, _lock }
    }

    pub(super) fn memory() -> Result<Self, LocalStateError> {
        let number = getrandom::u64().map_err(|error| {
            LocalStateError::io(Path::new("memory"), std::io::Error::other(error))
        })?;
        Ok(Self::Memory {
            name: format!("/fourfold-{number:016x}").into(),
        })
    }

    /// The file, or the name in memory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Memory { name } => name,
        }
    }
}

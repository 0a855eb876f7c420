//! Files, with errors that name them.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::failure::Failure;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Check(format!("reading {}: {error}", path.display())))
}

pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::Check(format!("reading {}: {error}", path.display())))
}

/// Writes a file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    fs::write(path, text)
        .map_err(|error| Failure::Check(format!("writing {}: {error}", path.display())))
}

pub(crate) fn create_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path)
        .map_err(|error| Failure::Check(format!("creating {}: {error}", path.display())))
}

pub(crate) fn remove_folder(path: &Path) -> Result<(), Failure> {
    fs::remove_dir_all(path)
        .map_err(|error| Failure::Check(format!("removing {}: {error}", path.display())))
}

/// Creates a folder that nobody else can enter.
pub(crate) fn create_private_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(|error| Failure::Check(format!("creating {}: {error}", path.display())))
}

/// Reads a JSON document.
pub(crate) fn json(path: &Path) -> Result<serde_json::Value, Failure> {
    serde_json::from_slice(&read(path)?)
        .map_err(|error| Failure::Check(format!("{}: {error}", path.display())))
}

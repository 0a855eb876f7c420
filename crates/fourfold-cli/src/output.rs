//! Data: everything on standard output, and files that hold secrets.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, IsTerminal as _, Write as _, stdout},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::Serialize;

use crate::error::{Error, Exit, Result};

/// Prints a line of data. A reader that went away ends the output without an error.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    print(format!("{text}\n").as_bytes()).map(drop)
}

/// As [`line()`], for what has no end: whether the reader is still there.
pub(crate) fn line_of_many(text: impl std::fmt::Display) -> Result<bool> {
    print(format!("{text}\n").as_bytes())
}

/// Prints a JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Error::usage)?;
    line(text)
}

/// Prints a secret: to a pipe exactly as it is, to a terminal only when the user asked for that.
pub(crate) fn secret(text: &str, show: bool) -> Result<()> {
    if !stdout().is_terminal() {
        return print(text.as_bytes()).map(drop);
    }
    if !show {
        return Err(not_shown());
    }
    line(text.strip_suffix('\n').unwrap_or(text))
}

/// Refuses before anything is asked or derived when a secret could not be handed over in the end.
pub(crate) fn check_secret(out: Option<&Path>, show: bool) -> Result<()> {
    match out {
        Some(path) => check_new_file(path),
        None if show || !stdout().is_terminal() => Ok(()),
        None => Err(not_shown()),
    }
}

/// Refuses a file that is there already, whatever it is.
pub(crate) fn check_new_file(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => Err(exists(path)),
        Err(_) => Ok(()),
    }
}

/// Writes a secret to a new file that only its owner can read. An existing file is never touched.
pub(crate) fn secret_file(path: &Path, text: &str) -> Result<()> {
    let refused = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Error::usage(format!("{}: {error}", path.display())),
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(refused)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a secret is of no use to anybody.
        let _ = std::fs::remove_file(path);
        refused(error)
    })
}

fn not_shown() -> Error {
    Error::new(Exit::Policy, "a secret is not shown on a terminal")
        .hint("use --show, --out FILE, or a pipe")
}

fn exists(path: &Path) -> Error {
    Error::refused(format!("{} exists already", path.display()))
        .hint("secrets are only written to new files")
}

/// Whether somebody reads it.
fn print(bytes: &[u8]) -> Result<bool> {
    let mut stdout = stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::usage(format!("standard output: {error}"))),
    }
}

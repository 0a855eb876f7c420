//! Data: everything on standard output, and files that hold secrets.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to standard output"
)]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, IsTerminal as _, Write as _, stdout};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Exit, Result};
use crate::terminal::shown::{Json, Line, wiped};

/// Prints one line of data. A reader that went away ends the output without an error.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<()> {
    line_of_many(text).map(drop)
}

/// As [`line()`], for what has no end: whether the reader is still there.
pub(crate) fn line_of_many(text: impl std::fmt::Display) -> Result<bool> {
    print_line(Line::of(text).as_str())
}

/// Prints a line of data in columns, with a tab between them.
pub(crate) fn columns(columns: &[&str]) -> Result<()> {
    let columns: Vec<_> = columns.iter().map(Line::of).collect();
    let columns: Vec<_> = columns.iter().map(Line::as_str).collect();
    print_line(&columns.join("\t")).map(drop)
}

/// Prints a text that is a part of this program.
pub(crate) fn program_text(text: &str) -> Result<()> {
    print_line(text.trim_end()).map(drop)
}

/// Prints a JSON document.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    print_line(Json::pretty(value)?.as_str()).map(drop)
}

/// Prints a JSON document in one line: whether the reader is still there.
pub(crate) fn json_line(value: &impl Serialize) -> Result<bool> {
    print_line(Json::compact(value)?.as_str())
}

/// Prints a secret: to a pipe exactly as it is, to a terminal only when the user asked for that, and
/// then as lines of visible characters.
pub(crate) fn secret(text: &str, show: bool) -> Result<()> {
    if !stdout().is_terminal() {
        return print(text.as_bytes()).map(drop);
    }
    if !show {
        return Err(not_shown());
    }
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.split('\n').try_for_each(line)
}

/// Prints a JSON document of a secret and the rest of the members, to a terminal only when the user
/// asked for that. The secret goes into the document from where it is: a value of JSON in between
/// would keep a copy.
pub(crate) fn secret_json(secret: &str, rest: &impl Serialize, show: bool) -> Result<()> {
    if !show && stdout().is_terminal() {
        return Err(not_shown());
    }
    json(&WithSecret { secret, rest })
}

#[derive(Serialize)]
struct WithSecret<'a, T> {
    secret: &'a str,
    #[serde(flatten)]
    rest: &'a T,
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
        _ => Error::file(path, error),
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

fn print_line(line: &str) -> Result<bool> {
    print(wiped(format_args!("{line}\n")).as_bytes())
}

/// Whether somebody reads it. Past the buffer of the standard library, which keeps what was in it.
fn print(bytes: &[u8]) -> Result<bool> {
    let stdout = stdout().lock();
    let written = stdout.as_fd().try_clone_to_owned();
    match written.and_then(|descriptor| File::from(descriptor).write_all(bytes)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::usage(format!("standard output: {error}"))),
    }
}

//! The files of local state: names, permissions and the lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::LocalStateError;
use crate::login::is_user_id;

/// Makes the folder if there is none, and checks that it is private.
pub(super) fn create(folder: &Path) -> Result<(), LocalStateError> {
    if exists(folder)? {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(folder)
        .map_err(|error| LocalStateError::io(folder, error))?;
    exists(folder)?;
    Ok(())
}

/// Whether the folder is there; if so, it is checked that it is private.
pub(super) fn exists(folder: &Path) -> Result<bool, LocalStateError> {
    // The folder itself may be a link that the user made; what it points to counts.
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => check(folder, &metadata).map(|()| true),
        Ok(_) => Err(LocalStateError::NotOrdinary {
            path: folder.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LocalStateError::io(folder, error)),
    }
}

/// Checks that a file is one, and that it is private.
pub(super) fn check_file(file: &Path) -> Result<(), LocalStateError> {
    let metadata = fs::symlink_metadata(file).map_err(|error| LocalStateError::io(file, error))?;
    if !metadata.is_file() {
        return Err(LocalStateError::NotOrdinary {
            path: file.to_owned(),
        });
    }
    check(file, &metadata)
}

/// The file of an account.
pub(super) fn state_file(folder: &Path, user_id: &str) -> Result<PathBuf, LocalStateError> {
    let name = encode(user_id);
    // With room for what SQLite and the lock append; file names have at most 255 bytes.
    if is_user_id(user_id) && name.len() <= 230 {
        Ok(folder.join(name + EXTENSION))
    } else {
        Err(LocalStateError::UserId {
            user_id: crate::escape_untrusted(user_id),
        })
    }
}

/// The users whose files are in a folder.
pub(super) fn accounts(folder: &Path) -> Result<Vec<String>, LocalStateError> {
    let io = |error| LocalStateError::io(folder, error);
    let mut accounts = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let user_id = name
            .to_str()
            .and_then(|name| name.strip_suffix(EXTENSION))
            .and_then(decode)
            .filter(|user_id| is_user_id(user_id));
        accounts.extend(user_id);
    }
    accounts.sort();
    Ok(accounts)
}

/// Takes the lock that goes with a file.
pub(super) fn lock(file: &Path) -> Result<File, LocalStateError> {
    let path = file.with_extension("lock");
    let lock = private()
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| LocalStateError::io(&path, error))?;
    check_file(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LocalStateError::Locked { path }),
        Err(TryLockError::Error(error)) => Err(LocalStateError::io(&path, error)),
    }
}

/// Makes an empty file that only its owner can read; there must be none.
pub(super) fn create_file(path: &Path) -> Result<(), LocalStateError> {
    private()
        .create_new(true)
        .open(path)
        .map_err(|error| LocalStateError::io(path, error))?;
    Ok(())
}

/// Makes the names of files in a folder survive a power failure.
pub(super) fn sync(folder: &Path) -> Result<(), LocalStateError> {
    #[cfg(unix)]
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| LocalStateError::io(folder, error))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

const EXTENSION: &str = ".sqlite";

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn check(path: &Path, metadata: &fs::Metadata) -> Result<(), LocalStateError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
    if mode & 0o077 == 0 {
        Ok(())
    } else {
        let path = path.to_owned();
        Err(LocalStateError::Permissions { path, mode })
    }
}

#[cfg(not(unix))]
fn check(_: &Path, _: &fs::Metadata) -> Result<(), LocalStateError> {
    Ok(())
}

/// Percent-encodes everything but `a–z`, `0–9`, `-`, `_` and inner dots: file systems may ignore
/// case, and user IDs of old do not.
fn encode(user_id: &str) -> String {
    let mut name = String::new();
    for byte in user_id.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// Undoes [`encode`]; `None` for a name that it would not give.
fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|user_id| encode(user_id) == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_name_of_the_file_is_the_user_id() {
        let file = state_file(Path::new("/f"), "@Alice/..:example.org:8448").unwrap();
        assert_eq!(
            file,
            Path::new("/f/%40%41lice%2F..%3Aexample.org%3A8448.sqlite")
        );
        for user_id in [
            "",
            "alice",
            "@alice",
            "@a\n:b",
            &format!("@{}:b", "A".repeat(100)),
        ] {
            assert!(matches!(
                state_file(Path::new("/f"), user_id),
                Err(LocalStateError::UserId { .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn names_round_trip_and_stay_apart(user_id in any::<String>()) {
            let name = encode(&user_id);
            prop_assert!(!name.contains('/'));
            prop_assert_eq!(decode(&name), Some(user_id));
        }
    }
}

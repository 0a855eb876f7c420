//! Secrets that come in: by standard input, file or descriptor; never by argument.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fourfold::recovery_key;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Where one secret comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Descriptor(u32),
    File(PathBuf),
    StandardInput,
}

impl Source {
    /// "-" is standard input, everything else a file.
    pub(crate) fn of(path: &Path) -> Self {
        if path.as_os_str() == "-" {
            Self::StandardInput
        } else {
            Self::File(path.to_owned())
        }
    }

    /// Of the two options that give one secret: a file, or an open file descriptor.
    pub(crate) fn given(file: Option<&Path>, descriptor: Option<u32>) -> Option<Self> {
        file.map(Self::of)
            .or_else(|| descriptor.map(Self::Descriptor))
    }

    /// One secret on one line: exactly one line ending is taken off, nothing else.
    pub(crate) fn line(&self) -> Result<Zeroizing<String>> {
        let mut text = self.text()?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }

    /// The text exactly as it is.
    pub(crate) fn text(&self) -> Result<Zeroizing<String>> {
        let name = self.name();
        let failed = |error: std::io::Error| match self {
            Self::File(path) if is_recovery_key(path) => {
                Error::usage("this is a recovery key, not the name of a file")
                    .hint("secrets are never arguments: leave the option out to be asked")
            }
            _ => Error::usage(format!("{name}: {error}")),
        };
        let bytes = match self {
            Self::StandardInput if std::io::stdin().is_terminal() => {
                return Err(Error::usage("standard input is a terminal")
                    .hint("leave the option out to be asked, or use a pipe"));
            }
            Self::StandardInput if STANDARD_INPUT_IS_READ.swap(true, Ordering::Relaxed) => {
                return Err(Error::usage("standard input can only be read once")
                    .hint("use a file or a descriptor for the other one"));
            }
            Self::StandardInput => read(std::io::stdin()).map_err(failed)?,
            Self::File(path) => File::open(path).and_then(read).map_err(failed)?,
            Self::Descriptor(fd) => File::open(format!("/dev/fd/{fd}"))
                .and_then(read)
                .map_err(failed)?,
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) if bytes.len() <= MAX_INPUT => Ok(Zeroizing::new(text.to_owned())),
            Ok(_) => Err(Error::usage(format!(
                "{name} is larger than {MAX_INPUT} bytes"
            ))),
            Err(_) => Err(Error::usage(format!("{name} is not UTF-8 text"))
                .hint("encode binary secrets as base64 first")),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Descriptor(fd) => format!("file descriptor {fd}"),
            Self::File(path) => path.display().to_string(),
            Self::StandardInput => "standard input".to_owned(),
        }
    }
}

/// It holds one secret: what came second would be empty.
static STANDARD_INPUT_IS_READ: AtomicBool = AtomicBool::new(false);

/// More than the largest secret, so that too much is an error and not cut off.
const MAX_INPUT: usize = 1024 * 1024;

/// Reads into one buffer that never grows, so that no copy is left behind.
fn read(source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_INPUT + 1));
    source.take(MAX_INPUT as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Then it must not be repeated in an error.
fn is_recovery_key(path: &Path) -> bool {
    path.to_str().is_some_and(recovery_key::is_probable)
}

//! What can go wrong with a client.

use fourfold::history::Change;
use fourfold::sharing::Outcome;
use fourfold::{SecretName, Snapshot};

use crate::{DeviceError, Error, LocalStateError, VerifySelfError};

/// Why a client did not do what it was asked to. The text says what to do; it never holds a key or a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The device cannot do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The local state cannot be read or written.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The homeserver did not do it.
    #[error(transparent)]
    Server(#[from] Error),
    /// The server shows an older or weaker state than this machine has seen, or different keys.
    #[error(
        "the homeserver shows an older or weaker state than this machine has seen, or different \
         keys: \
         {}; accept it if you made these changes yourself",
        first(changes)
    )]
    Suspicious {
        /// The changes, none that an honest server would show by itself.
        changes: Vec<Change>,
        /// The changes that the server shows.
        snapshot: Box<Snapshot>,
    },
    /// No secret came.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// This device could not be verified.
    #[error(transparent)]
    VerifySelf(#[from] VerifySelfError),
}

/// A request for a secret that ended without one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no device answered the request for {name}: open a verified one and try again")]
#[non_exhaustive]
pub struct Unanswered {
    /// The secret that was asked for.
    pub name: SecretName,
    /// The outcome of the request.
    pub outcome: Outcome,
}

fn first(changes: &[Change]) -> String {
    let mut words: Vec<_> = changes
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    if changes.len() > SHOWN {
        words.push("and more".to_owned());
    }
    words.join("; ")
}

/// The maximum number of changes that an error names.
const SHOWN: usize = 3;

//! What can go wrong with a client.

use fourfold::SecretName;
use fourfold::judged::Refused;
use fourfold::plan::BootstrapError;
use fourfold::sharing::Outcome;
use fourfold::signed_json::SignatureError;

use crate::{ApplyError, DeviceError, Error, LocalStateError, VerifySelfError};

/// Why a client did not do what it was asked to. The text says what to do; it never holds a key or a
/// secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A plan was not carried out, or not to its end.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The account cannot be set up as it is.
    #[error(transparent)]
    Bootstrap(#[from] Box<BootstrapError>),
    /// The device cannot do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The local state cannot be read or written.
    #[error(transparent)]
    LocalState(#[from] LocalStateError),
    /// The homeserver did not do it.
    #[error(transparent)]
    Server(#[from] Error),
    /// Something has no form that can be signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The server shows an older or weaker state than this machine has seen, or different keys. It
    /// holds the account as the server shows it, to be [accepted](crate::Client::accept).
    #[error("{0}; accept it if you made these changes yourself")]
    Suspicious(#[from] Box<Refused>),
    /// No secret came.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// This device could not be verified.
    #[error(transparent)]
    VerifySelf(#[from] VerifySelfError),
}

impl From<BootstrapError> for ClientError {
    fn from(error: BootstrapError) -> Self {
        Self::Bootstrap(Box::new(error))
    }
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

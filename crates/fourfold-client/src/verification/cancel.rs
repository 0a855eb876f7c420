//! Why a verification ended without success.

use std::fmt;

/// The codes of `m.key.verification.cancel`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelCode {
    /// Another device of the user took the request: `m.accepted`.
    Accepted,
    /// A message that is not what it should be: `m.invalid_message`.
    InvalidMessage,
    /// A key is another one than was expected: `m.key_mismatch`.
    KeyMismatch,
    /// The other side used another key than it had committed itself to:
    /// `m.mismatched_commitment`. Somebody may be in between.
    MismatchedCommitment,
    /// The short authentication strings are not the same: `m.mismatched_sas`. Somebody may be in
    /// between.
    MismatchedSas,
    /// A message at the wrong moment: `m.unexpected_message`.
    UnexpectedMessage,
    /// No way of verifying that both sides know: `m.unknown_method`.
    UnknownMethod,
    /// It took too long: `m.timeout`.
    Timeout,
    /// The user gave it up: `m.user`.
    User,
    /// Anything else that the other side said, at most 64 characters of it.
    Other(String),
}

impl CancelCode {
    pub(super) fn read(code: &str) -> Self {
        let known = [
            Self::Accepted,
            Self::InvalidMessage,
            Self::KeyMismatch,
            Self::MismatchedCommitment,
            Self::MismatchedSas,
            Self::UnexpectedMessage,
            Self::UnknownMethod,
            Self::Timeout,
            Self::User,
        ];
        known
            .into_iter()
            .find(|known| known.code() == code)
            .unwrap_or_else(|| Self::Other(code.chars().take(64).collect()))
    }

    /// The code as it stands in the event.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Accepted => "m.accepted",
            Self::InvalidMessage => "m.invalid_message",
            Self::KeyMismatch => "m.key_mismatch",
            Self::MismatchedCommitment => "m.mismatched_commitment",
            Self::MismatchedSas => "m.mismatched_sas",
            Self::UnexpectedMessage => "m.unexpected_message",
            Self::UnknownMethod => "m.unknown_method",
            Self::Timeout => "m.timeout",
            Self::User => "m.user",
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for CancelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "another device accepted the request",
            Self::InvalidMessage => "a message was malformed",
            Self::KeyMismatch => "a key does not match",
            Self::MismatchedCommitment => {
                "the other device changed its key: somebody may be intercepting the verification"
            }
            Self::MismatchedSas => {
                "the emoji do not match: somebody may be intercepting the \
                 verification"
            }
            Self::UnexpectedMessage => "a message was unexpected",
            Self::UnknownMethod => "the devices have no method of verification in common",
            Self::Timeout => "the verification timed out",
            Self::User => "the user cancelled it",
            Self::Other(code) => return f.write_str(&crate::escape_untrusted(code)),
        })
    }
}

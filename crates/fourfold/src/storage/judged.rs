//! A secret that was opened and compared with what is published.

use std::collections::BTreeSet;

use super::view::{OpenError, OpenedSecret};
use crate::history::{Origin, Suspicious, Vouched};
use crate::{Authenticity, KeyId, Quirk, Secret, SecretValueError, Verdict};

/// A secret that was opened and judged: it is what its name says, and does not contradict what is
/// published.
#[derive(Debug)]
#[non_exhaustive]
pub struct JudgedSecret {
    /// The secret.
    pub secret: Secret,
    /// The key that opened it.
    pub key_id: KeyId,
    /// The evidence of who wrote it.
    pub authenticity: Authenticity,
    /// The outcome of the comparison with what is published.
    pub verdict: Verdict,
    /// The deviations from the specification, of the entry and of a value of a known kind.
    pub quirks: BTreeSet<Quirk>,
    /// The strongest known evidence for the value. A [`Snapshot`](crate::Snapshot) has
    /// no memory: [`known_before`](Self::known_before) adds what this machine remembers.
    pub vouched_by: Vouched,
}

impl JudgedSecret {
    pub(crate) fn new(opened: OpenedSecret, key_id: KeyId, verdict: Verdict) -> Self {
        Self {
            secret: opened.secret,
            key_id,
            authenticity: opened.authenticity,
            vouched_by: Vouched::of(opened.authenticity, &verdict, None),
            verdict,
            quirks: opened.quirks,
        }
    }

    /// The same, for a machine that came to know the entry like this before it opened it now
    /// ([`History::origin_of`](crate::history::History::origin_of)).
    #[must_use]
    pub fn known_before(self, known: Option<Origin>) -> Self {
        Self {
            vouched_by: Vouched::of(self.authenticity, &self.verdict, known),
            ..self
        }
    }

    /// Returns `true` if it belongs to the published public key.
    #[must_use]
    pub fn matches_published_key(&self) -> bool {
        matches!(self.verdict, Verdict::Matches { .. })
    }

    /// The public key of the current version of the key backup, when it is the private key of another
    /// one.
    #[must_use]
    pub fn published_instead(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::OtherVersion { published, .. } => Some(published),
            _ => None,
        }
    }

    /// Whether anybody who knows the public key of secret storage may have written it: nothing but
    /// that key was needed to encrypt it, and it belongs to no published key.
    #[must_use]
    pub fn may_be_anybodys(&self) -> bool {
        self.authenticity != Authenticity::Authenticated && !self.matches_published_key()
    }

    /// The public key that belongs to it, as unpadded base64, when it is the private half of one.
    #[must_use]
    pub fn public_key(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Matches { public_key } => Some(public_key),
            Verdict::NothingToCompare { derived } | Verdict::OtherVersion { derived, .. } => {
                Some(derived)
            }
            Verdict::Untyped => None,
        }
    }
}

/// Why a secret is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A change since this machine last read the account forbids it.
    #[error(transparent)]
    Suspicious(#[from] Suspicious),
    /// It opens, and is not what its name says, or belongs to another public key than the published
    /// one.
    #[error("it opens, but {0}")]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    ReadError:
    Self::Value { .. } => "read_value",
    ;
    Self::Open(error) => error,
    Self::Suspicious(error) => error,
}

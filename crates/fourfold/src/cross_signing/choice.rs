//! What the user says of the identity of an account, and what becomes of it.

use super::{CrossSigningKeys, KnownKeys, ReplacedIdentity};
use crate::identity::{CrossSigningKeyError, IdentityAlarm};
use crate::signed_json::{PublicKey, SigningKey};

/// What the user says of the identity of an account.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever asks must know of each of them"
)]
pub enum IdentityWish {
    /// What is published and known stays.
    #[default]
    Keep,
    /// The identity that secret storage holds takes the place of the published one.
    Restore,
    /// A new one takes the place of whatever is published.
    Replace,
}

/// The decision about the identity of an account.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller must handle each of them"
)]
pub enum IdentityChoice {
    /// It has none, and never had one as far as this machine and secret storage tell: make it.
    Create,
    /// It is published: it stays.
    Keep,
    /// It is known here, and the server does not publish it: publish it, once more or at last.
    Publish(CrossSigningKeys),
    /// Its master key is known here, and others are missing: make those, and publish all three.
    Renew(KnownKeys),
}

/// Why nothing is done about the identity of an account before the user says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityAtRisk {
    /// An alarm was raised, and not settled.
    #[error("{0}")]
    Alarm(IdentityAlarm),
    /// Another identity is published than this machine knows.
    #[error(
        "the server shows a different identity than this machine knows: the master key {published} \
         instead of {pinned}"
    )]
    Changed {
        /// The master key that is pinned.
        pinned: PublicKey,
        /// The one that is published.
        published: PublicKey,
    },
    /// The identity that this machine knows is not published, and its private keys are not known.
    #[error(
        "the server does not show the identity that this machine knows, with the master key \
         {pinned}, and its private keys cannot be opened"
    )]
    Hidden {
        /// The master key that is pinned.
        pinned: PublicKey,
    },
    /// Secret storage does not hold the identity that is to be published again.
    #[error("secret storage holds no master key of another identity than the published one")]
    NothingToRestore,
    /// Another identity is published than secret storage holds.
    #[error("{0}")]
    Replaced(ReplacedIdentity),
    /// No identity is published, and secret storage holds private keys of one.
    #[error(
        "the server shows no identity, and secret storage holds private keys of one that cannot be \
         opened or do not belong together"
    )]
    Stored,
}

crate::error_code::error_codes! {
    IdentityAtRisk:
    Self::Alarm { .. } => "identity_at_risk_alarm",
    Self::Changed { .. } => "identity_at_risk_changed",
    Self::Hidden { .. } => "identity_at_risk_hidden",
    Self::NothingToRestore { .. } => "identity_at_risk_nothing_to_restore",
    Self::Replaced { .. } => "identity_at_risk_replaced",
    Self::Stored { .. } => "identity_at_risk_stored",
}

/// What becomes of a key that the master key signs.
pub(super) enum SigningKeyChoice {
    /// It is published. `None` when its private half is not at hand.
    Keep(Option<SigningKey>),
    /// It is published anew; `None` when it is made.
    Publish(Option<SigningKey>),
}

impl SigningKeyChoice {
    /// `made` was made here, to be published under this master key.
    pub(super) fn of(
        published: Result<PublicKey, CrossSigningKeyError>,
        made: Option<SigningKey>,
        stored: Option<SigningKey>,
        makes: bool,
    ) -> Self {
        let Ok(published) = published else {
            // Nobody can rely on it: nothing is lost.
            return Self::Publish(made.or(stored));
        };
        let is_published = |key: &SigningKey| key.public_key() == published;
        if made.as_ref().is_some_and(is_published) {
            Self::Keep(made)
        } else if stored.as_ref().is_some_and(is_published) {
            Self::Keep(stored)
        } else if makes {
            Self::Publish(made)
        } else {
            Self::Keep(None)
        }
    }
}

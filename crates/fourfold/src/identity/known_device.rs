//! What is remembered of a device, and how far it is trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::{Curve25519PublicKey, DeviceKeys, LogIn, LoggedInDevices, UserKeys};
use crate::signed_json::PublicKey;
use crate::{Content, Timestamp};

/// A device of the user that the server listed when it was asked last.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct KnownDevice {
    /// The device ID, at most 255 bytes.
    pub device_id: String,
    /// Its fingerprint.
    pub ed25519: PublicKey,
    /// The Curve25519 key that Olm sessions with it are bound to.
    pub curve25519: Curve25519PublicKey,
    /// Its display name from the server: untrusted text of at most 128 characters.
    pub display_name: Option<String>,
    /// Whether nobody is behind it (MSC3814).
    pub dehydrated: bool,
    /// When this machine saw it first, with these keys.
    pub first_seen: Timestamp,
    /// When the user verified it on this machine, if that happened.
    pub confirmed: Option<Timestamp>,
    /// The published self-signing key that signed it, whoever that belongs to.
    pub signed_by: Option<PublicKey>,
    /// Whether any self-signing key ever signed it, as far as this machine saw.
    pub was_signed: bool,
    /// Whether it is logged in, as far as the server says.
    #[serde(default)]
    pub log_in: LogIn,
    /// Its keys as they were served, for signing.
    pub content: Content,
}

impl KnownDevice {
    pub(super) fn new(
        keys: &DeviceKeys,
        signed_by: Option<PublicKey>,
        first_seen: Timestamp,
    ) -> Self {
        Self {
            device_id: keys.device_id().to_owned(),
            ed25519: keys.ed25519(),
            curve25519: keys.curve25519(),
            display_name: keys.display_name().map(str::to_owned),
            dehydrated: keys.is_dehydrated(),
            first_seen,
            confirmed: None,
            signed_by,
            was_signed: signed_by.is_some(),
            log_in: LogIn::Unknown,
            content: keys.content().clone(),
        }
    }

    pub(crate) fn has_keys_of(&self, keys: &DeviceKeys) -> bool {
        self.ed25519 == keys.ed25519() && self.curve25519 == keys.curve25519()
    }
}

/// The trust in a device. Only [`Verified`](Self::Verified) ever receives a secret, and
/// only from such a device is one taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum DeviceTrust {
    /// The self-signing key that chains to the pinned master key signed it, and nothing speaks
    /// against it.
    Verified,
    /// Its ID is a cross-signing key of the user: an attempt to have the wrong key verified.
    CollidingId,
    /// Nobody sits at it.
    Dehydrated,
    /// The user's published identity is not the pinned one.
    IdentityChanged,
    /// The server does not publish, at the moment, an identity that the pinned master key vouches
    /// for.
    IdentityUnusable,
    /// The server did not say yet whether it is logged in.
    LogInUnknown,
    /// The server shows its keys and does not list it among the devices that are logged in.
    NotLoggedIn,
    /// No master key is pinned on this machine: the user has to verify it first.
    NotPinned,
    /// The pinned identity did not sign it.
    NotSigned,
    /// It is this device itself.
    ThisDevice,
    /// It was there before, and went or changed.
    Tombstoned(TombstoneReason),
    /// This machine remembers so many devices that are gone that it could not tell whether this one
    /// is among them: the user has to verify it here.
    TooManyTombstones,
    /// The server does not list it, or its keys are malformed.
    Unknown,
}

impl DeviceTrust {
    /// The judgement of a machine that knows nothing and trusts nobody yet.
    #[must_use]
    pub fn at_first_sight(
        device_id: &str,
        keys: &UserKeys,
        logged_in: Option<&LoggedInDevices>,
    ) -> Self {
        match keys.device(device_id) {
            Some(Ok(_)) if logged_in.is_some_and(|list| !list.contains(device_id)) => {
                Self::NotLoggedIn
            }
            Some(Ok(_)) => Self::NotPinned,
            Some(Err(_)) | None => Self::Unknown,
        }
    }

    /// Returns `true` if it is [`Verified`](Self::Verified).
    #[must_use]
    pub fn is_verified(self) -> bool {
        self == Self::Verified
    }

    /// Returns `true` if it makes sense that the user verifies the device: the device is one that
    /// somebody can sit at, and what speaks against it, if anything, is what a verification
    /// settles.
    #[must_use]
    pub const fn may_be_verified(self) -> bool {
        match self {
            Self::Verified
            | Self::IdentityChanged
            | Self::IdentityUnusable
            | Self::LogInUnknown
            | Self::NotPinned
            | Self::NotSigned
            | Self::Tombstoned(_)
            | Self::TooManyTombstones => true,
            Self::CollidingId
            | Self::Dehydrated
            | Self::NotLoggedIn
            | Self::ThisDevice
            | Self::Unknown => false,
        }
    }

    /// Returns `true` if the device is one that went: what it asks for or sends, somebody sends in
    /// its name.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::NotLoggedIn | Self::Tombstoned(_))
    }
}

impl fmt::Display for DeviceTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verified => "verified",
            Self::CollidingId => "its ID is a cross-signing key",
            Self::Dehydrated => "a dehydrated device",
            Self::IdentityChanged => "the identity of the user has changed",
            Self::IdentityUnusable => "the published identity of the user is not as expected",
            Self::LogInUnknown => "the server does not say whether it is logged in",
            Self::NotLoggedIn => "it is not logged in",
            Self::NotPinned => "the identity of the user is not verified on this machine",
            Self::NotSigned => "not signed by the user's identity",
            Self::ThisDevice => "this device",
            Self::Tombstoned(reason) => return write!(f, "it was known before and {reason}"),
            Self::TooManyTombstones => {
                "too many devices were removed to tell whether it was one \
                 of them"
            }
            Self::Unknown => "it has no usable keys",
        })
    }
}

/// The record of a device that is gone or has changed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tombstone {
    /// What happened to it.
    pub reason: TombstoneReason,
    /// When this machine noticed.
    pub since: Timestamp,
    /// Whether it was ever signed by the user's identity: only then could it have been trusted.
    pub was_signed: bool,
}

/// The reason why a device is not trusted again without the user.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[non_exhaustive]
pub enum TombstoneReason {
    /// The user blocked it.
    Blocked,
    /// The server stopped listing it.
    Disappeared,
    /// Its keys changed, which the keys of a device never do.
    KeysChanged,
    /// The user logged it out.
    LoggedOut,
    /// The server showed its keys and did not list it among the devices that are logged in.
    NotLoggedIn,
}

impl fmt::Display for TombstoneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked => "was blocked",
            Self::Disappeared => "disappeared",
            Self::KeysChanged => "changed its keys",
            Self::LoggedOut => "was logged out",
            Self::NotLoggedIn => "was not logged in, though its keys were shown",
        })
    }
}

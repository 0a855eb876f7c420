//! The values that name a user, a device, a time, a session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A full user ID, `@localpart:server`. Cheap to clone, because every request carries one.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Takes text that is known to be a user ID.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The user ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A device ID, opaque.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceId(Arc<str>);

impl DeviceId {
    /// Takes text that is known to be a device ID.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The device ID as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::borrow::Borrow<str> for DeviceId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time `duration` later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(milliseconds))
    }

    /// The time from `earlier` to here, zero when it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A place in the stream of one user's changes. Zero is before the first.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

/// SHA-256 of a token: all that the store ever learns of it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// The hashes of an access token and of the refresh token that came with it, if one did.
#[derive(Clone, Copy, Debug)]
pub struct TokenPair {
    /// Hash of the access token.
    pub access: TokenHash,
    /// Hash of the refresh token.
    pub refresh: Option<TokenHash>,
    /// When the access token ends; `None` is never.
    pub expires_at: Option<Timestamp>,
}

/// An account to be made.
#[derive(Clone)]
pub struct NewAccount {
    /// Argon2id hash of the password as a PHC string.
    pub password_hash: String,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The first session; `None` when the caller wants no login.
    pub session: Option<NewSession>,
}

impl fmt::Debug for NewAccount {
    /// Without the password hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("NewAccount");
        debug
            .field("created_at", &self.created_at)
            .field("session", &self.session);
        debug.finish_non_exhaustive()
    }
}

/// A session to be opened.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The device, new or known.
    pub device: DeviceId,
    /// Display name for a new device.
    pub display_name: Option<String>,
    /// The tokens.
    pub tokens: TokenPair,
    /// The time of the login.
    pub opened_at: Timestamp,
    /// The address of the login.
    pub address: Option<String>,
}

/// An open session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Whose it is.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Hash of its access token.
    pub access: TokenHash,
    /// When the access token ends; `None` is never.
    pub expires_at: Option<Timestamp>,
    /// Whether an earlier pair waits for this one to be used, see
    /// [`Store::confirm_session`](super::Store::confirm_session).
    pub unconfirmed: bool,
    /// When the device was last noted as seen.
    pub last_seen_at: Timestamp,
}

/// A device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Its ID.
    pub id: DeviceId,
    /// Its display name.
    pub display_name: Option<String>,
    /// When it was last noted as seen.
    pub last_seen_at: Timestamp,
    /// From where.
    pub last_seen_address: Option<String>,
}

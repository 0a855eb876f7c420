//! The values that go into a store and come out of it.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::store::type_filter::TypeFilter;

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

/// Where account data belongs.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The account itself.
    #[must_use]
    pub fn global() -> Self {
        Self::default()
    }

    /// One room. The ID must not be empty.
    pub fn room(room_id: impl Into<Arc<str>>) -> Self {
        Self(room_id.into())
    }

    /// Whether this is the account itself.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.0.is_empty()
    }

    /// The room ID; empty for the account itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What must be there for account data to be replaced. How two writers notice each other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every condition that HTTP can express"
)]
pub enum Condition {
    /// Anything or nothing.
    #[default]
    Always,
    /// Nothing was ever stored.
    Absent,
    /// Something is stored, whatever it is.
    Present,
    /// What the change with this number stored.
    Unchanged(Position),
}

impl Condition {
    /// Whether it holds for the position of what is stored.
    #[must_use]
    pub fn holds(self, stored: Option<Position>) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => stored.is_none(),
            Self::Present => stored.is_some(),
            Self::Unchanged(position) => stored == Some(position),
        }
    }
}

/// A content and the number of the change that stored it.
#[derive(Clone, Eq, PartialEq)]
pub struct Stored {
    /// The number of the change: what [`Condition::Unchanged`] names.
    pub position: Position,
    /// The content, exactly as it was stored.
    pub content: Bytes,
}

impl fmt::Debug for Stored {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Stored");
        debug
            .field("position", &self.position)
            .field("length", &self.content.len());
        debug.finish_non_exhaustive()
    }
}

/// One type of account data and its content.
#[derive(Clone, Eq, PartialEq)]
pub struct AccountDataEvent {
    /// The event type.
    pub event_type: Arc<str>,
    /// The content, exactly as it was stored.
    pub content: Bytes,
}

impl fmt::Debug for AccountDataEvent {
    /// The length of the content, never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("AccountDataEvent");
        debug
            .field("event_type", &self.event_type)
            .field("length", &self.content.len());
        debug.finish_non_exhaustive()
    }
}

/// A filter as it was stored. What is made of its definition stays with it: a filter is read in every
/// sync and never changes.
pub struct Filter {
    definition: Bytes,
    types: OnceLock<Result<TypeFilter, &'static str>>,
}

impl Filter {
    /// Takes the definition, JSON text exactly as it came.
    #[must_use]
    pub fn new(definition: Bytes) -> Arc<Self> {
        Arc::new(Self {
            definition,
            types: OnceLock::new(),
        })
    }

    /// The definition, exactly as it was stored.
    #[must_use]
    pub fn definition(&self) -> &Bytes {
        &self.definition
    }

    /// The types that it shows, or why it cannot be used.
    pub(crate) fn types(&self) -> Result<TypeFilter, &'static str> {
        let prepared = self
            .types
            .get_or_init(|| TypeFilter::prepare(&self.definition));
        prepared.clone()
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.definition, f)
    }
}

/// What a sync must show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Where the user's stream stands in this snapshot.
    pub position: Position,
    /// Global account data, in the order of the last change.
    pub account_data: Vec<AccountDataEvent>,
    /// Whether the user's own devices changed. Never set without a `since`.
    pub device_list: bool,
}

/// How much one user may store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Quotas {
    /// Types of account data, over all rooms and the account.
    pub account_data_types: u64,
    /// Bytes of account data: contents, types and room IDs.
    pub account_data_bytes: u64,
    /// Devices.
    pub devices: u64,
    /// Filters.
    pub filters: u64,
    /// Versions of the key backup that are not deleted.
    pub backups: u64,
    /// Room keys, over all versions of the key backup.
    pub backup_keys: u64,
    /// Bytes of key backups: keys with their IDs, over all versions, and what describes a version.
    pub backup_bytes: u64,
    /// One-time keys of one device.
    pub one_time_keys: u64,
    /// Signatures on the keys of other users.
    pub user_signatures: u64,
    /// Messages that wait for one device.
    pub inbox_messages: u64,
    /// Bytes of the messages that wait for one device.
    pub inbox_bytes: u64,
    /// Of these messages, those that other users sent: the rest is kept for the user's own devices.
    pub inbox_messages_of_others: u64,
    /// Bytes of the messages of other users.
    pub inbox_bytes_of_others: u64,
    /// Messages of one other user that wait for one device.
    pub inbox_messages_of_sender: u64,
    /// Bytes of the messages of one other user.
    pub inbox_bytes_of_sender: u64,
}

impl Default for Quotas {
    /// 2,000 types, 32 MiB, 500 devices, 500 filters; 500 one-time keys; 10,000 signatures; inboxes
    /// of 5,000 messages and 16 MiB, of them 4,000 and 12 MiB for other users together and 500 and
    /// 2 MiB for one of them; 100 key backups with 100,000 keys and 128 MiB together.
    fn default() -> Self {
        Self {
            account_data_types: 2_000,
            account_data_bytes: 32 * 1024 * 1024,
            devices: 500,
            filters: 500,
            backups: 100,
            backup_keys: 100_000,
            backup_bytes: 128 * 1024 * 1024,
            one_time_keys: 500,
            user_signatures: 10_000,
            inbox_messages: 5_000,
            inbox_bytes: 16 * 1024 * 1024,
            inbox_messages_of_others: 4_000,
            inbox_bytes_of_others: 12 * 1024 * 1024,
            inbox_messages_of_sender: 500,
            inbox_bytes_of_sender: 2 * 1024 * 1024,
        }
    }
}

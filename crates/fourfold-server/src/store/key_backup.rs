//! Key backups: versions of them, and the room keys in each.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use super::{StoreError, UserId};

/// The rows of `/room_keys/*`.
///
/// Versions of one user count from one and are never given out again. The highest that is not
/// deleted is the current one.
#[async_trait]
pub trait KeyBackupStore {
    /// Makes a new version, which is the current one from then on, and returns its number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`] when the user has no room for one more version.
    async fn create_backup(
        &self,
        user: &UserId,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<u64, StoreError>;

    /// One version, or the current one.
    async fn backup(
        &self,
        user: &UserId,
        version: Option<u64>,
    ) -> Result<Option<KeyBackup>, StoreError>;

    /// Replaces the `auth_data` of a version. The room keys, and so the etag, stay.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBackup`]; [`StoreError::Changed`] when the version has another algorithm;
    /// [`StoreError::Quota`] when there is no room for the bytes.
    async fn replace_backup_auth_data(
        &self,
        user: &UserId,
        version: u64,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<(), StoreError>;

    /// Deletes a version with its room keys. One that was deleted before is passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBackup`] when there never was such a version.
    async fn delete_backup(&self, user: &UserId, version: u64) -> Result<(), StoreError>;

    /// Puts room keys into the current version. A key that is there is replaced by a better one alone,
    /// see [`KeyRank::is_better_than`]. Many keys may be written in several changes: all are there when
    /// this returns, some when it is interrupted, and none when they are refused.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBackup`]; [`StoreError::NotCurrentBackup`] when there is a newer version;
    /// [`StoreError::Quota`] when there is no room for the keys.
    async fn put_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        keys: Vec<BackedUpKey>,
    ) -> Result<KeyBackupState, StoreError>;

    /// The next room keys of a version `after` a room and session, in the order of these, and whether
    /// there are more; `None` when there is no such version.
    ///
    /// They are as many as fit into about `most` bytes, and one at least when there is one.
    async fn backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
        after: Option<(String, String)>,
        most: usize,
    ) -> Result<Option<(Vec<BackedUpKey>, bool)>, StoreError>;

    /// Deletes room keys of any version.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchBackup`].
    async fn delete_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
    ) -> Result<KeyBackupState, StoreError>;
}

/// One version of a backup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyBackup {
    /// Its number.
    pub version: u64,
    /// The algorithm that its keys are encrypted with.
    pub algorithm: String,
    /// The data of the algorithm, as JSON text, exactly as it was stored.
    pub auth_data: Bytes,
    /// Its state.
    pub state: KeyBackupState,
}

/// The state of a version.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeyBackupState {
    /// The number of room keys.
    pub count: u64,
    /// Another number after each change of a room key, and after nothing else.
    pub etag: u64,
}

/// A room key in a backup.
#[derive(Clone, Eq, PartialEq)]
pub struct BackedUpKey {
    /// The room.
    pub room_id: String,
    /// The session in the room.
    pub session_id: String,
    /// The first message that the key opens.
    pub first_message_index: u64,
    /// The number of times that the key was forwarded.
    pub forwarded_count: u64,
    /// Whether the device that backed it up had verified where it came from.
    pub is_verified: bool,
    /// The encrypted key: JSON text of any kind, exactly as it was stored.
    pub session_data: Bytes,
}

impl BackedUpKey {
    /// The rank of this key.
    #[must_use]
    pub fn rank(&self) -> KeyRank {
        KeyRank {
            is_verified: self.is_verified,
            first_message_index: self.first_message_index,
            forwarded_count: self.forwarded_count,
        }
    }
}

/// The rank of a room key among those of its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyRank {
    /// Whether the device that backed it up had verified where it came from.
    pub is_verified: bool,
    /// The first message that the key opens.
    pub first_message_index: u64,
    /// The number of times that the key was forwarded.
    pub forwarded_count: u64,
}

impl KeyRank {
    /// Returns `true` if a key of this rank replaces one of `other`: a verified key
    /// before one that is not; then the one that opens more messages; then the one that was
    /// forwarded less.
    #[must_use]
    pub fn is_better_than(self, other: Self) -> bool {
        // True is greater than false; of the numbers the smaller is better.
        let mine = (
            self.is_verified,
            other.first_message_index,
            other.forwarded_count,
        );
        let theirs = (
            other.is_verified,
            self.first_message_index,
            self.forwarded_count,
        );
        mine > theirs
    }
}

impl fmt::Debug for BackedUpKey {
    /// The length of the data, never the data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("BackedUpKey");
        debug
            .field("room_id", &self.room_id)
            .field("session_id", &self.session_id)
            .field("first_message_index", &self.first_message_index)
            .field("forwarded_count", &self.forwarded_count)
            .field("is_verified", &self.is_verified)
            .field("length", &self.session_data.len());
        debug.finish_non_exhaustive()
    }
}

/// Which room keys of a version.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the three that paths can name")]
pub enum KeySelection {
    /// All.
    All,
    /// Those of a room.
    Room(String),
    /// The one of a session.
    Session(String, String),
}

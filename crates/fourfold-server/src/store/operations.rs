//! The trait itself: accounts, sessions, devices, account data, filters, and who is woken.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::account_data::{Changes, Condition, Filter, Scope, Stored};
use super::error::StoreError;
use super::history::{HistoryStore, Origin};
use super::inbox::InboxStore;
use super::key_backup::KeyBackupStore;
use super::keys::KeyStore;
use super::model::{
    Device, DeviceId, NewAccount, NewSession, Position, Session, Timestamp, TokenHash, TokenPair,
    UserId,
};
use super::wakeup::Watch;

/// The rows of every user, behind the operations that the endpoints need.
///
/// See the [module documentation](super) for the rules that every implementation keeps.
#[async_trait]
pub trait Store:
    KeyStore + InboxStore + KeyBackupStore + HistoryStore + Send + Sync + std::fmt::Debug + 'static
{
    /// Makes an account and, when asked, its first session, in one change.
    ///
    /// # Errors
    ///
    /// [`StoreError::UserInUse`] when the user exists.
    async fn create_account(&self, user: &UserId, account: NewAccount) -> Result<(), StoreError>;

    /// The password hash (a PHC string) of an account; `None` when there is no such account.
    ///
    /// Takes the same work for every user, known or not, in use or not: strangers ask it.
    async fn password_hash(&self, user: &UserId) -> Result<Option<String>, StoreError>;

    /// Opens a session on a device.
    ///
    /// A new device takes the display name of the session. A known device keeps its own name, and
    /// its earlier sessions end before this returns. Moves the device list.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`] when the user has no room for one more device,
    /// [`StoreError::DeviceIdTaken`] when the ID is a public cross-signing key of the user.
    async fn open_session(&self, user: &UserId, session: NewSession) -> Result<(), StoreError>;

    /// The session of an access token, expired or not; `None` when the token opens nothing.
    async fn session(
        &self,
        user: &UserId,
        access: &TokenHash,
    ) -> Result<Option<Session>, StoreError>;

    /// Trades a refresh token for a new pair on the same device; `None` when the token is unknown.
    ///
    /// The pair that the refresh token belongs to stays valid, so that an answer lost on its way
    /// costs nothing, until the new pair is used (see [`Store::confirm_session`]). Refreshing again
    /// with the same token ends the pair made before, as it was never used.
    async fn refresh_session(
        &self,
        user: &UserId,
        refresh: &TokenHash,
        tokens: TokenPair,
        now: Timestamp,
    ) -> Result<Option<DeviceId>, StoreError>;

    /// Notes that a refreshed session is in use: the pair that it replaces ends before this returns.
    async fn confirm_session(&self, user: &UserId, access: &TokenHash) -> Result<(), StoreError>;

    /// Records when, and from which address, a device was last seen. Wakes nobody.
    async fn touch_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        now: Timestamp,
        address: Option<String>,
    ) -> Result<(), StoreError>;

    /// The devices of a user in the order of their IDs.
    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError>;

    /// One device.
    async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Device>, StoreError>;

    /// Gives a device another display name, or none; `false` when there is no such device. Moves the
    /// device list.
    async fn rename_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        display_name: Option<String>,
    ) -> Result<bool, StoreError>;

    /// Deletes devices with all that belongs to them; their sessions end before this returns.
    /// Unknown devices are passed over. Moves the device list when one was there.
    async fn delete_devices(&self, user: &UserId, devices: &[DeviceId]) -> Result<(), StoreError>;

    /// Deletes every device of the user, as [`Store::delete_devices`] would.
    async fn delete_all_devices(&self, user: &UserId) -> Result<(), StoreError>;

    /// Replaces the content of one type of account data, if the condition holds when it is written.
    ///
    /// `content` is stored and returned byte for byte. Storing what is stored already is a change
    /// like any other: it takes a position and wakes the watchers, because clients wait for the
    /// echo of their write. The content that it replaces enters the history, unless it is the same or
    /// belongs to a room; see [`HistoryStore`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] when the condition does not hold, [`StoreError::Quota`] when the user
    /// has no room for the type or the bytes.
    async fn put_account_data(
        &self,
        user: &UserId,
        scope: Scope,
        event_type: &str,
        content: Bytes,
        condition: Condition,
        origin: Origin,
    ) -> Result<Position, StoreError>;

    /// The content of one type of account data.
    async fn account_data(
        &self,
        user: &UserId,
        scope: &Scope,
        event_type: &str,
    ) -> Result<Option<Stored>, StoreError>;

    /// The changes after `since`, or everything if there is no `since`, as one snapshot.
    ///
    /// Each type of global account data appears once, with its latest content, in the order of the
    /// last change; contents of a large account may be left out, to be read one by one. A `since`
    /// ahead of the user's position (the store was restored from a backup) is answered like no
    /// `since` at all.
    async fn changes(&self, user: &UserId, since: Option<Position>) -> Result<Changes, StoreError>;

    /// Keeps a filter and returns its number. The same definition gets the same number.
    ///
    /// # Errors
    ///
    /// [`StoreError::Quota`] when the user has no room for one more filter.
    async fn put_filter(&self, user: &UserId, definition: Bytes) -> Result<u64, StoreError>;

    /// A filter. It is the same value as long as it is in memory, so that it is prepared once.
    async fn filter(&self, user: &UserId, filter: u64) -> Result<Option<Arc<Filter>>, StoreError>;

    /// Watches for changes of a user, sessions included. Subscribe before reading: a change after
    /// the subscription wakes the watch even when the read has seen it already.
    ///
    /// The [`Wakeups::watch`](super::Wakeups::watch) of the store.
    fn watch(&self, user: &UserId) -> Watch;

    /// The key that binds sync tokens to their user: made with the store, the same on every server.
    async fn batch_key(&self) -> Result<[u8; 32], StoreError>;

    /// Finishes every accepted write and releases what the store holds. Later calls that write are
    /// [`StoreError::Closed`].
    async fn close(&self);
}

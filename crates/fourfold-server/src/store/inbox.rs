//! Messages between devices, and the inbox where they wait.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{DeviceId, Position, StoreError, Timestamp, UserId};

/// The inboxes of devices.
///
/// # Requests for secrets that nobody needs any more
///
/// A message waits until its device acknowledges it, with one exception, after the idea of MSC3944:
///
/// 1. A cancellation takes the request away that waits for the same device. When the device cannot
///    have seen that request, because no [`InboxStore::inbox_messages`] had the chance to show it,
///    the cancellation itself is not delivered either. In doubt, after a restart too, it is.
/// 2. When a device is deleted, the requests that it made of the user's other devices leave their
///    inboxes.
/// 3. In a full inbox, requests older than [`SECRET_REQUEST_LIFETIME`] make room. Only when that is
///    not enough is the newest message refused.
///
/// A request is named by its sender, the requesting device and the request ID together; a client that
/// sends it again does so with the same transaction ID.
#[async_trait]
pub trait InboxStore {
    /// Puts messages into inboxes, all of them in one change, unless the transaction was done before:
    /// then nothing happens. Each message takes the next position of its receiver and wakes them.
    ///
    /// This alone reaches the rows of other users. A store whose users lie on several machines needs
    /// a distributed transaction here, and nowhere else.
    ///
    /// Unknown receivers are passed over. A copy for which an inbox has no room, as
    /// [`admission`](super::rules::admission) decides, is refused and counted; the others are delivered, for
    /// a device that nobody uses must not keep messages from the others. The same transaction again
    /// then delivers the copies that were refused and no other.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSuchDevice`] when the sending device is gone; [`StoreError::Quota`] when the
    /// copies for all devices together are too many or too large.
    async fn send(
        &self,
        sender: &UserId,
        transaction: Transaction,
        messages: Vec<Outgoing>,
    ) -> Result<Sent, StoreError>;

    /// The messages that wait for a device.
    async fn inbox(&self, user: &UserId, device: &DeviceId) -> Result<Inbox, StoreError>;

    /// The oldest messages after a position, at most `most`, in the order of arrival. What waits now
    /// may have been seen by the device from here on.
    async fn inbox_messages(
        &self,
        user: &UserId,
        device: &DeviceId,
        after: Position,
        most: usize,
    ) -> Result<Vec<InboxMessage>, StoreError>;

    /// Deletes the messages up to a position: the device has them. May return before it is done.
    async fn acknowledge(
        &self,
        user: &UserId,
        device: &DeviceId,
        up_to: Position,
    ) -> Result<(), StoreError>;
}

/// The identity of a request, which is done once: its device, its route and the ID it chose.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// The sending device.
    pub device: DeviceId,
    /// SHA-256 of the route and the transaction ID.
    pub hash: [u8; 32],
    /// Now. Transactions are remembered for a day at least, unless a device has very many of them.
    pub at: Timestamp,
}

/// The outcome of the messages of a request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Sent {
    /// The number of copies, one for each device: the cost of the request.
    pub copies: usize,
    /// Those of other users' devices that were refused, because too much of the sender or of others
    /// waits there.
    pub refused: usize,
    /// Those of the sender's own devices that were refused, because their inboxes are full.
    pub refused_own: usize,
}

/// A message on its way.
#[derive(Clone)]
pub struct Outgoing {
    /// To whom.
    pub user: UserId,
    /// To which device.
    pub recipient: Recipient,
    /// The event as the receiver gets it: JSON text of an object with type, sender and content.
    pub event: Bytes,
    /// The data that decides how long it waits, if it is an `m.secret.request`.
    pub secret_request: Option<SecretRequest>,
}

impl fmt::Debug for Outgoing {
    /// The length of the event, never the event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Outgoing");
        debug
            .field("user", &self.user)
            .field("recipient", &self.recipient)
            .field("length", &self.event.len());
        debug.finish_non_exhaustive()
    }
}

/// An `m.secret.request`, as far as it decides how long it waits. It is never encrypted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretRequest {
    /// Whether it takes back what was asked.
    pub cancels: bool,
    /// Which request of the device.
    pub request_id: String,
    /// The device of the sender that asks.
    pub requesting_device: DeviceId,
}

/// The lifetime of a request for a secret; devices stop asking after the same time.
pub const SECRET_REQUEST_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Which devices of a user get a message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "one or all, there is no third")]
pub enum Recipient {
    /// One device.
    Device(DeviceId),
    /// Every device that the user has at this moment.
    Every,
}

/// The messages that wait for a device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Inbox {
    /// The number of messages.
    pub messages: u64,
    /// The position of the last message that ever came.
    pub newest: Position,
    /// Up to where the device has acknowledged.
    pub acknowledged: Position,
}

/// A message in an inbox.
#[derive(Clone, Eq, PartialEq)]
pub struct InboxMessage {
    /// Its place in the stream of the receiver.
    pub position: Position,
    /// The event, exactly as it was sent.
    pub event: Bytes,
}

impl fmt::Debug for InboxMessage {
    /// The length of the event, never the event.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("InboxMessage");
        debug
            .field("position", &self.position)
            .field("length", &self.event.len());
        debug.finish_non_exhaustive()
    }
}

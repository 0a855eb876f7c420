//! Requests for secrets: which of them leave an inbox before they are acknowledged.
//!
//! See [`InboxStore`](crate::store::InboxStore) for what leaves and why.

use sha2::{Digest, Sha256};

use crate::store::{
    DeviceId, Outgoing, Position, SECRET_REQUEST_LIFETIME, SecretRequest, Timestamp, UserId,
};

/// The data that a store keeps with a message that requests a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marks<'a> {
    /// The request: see [`name`].
    pub request: [u8; 32],
    /// The device that asks, when it is one of the user to whom the inbox belongs: with it, its
    /// requests leave.
    pub requesting_device: Option<&'a DeviceId>,
    /// When it came: what is older than [`expired_at`] makes room.
    pub arrived_at: Timestamp,
}

impl<'a> Marks<'a> {
    /// Those of a message, if it asks for a secret.
    #[must_use]
    pub fn of(sender: &UserId, message: &'a Outgoing, now: Timestamp) -> Option<Self> {
        let request = message.secret_request.as_ref().filter(|it| !it.cancels)?;
        let own = *sender == message.user;
        Some(Self {
            request: name(sender, request),
            requesting_device: own.then_some(&request.requesting_device),
            arrived_at: now,
        })
    }
}

/// The name of the request that a message takes back, if it does.
#[must_use]
pub fn cancelled(sender: &UserId, message: &Outgoing) -> Option<[u8; 32]> {
    let request = message.secret_request.as_ref().filter(|it| it.cancels)?;
    Some(name(sender, request))
}

/// Returns `true` if a cancellation goes together with the requests that it took away from these
/// positions: only when the device can have seen none of them.
pub fn goes_unseen(
    cancelled: impl IntoIterator<Item = Position>,
    mut is_unseen: impl FnMut(Position) -> bool,
) -> bool {
    let mut some = false;
    let all = cancelled.into_iter().all(|position| {
        some = true;
        is_unseen(position)
    });
    some && all
}

/// The time of arrival up to which requests have expired.
#[must_use]
pub fn expired_at(now: Timestamp) -> Timestamp {
    let lifetime = u64::try_from(SECRET_REQUEST_LIFETIME.as_millis()).unwrap_or(u64::MAX);
    Timestamp(now.0.saturating_sub(lifetime))
}

/// SHA-256 of sender, requesting device and request ID: they name a request together.
#[must_use]
pub fn name(sender: &UserId, request: &SecretRequest) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (device, id) = (request.requesting_device.as_str(), &request.request_id);
    for part in [sender.as_str(), device, id] {
        // Each with its length, so that no two lists of parts look alike.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Recipient;

    fn message(user: &str, cancels: bool) -> Outgoing {
        Outgoing {
            user: UserId::new(user),
            recipient: Recipient::Every,
            event: "{}".into(),
            secret_request: Some(SecretRequest {
                cancels,
                request_id: "1".to_owned(),
                requesting_device: DeviceId::new("D"),
            }),
        }
    }

    #[test]
    fn a_cancellation_names_what_it_takes_back() {
        let alice = UserId::new("@alice:a");
        let (asks, cancels) = (message("@alice:a", false), message("@alice:a", true));
        let marks = Marks::of(&alice, &asks, Timestamp(5)).unwrap();
        assert_eq!(cancelled(&alice, &cancels), Some(marks.request));
        assert_eq!(marks.requesting_device, Some(&DeviceId::new("D")));
        assert_eq!(marks.arrived_at, Timestamp(5));
        assert_eq!(cancelled(&alice, &asks), None);
        assert_eq!(Marks::of(&alice, &cancels, Timestamp(5)), None);
        // Nobody cancels the request of another.
        assert_ne!(
            cancelled(&UserId::new("@bob:a"), &cancels),
            Some(marks.request)
        );
    }

    #[test]
    fn the_device_of_another_user_is_not_noted() {
        let bob = UserId::new("@bob:a");
        let asks = message("@alice:a", false);
        let marks = Marks::of(&bob, &asks, Timestamp(5)).unwrap();
        assert_eq!(marks.requesting_device, None);
    }

    #[test]
    fn a_cancellation_goes_only_with_what_nobody_saw() {
        let unseen = |position: Position| position > Position(3);
        assert!(goes_unseen([Position(4), Position(5)], unseen));
        assert!(!goes_unseen([Position(3), Position(5)], unseen));
        assert!(!goes_unseen([], unseen));
    }

    #[test]
    fn a_request_expires_after_its_lifetime() {
        let lifetime = u64::try_from(SECRET_REQUEST_LIFETIME.as_millis()).unwrap();
        assert_eq!(expired_at(Timestamp(lifetime + 7)), Timestamp(7));
        assert_eq!(expired_at(Timestamp(7)), Timestamp(0));
    }
}

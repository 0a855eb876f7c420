//! Whether an inbox takes one more message: one rule for every store.
//!
//! Anybody may send to any device. So that strangers cannot keep a user's own devices from reaching
//! each other, nor one stranger the others, an inbox has room in three steps: for one sender, for all
//! other users together, and the rest for the devices of its own user.

use crate::store::{Amount, InboxQuota, UserId};

/// The usage of an inbox.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "stores make them")]
pub struct Waiting {
    /// From whomever.
    pub all: Amount,
    /// The messages of other users.
    pub of_others: Amount,
}

impl Waiting {
    /// With one more message.
    pub fn add(&mut self, sender: Sender, length: u64) {
        self.all.add(length);
        if sender == Sender::Other {
            self.of_others.add(length);
        }
    }
}

/// Whose device sends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Sender {
    /// The user to whom the inbox belongs.
    Own,
    /// Somebody else.
    Other,
}

impl Sender {
    /// Whose message of `sender` is in an inbox of `user`.
    #[must_use]
    pub fn of(sender: &UserId, user: &UserId) -> Self {
        if sender == user {
            Self::Own
        } else {
            Self::Other
        }
    }
}

/// Returns `true` if there is room for a message of `length` bytes. `of_sender` is what waits of
/// this very sender; it counts only where [`depends_on_sender`] says so.
#[must_use]
pub fn admits(
    quota: &InboxQuota,
    waiting: &Waiting,
    sender: Sender,
    of_sender: Amount,
    length: u64,
) -> bool {
    fits(waiting.all, quota.all, length)
        && (sender == Sender::Own
            || fits(waiting.of_others, quota.of_others, length)
                && fits(of_sender, quota.of_sender, length))
}

/// Returns `true` if the answer of [`admits`] depends on how much of this sender waits. While all
/// other users together are within what one may send, it does not, so that no store has to count.
#[must_use]
pub fn depends_on_sender(
    quota: &InboxQuota,
    waiting: &Waiting,
    sender: Sender,
    length: u64,
) -> bool {
    sender == Sender::Other && !fits(waiting.of_others, quota.of_sender, length)
}

fn fits(waiting: Amount, most: Amount, length: u64) -> bool {
    waiting.messages < most.messages && waiting.bytes.saturating_add(length) <= most.bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Quotas;

    const NONE: Amount = Amount {
        messages: 0,
        bytes: 0,
    };

    fn amount(messages: u64, bytes: u64) -> Amount {
        Amount { messages, bytes }
    }

    // shows: SRV-11
    #[test]
    fn the_defaults_leave_room_for_the_own_devices_and_for_other_senders() {
        let quota = Quotas::default().inbox;
        // One sender, as long as there is room for it.
        let mut waiting = Waiting::default();
        let mut of_sender = NONE;
        while admits(&quota, &waiting, Sender::Other, of_sender, 100) {
            waiting.add(Sender::Other, 100);
            of_sender.add(100);
        }
        assert_eq!(of_sender, amount(500, 50_000));
        // The others still reach the inbox, until all of them have filled their part.
        while admits(&quota, &waiting, Sender::Other, NONE, 100) {
            waiting.add(Sender::Other, 100);
        }
        assert_eq!(waiting.of_others, amount(4_000, 400_000));
        let before = waiting.all;
        while admits(&quota, &waiting, Sender::Own, NONE, 100) {
            waiting.add(Sender::Own, 100);
        }
        assert_eq!(waiting.all, amount(5_000, 500_000));
        assert_eq!(before, waiting.of_others);
        // An inbox that is full of the user's own messages accepts none from anybody.
        assert!(!admits(&quota, &waiting, Sender::Other, NONE, 100));
    }

    #[test]
    fn bytes_are_limited_as_messages_are() {
        let quota = Quotas::default().inbox;
        let mebibyte = 1024 * 1024;
        let waiting = |all: u64, of_others: u64| Waiting {
            all: amount(10, all * mebibyte),
            of_others: amount(10, of_others * mebibyte),
        };
        let admits = |waiting, sender, of_sender: u64| {
            let of_sender = amount(10, of_sender * mebibyte);
            admits(&quota, &waiting, sender, of_sender, mebibyte)
        };
        assert!(admits(waiting(1, 1), Sender::Other, 1));
        assert!(!admits(waiting(2, 2), Sender::Other, 2));
        assert!(admits(waiting(11, 11), Sender::Other, 0));
        assert!(!admits(waiting(12, 12), Sender::Other, 0));
        assert!(admits(waiting(15, 12), Sender::Own, 15));
        assert!(!admits(waiting(16, 12), Sender::Own, 0));
    }

    #[test]
    fn the_sender_counts_only_where_it_can_matter() {
        let quota = Quotas::default().inbox;
        for messages in [0, 499, 500, 3_999, 4_000] {
            for own in [0, 1_000] {
                let waiting = Waiting {
                    all: amount(messages + own, 0),
                    of_others: amount(messages, 0),
                };
                let all_of_them = admits(&quota, &waiting, Sender::Other, waiting.of_others, 1);
                let none_of_them = admits(&quota, &waiting, Sender::Other, NONE, 1);
                let depends = depends_on_sender(&quota, &waiting, Sender::Other, 1);
                assert!(depends || all_of_them == none_of_them, "{messages}");
                assert!(!depends_on_sender(&quota, &waiting, Sender::Own, 1));
            }
        }
    }
}

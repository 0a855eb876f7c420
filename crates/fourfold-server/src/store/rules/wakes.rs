//! Which writes wake the watchers of a user.
//!
//! Waking too often costs a read. Waking too seldom leaves a sync waiting that has something to show,
//! or one whose session has ended.

use crate::store::Scope;

/// The parts of a user's data that a write changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "stores name what they change")]
pub enum Change<'a> {
    /// The account was made.
    Made,
    /// Account data, whatever is stored now. That of rooms is in no sync, because there are no rooms.
    AccountData(&'a Scope),
    /// The devices of the user, their names, their sessions, or their key objects: what moves the
    /// device list.
    DeviceList,
    /// A session was used for the first time and ends the one that it replaces.
    SessionConfirmed,
    /// A session was refreshed: the one before stays until the new one is used.
    SessionRefreshed,
    /// When a device was last seen.
    DeviceSeen,
    /// One-time or fallback keys. A sync tells how many there are, but does not wait for it.
    OneTimeKeys,
    /// A filter.
    Filter,
    /// A message came into an inbox.
    MessageArrived,
    /// Messages left an inbox.
    MessagesLeft,
}

impl Change<'_> {
    /// Returns `true` if the watchers of the user are woken after the commit.
    #[must_use]
    pub fn wakes(self) -> bool {
        match self {
            Self::AccountData(scope) => scope.is_global(),
            Self::DeviceList | Self::SessionConfirmed | Self::MessageArrived => true,
            Self::Made
            | Self::SessionRefreshed
            | Self::DeviceSeen
            | Self::OneTimeKeys
            | Self::Filter
            | Self::MessagesLeft => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sync_waits_for_wakes_it_and_nothing_else_does() {
        let room = Scope::room("!a:a");
        for (change, wakes) in [
            (Change::Made, false),
            (Change::AccountData(&Scope::global()), true),
            (Change::AccountData(&room), false),
            (Change::DeviceList, true),
            (Change::SessionConfirmed, true),
            (Change::SessionRefreshed, false),
            (Change::DeviceSeen, false),
            (Change::OneTimeKeys, false),
            (Change::Filter, false),
            (Change::MessageArrived, true),
            (Change::MessagesLeft, false),
        ] {
            assert_eq!(change.wakes(), wakes, "{change:?}");
        }
    }
}

//! Where the parts of the machine write to.

use super::announce::Announcements;
use super::outbox::Outbox;

/// The queues that the parts of the machine write to.
pub(super) struct Effects<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) announcements: &'a mut Announcements,
}

//! The context of a decision of the machine.

use crate::identity::Trust;
use crate::{PublishedKeys, Timestamp};

/// The context of a decision of the machine.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by the driver of the machine"
)]
pub struct Context<'a> {
    /// Which devices there are and whom this machine trusts.
    pub trust: &'a Trust,
    /// The published keys that received values are compared with. The backup version must be the
    /// current one when a backup key may arrive: without it, a backup key is refused.
    pub published_keys: &'a PublishedKeys,
    /// Now. A moment before one that was seen counts as the latter.
    pub now: Timestamp,
}

//! Secret storage: which keys and secrets there are, the key that a text is, and secrets that are
//! opened and judged.
//!
//! [`SecretStorage`] is the view of account data that everything begins with. A [`Snapshot`] holds
//! an account with all that secrets are compared with, and has the short way: [`Snapshot::unlock`],
//! [`Snapshot::open`] and [`Snapshot::store`].
//!
//! [`Snapshot`]: crate::Snapshot
//! [`Snapshot::unlock`]: crate::Snapshot::unlock
//! [`Snapshot::open`]: crate::Snapshot::open
//! [`Snapshot::store`]: crate::Snapshot::store

mod judged;
mod undescribed;
mod unlock;
mod view;

pub use self::judged::{JudgedSecret, ReadError};
pub use self::unlock::{FoundKey, KeyText, NoWritingKey, UnlockError};
pub use self::view::{NotProven, NotProvenReason, OpenError, OpenedSecret, SecretStorage};

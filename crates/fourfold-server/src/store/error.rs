//! Why a store did not do what it was asked.

use std::sync::Arc;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The account exists already.
    #[error("the user ID is taken")]
    UserInUse,
    /// There is no such account.
    #[error("there is no such user")]
    NoSuchUser,
    /// The condition of a write does not hold: somebody else wrote first.
    #[error("the stored content has changed")]
    Changed,
    /// One of the [`Quotas`](super::Quotas) of the user is used up.
    #[error("the user has too many {0}")]
    Quota(&'static str),
    /// There is no such version of the key backup.
    #[error("there is no such version of the key backup")]
    NoSuchBackup,
    /// Keys go into the current version of the key backup alone, and that is this one.
    #[error("the current version of the key backup is {0}")]
    NotCurrentBackup(u64),
    /// The device ID is a public cross-signing key of the user: in signatures it could not be told
    /// from one.
    #[error("the device ID is a cross-signing key")]
    DeviceIdTaken,
    /// There is no such device (any more).
    #[error("there is no such device")]
    NoSuchDevice,
    /// A one-time key with this ID is published and has other content.
    #[error("a different one-time key with this ID exists")]
    KeyInUse,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
    /// There is no room left where the database lies; nothing was changed.
    #[error("there is no room left on the disk")]
    Full,
    /// The database refused or broke. Nothing of a write is visible; one whose sync broke may be found
    /// whole after a crash.
    #[error("the database is unavailable")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

//! Storage: the trait [`Store`], its values and its one implementation.
//!
//! # The user is the shard
//!
//! Every method but [`Store::batch_key`] and [`Store::close`] takes the user first and touches that
//! user's rows alone; the one that reaches others is [`InboxStore::send`]. Every primary key begins
//! with the user ID. An implementation on PostgreSQL can therefore distribute its tables by that
//! column, unchanged, over as many machines as it likes.
//!
//! # Defining a new store
//!
//! A store holds rows and no rules: whatever every store must decide the same way is a function in
//! [`rules`].
//!
//! 1. Make the tables of the schema in [`sqlite`], each primary key beginning with the user ID.
//! 2. In the transaction of a write, read the rows that its rule asks for, let the rule decide, and
//!    write what it returns. `sqlite/rows/` shows for each write which rows and which rule.
//! 3. Keep one stream position a user, in the row of the user. Each change that a sync must show
//!    takes the next number *inside its transaction*, so that the row's lock orders the writers of
//!    one user and a reader that sees position `n` sees every change up to `n`.
//! 4. Keep one [`Wakeups`] in each process. [`Store::watch`] is [`Wakeups::watch`]. After the commit
//!    of a write whose [`Change`](rules::wakes::Change) wakes, call [`Wakeups::wake`] on every server
//!    of the cluster: the others hear of it through the database (`NOTIFY`).
//! 5. Run the conformance suite in `tests/store/` over it. It is the meaning of this trait.
//!
//! # Four things to note
//!
//! 1. A write that returned `Ok` is durable (it survives the loss of power) and visible to every
//!    later read, on every server.
//! 2. A lookup returns `Ok(None)` for what is not there. An error means that the store could not
//!    tell. Serialization failures are retried inside and are never an error of the caller.
//! 3. The time is an argument, and so is everything random: tokens and IDs are made by the caller.
//!    The one exception is the key of sync tokens, made when the store is made.
//! 4. A write that is refused ([`StoreError::Quota`], [`StoreError::Changed`],
//!    [`StoreError::UserInUse`]) changed nothing.

mod account_data;
mod error;
mod history;
mod inbox;
mod key_backup;
mod keys;
mod model;
mod operations;
mod quotas;
pub mod rules;
pub mod sqlite;
mod type_filter;
mod wakeup;

pub use self::account_data::{AccountDataEvent, Changes, Condition, Filter, Scope, Stored};
pub use self::error::StoreError;
pub use self::history::{HistoryEntry, HistoryPage, HistoryStore, Origin};
pub use self::inbox::{
    Inbox, InboxMessage, InboxStore, Outgoing, Recipient, SECRET_REQUEST_LIFETIME, SecretRequest,
    Sent, Transaction,
};
pub use self::key_backup::{
    BackedUpKey, KeyBackup, KeyBackupState, KeyBackupStore, KeyRank, KeySelection,
};
pub use self::keys::{
    ClaimedKey, CrossSigningKey, CrossSigningKeys, KeyChange, KeyCounts, KeyObjects, KeyStore,
    OneTimeKey, OneTimeUpload, PublishedDevice, PublishedKeys, UserSignature, WantedKey,
};
pub use self::model::{
    Device, DeviceId, NewAccount, NewSession, Position, Session, Timestamp, TokenHash, TokenPair,
    UserId,
};
pub use self::operations::Store;
pub use self::quotas::{AccountDataQuota, Amount, BackupQuota, HistoryQuota, InboxQuota, Quotas};
pub(crate) use self::type_filter::TypeFilter;
pub use self::wakeup::{Wakeups, Watch};

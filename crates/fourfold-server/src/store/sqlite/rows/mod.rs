//! The SQL: one module for each kind of rows, on the connection of a transaction.

pub(super) mod account_data;
pub(super) mod accounts;
pub(super) mod devices;
pub(super) mod inbox;
mod key_backup;
pub(super) mod keys;
mod secret_requests;
pub(super) mod sessions;
mod transactions;

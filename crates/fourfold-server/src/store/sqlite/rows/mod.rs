//! The SQL: one module for each kind of rows, on the connection of a transaction.
//!
//! They read what the [`rules`](crate::store::rules) ask for and write what those decide.

pub(super) mod account_data;
pub(super) mod accounts;
pub(super) mod backed_up_keys;
mod backup_selection;
pub(super) mod backups;
pub(super) mod delivery;
pub(super) mod devices;
pub(super) mod filters;
pub(super) mod history;
pub(super) mod inbox;
pub(super) mod keys;
pub(super) mod one_time_keys;
pub(super) mod removal;
mod secret_requests;
pub(super) mod sessions;
mod transactions;

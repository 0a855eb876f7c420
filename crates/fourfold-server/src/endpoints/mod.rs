//! The endpoints, one module for each group of them.
//!
//! A handler gets a [`Call`](crate::call::Call) whose access and body were checked as
//! [`routes`](crate::routes) demands, and returns an answer or an error. Handlers decide nothing that
//! a store or another endpoint must decide the same way.

pub(crate) mod account_data;
pub(crate) mod account_data_history;
pub(crate) mod devices;
pub(crate) mod discovery;
pub(crate) mod filter;
pub(crate) mod idle;
pub(crate) mod key_backup;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod push_rules;
pub(crate) mod registration;
pub(crate) mod session;
pub(crate) mod sync;
pub(crate) mod to_device;

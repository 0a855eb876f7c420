//! The endpoints from outside: status, `errcode`, headers and bodies, byte for byte.
//!
//! Most tests call the router directly, without a socket; those about connections, processes and
//! the loss of both use loopback.

#![expect(clippy::unwrap_used, reason = "test helpers")]
#![expect(clippy::panic, reason = "test helpers")]
#![expect(clippy::indexing_slicing, reason = "test helpers index into JSON")]

mod account_data;
mod account_data_history;
mod authorisation;
mod concurrency;
mod connections;
mod cross_signing;
mod data_folder;
mod devices;
mod discovery;
mod disk_faults;
mod durability;
mod full_inboxes;
mod hostile_connections;
mod key_backup;
mod keys;
mod limits;
mod login;
#[cfg(target_os = "linux")]
mod memory;
mod rates;
mod registration;
mod round_trip;
mod secret_requests;
mod signing;
mod sync;
mod to_device;
mod under_test;
mod victim;

//! The health of an account: each condition is found, and nothing else; each repair mends it.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod account;
mod backup;
mod documents;
mod identity;
mod keys;
mod memory;
mod pairs;
mod repairs;
mod report;
mod schema;
mod secrets;
mod server;
mod totality;

//! The agent: keeps a key for a while, answers the user's own devices, and hands secrets, never the
//! key, to the commands.
//!
//! One process for each account. It holds the local state, and lends it to commands that need it
//! themselves. Commands find it at a socket that only the user can reach.

mod address;
mod audit;
mod client;
mod frame;
mod lifetime;
mod listener;
mod memory;
mod policy;
pub(crate) mod protocol;
mod run;
mod service;
mod session;
mod vault;

pub(crate) use address::Address;
pub(crate) use audit::{AuditLog, Record};
pub(crate) use client::{Agent, Loan};
pub(crate) use frame::Payload;
pub(crate) use memory::redact_panics;
pub(crate) use run::{Running, run};

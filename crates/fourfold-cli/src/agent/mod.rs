//! The agent: keeps a key for a while, answers the user's own devices, and hands secrets, never the
//! key, to the commands.
//!
//! One process for each account. It holds the local state, and lends it to commands that need it
//! themselves. Commands find it at a socket that only the user can reach.

mod address;
mod asker;
mod audit;
mod client;
mod exchange;
mod frame;
mod lifetime;
mod listener;
mod opening;
mod policy;
pub(crate) mod protocol;
mod questions;
mod report;
mod requests;
mod run;
mod secrets;
mod service;
mod session;
mod sieve;
mod vault;

pub(crate) use address::Address;
pub(crate) use asker::{Asker, Terminal, describe};
pub(crate) use audit::{AuditLog, Following, Record};
pub(crate) use client::{Agent, Loan};
pub(crate) use exchange::{Context, Exchange};
pub(crate) use policy::load as load_policy;
pub(crate) use requests::{Delivery, Requests};
pub(crate) use run::{Running, run};
pub(crate) use service::unanswered;
pub(crate) use session::no_device;

//! The rules of the command line, proven on the real binary.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test helpers"
)]

mod account_data;
mod agent;
mod agent_memory;
mod agent_sharing;
mod agents;
mod answers;
mod canary;
mod changes;
mod devices;
mod embedded;
mod fixtures;
mod help;
mod homeserver;
mod hostile;
mod identity;
mod invocation;
mod key_endpoints;
mod keys;
mod kit;
mod logins;
mod outcomes;
mod prompts;
mod proxy;
mod sealing;
mod secrets;
mod terminal;

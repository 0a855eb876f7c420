//! The rules of the command line, proven on the real binary.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test helpers"
)]

mod account_data;
mod agent;
mod agent_clock;
mod agent_disk;
mod agent_faults;
mod agent_log;
mod agent_memory;
mod agent_sharing;
mod agents;
mod answers;
mod backups;
mod canary;
mod changes;
mod devices;
mod doctor;
mod embedded;
mod environment;
mod exports;
mod fixtures;
mod help;
mod homeserver;
mod hostile;
mod hostile_answers;
mod hostile_backup;
mod hostile_bounds;
mod hostile_devices;
mod hostile_history;
mod hostile_ivs;
mod hostile_log_ins;
mod hostile_logins;
mod hostile_one_time_keys;
mod hostile_requests;
mod hostile_text;
mod identity;
mod identity_continuity;
mod invocation;
mod key_endpoints;
mod keyring;
mod keys;
mod keys_elsewhere;
mod keys_lost;
mod keys_replaced;
mod keys_undescribed;
mod killed;
mod kit;
mod liar;
mod logins;
mod outcomes;
mod peer;
mod prompts;
mod proxy;
mod quirks;
mod resumed;
mod sealing;
mod secrets;
mod silence;
mod terminal;
mod ways_out;
mod ways_out_devices;

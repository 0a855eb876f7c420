//! Sharing secrets: each rule by itself, and then all of them in a simulation of several devices on a
//! hostile server.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "tests may fail loudly, also outside of test functions"
)]

mod answering;
mod asking;
mod claims;
mod limits;
mod log_ins;
#[path = "../own_devices/mod.rs"]
mod own_devices;
mod receiving;
mod room;
mod simulation;
mod story;
mod trust;
mod waiting;

//! Plans: what each function promises, and what holds after every step of a plan.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers"
)]

mod account;
mod backups;
mod dice;
mod keys;
mod profile_2019;
mod secrets;
mod simulation;
mod standard;
mod steps;
mod transfers;

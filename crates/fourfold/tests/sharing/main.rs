//! Sharing secrets: each rule by itself, and then all of them in a simulation of several devices on a
//! hostile server.

mod answering;
mod asking;
#[path = "../own_devices/mod.rs"]
mod own_devices;
mod receiving;
mod simulation;
mod story;
mod trust;

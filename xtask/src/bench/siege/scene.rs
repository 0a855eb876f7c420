//! What an attack and its victim share.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use crate::command;
use crate::failure::Failure;

/// The pause between two checks of whether it is over.
const PAUSE: Duration = Duration::from_millis(20);

/// One attack while it lasts.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) to: SocketAddrV4,
    /// The number of the attack: its parties have names and addresses of their own.
    number: u8,
    is_over: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Scene {
    pub(super) fn new(to: SocketAddrV4, number: u8) -> Self {
        Self {
            to,
            number,
            is_over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// An address of one of the parties.
    pub(super) fn address(&self, party: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 1, self.number, party)
    }

    /// A user name of one of the parties.
    pub(super) fn name(&self, party: u8) -> String {
        format!("siege{}-{party}", self.number)
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// Holds on to what is open until it is over.
    pub(super) fn hold<T>(&self, held: T) {
        while !self.is_over() {
            thread::sleep(PAUSE);
        }
        drop(held);
    }

    /// Counts an answer, or that there was none.
    pub(super) fn count(&self, status: Option<u16>) {
        let counter = if status.is_some_and(|status| status < 400) {
            &self.answered
        } else {
            &self.refused
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    /// How many requests of the attack were answered, and how many refused.
    pub(super) fn counts(&self) -> [u64; 2] {
        [&self.answered, &self.refused].map(|count| count.load(Ordering::SeqCst))
    }
}

/// Leaves the processor to whoever else wants it: the attackers have machines of their own, and only
/// here share one with what they attack.
pub(super) fn yield_the_processor() -> Result<(), Failure> {
    let thread = fs::read_link("/proc/thread-self");
    let thread = thread.map_err(|error| Failure::Check(format!("/proc/thread-self: {error}")))?;
    let thread = thread.file_name().unwrap_or_default().to_owned();
    // Lower than the lowest priority: a hundred of those together are as much as one other thread.
    command::output(
        Command::new("chrt")
            .args(["--idle", "--pid", "0"])
            .arg(thread),
    )
    .map(drop)
}

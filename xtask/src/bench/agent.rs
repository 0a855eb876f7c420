//! What an agent takes that has nothing to do.

use std::thread;
use std::time::Duration;

use super::household::Household;
use crate::failure::Failure;
use crate::http::Client;
use crate::workspace::Workspace;
use crate::{live, report};

/// After the start, until everything is in place.
const SETTLED: Duration = Duration::from_secs(5);

/// How long it is watched: two long polls.
const WATCHED: Duration = Duration::from_secs(60);

/// Watches an unlocked agent for a minute.
pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let server = live::start_fourfold(workspace)?;
    let base = server.base();
    let alice = Client::new(base).register("alice")?;
    let household = Household::new(workspace, &alice.user_id, base, base)?;
    thread::sleep(SETTLED);
    let before = household.sleeps()?;
    thread::sleep(WATCHED);
    report::line(format_args!(
        "idle agent: {} KiB resident, {} wake-ups of its threads in {} s",
        household.resident()?,
        household.sleeps()?.saturating_sub(before),
        WATCHED.as_secs(),
    ));
    server.finish()
}

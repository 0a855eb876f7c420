//! A million events of no use reach an agent, and one real request in the middle of them.

mod injector;

use std::thread;
use std::time::{Duration, Instant};

use self::injector::Injector;
use super::household::{Household, SECRET};
use crate::failure::Failure;
use crate::http::Client;
use crate::live::{self, ended};
use crate::report;
use crate::workspace::Workspace;

/// Events of no use.
const JUNK: u64 = 1_000_000;

/// More memory than this is a failure: 200 MiB, in KiB.
const MOST_RESIDENT: u64 = 200 * 1024;

/// The timeout of the whole run.
const PATIENCE: Duration = Duration::from_secs(600);

const PAUSE: Duration = Duration::from_millis(50);

/// Lets the flood in, asks when half of it is through, and looks at the agent's memory.
pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let server = live::start_fourfold(workspace)?;
    let alice = Client::new(server.base()).register("alice")?;
    let injector = Injector::start(server.base(), &alice.user_id)?;
    let household = Household::new(workspace, &alice.user_id, injector.base(), server.base())?;
    let phone = household.phone.json(&["whoami", "--json"])?;
    let phone = phone.get("device_id").and_then(|id| id.as_str());
    let phone = phone.ok_or_else(|| Failure::Check("whoami tells no device".to_owned()))?;
    report::line(format_args!(
        "before: {} KiB resident",
        household.resident()?
    ));

    let begun = Instant::now();
    injector.flood(phone, JUNK);
    let wait = |most_left: u64| {
        while injector.left() > most_left {
            if begun.elapsed() > PATIENCE {
                let left = injector.left();
                return Err(Failure::Check(format!("{left} events still wait")));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    };
    wait(JUNK / 2)?;
    let asked = Instant::now();
    let asking = household
        .phone
        .start(&["request", SECRET, "--timeout", "300s"])?;
    let answer = ended(asking)?;
    let answered = asked.elapsed();
    let left = injector.left();
    wait(0)?;
    // The last batch has been processed when the agent asks for the next.
    injector.wait_for_another_sync();
    let taken = begun.elapsed();
    let most = household.most_resident()?;
    report::line(format_args!(
        "{JUNK} events in {:.1} s; the request was answered: {} (exit code {}) after {:.2} s, with \
         {left} events to come; {} KiB resident, {most} KiB at most",
        taken.as_secs_f64(),
        answer.code == 0,
        answer.code,
        answered.as_secs_f64(),
        household.resident()?,
    ));
    if answer.code != 0 {
        return Err(Failure::Check(format!(
            "the request was not answered: {}",
            answer.talk
        )));
    }
    if most > MOST_RESIDENT {
        return Err(Failure::Check(format!(
            "the agent took {most} KiB, more than {MOST_RESIDENT}"
        )));
    }
    drop(household);
    server.finish()
}

//! `fourfold doctor`: what is wrong with an account, why, and what repairs it.
//!
//! What a condition is, how bad it is and what mends it is decided in [`fourfold::health`]; this
//! gathers what is known, asks, prints, and carries out.

mod answer;
mod explain;
mod given;
mod options;
mod repair;
mod way;
mod words;

use fourfold::health::{Report, Source, examine};
use fourfold_client::Account;

use self::answer::{conclude, in_json};
use self::given::{Given, known_here};
pub(crate) use self::options::Options;
pub(crate) use self::words::in_one_line;
use crate::account::{self, KnownHere};
use crate::error::Result;
use crate::options::Global;
use crate::runtime;
use crate::terminal::{messages, output};

/// Examines the account and says what is found; with `--fix` it is repaired.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    options.check()?;
    if let Some(code) = &options.explain {
        return explain::run(global, code);
    }
    if let Some(codes) = &options.fix {
        return repair::run(global, options, codes);
    }
    let given = Given::read(options)?;
    let (snapshot, source, here) = match &options.read.snapshot {
        Some(path) => {
            let snapshot = account::in_file(path)?;
            let here = known_here(global, options, &snapshot.user_id)?;
            (snapshot, Source::Snapshot, here)
        }
        None => {
            // The state is not kept locked while the homeserver is asked.
            let (session, here) =
                KnownHere::with_session(global, &options.sealing, options.from_this_machine)?;
            let account = Account::new(session, &fourfold_client::Options::default())?;
            let _busy = messages::busy("reading the account data");
            let snapshot = runtime::new()?.block_on(account.snapshot_with_devices())?;
            (snapshot, Source::Server, here)
        }
    };
    given.check_baseline(&snapshot.user_id)?;
    let report = examine(&given.evidence(&snapshot, source, &here));
    show(global, &report)?;
    conclude(&report, options)
}

fn show(global: &Global, report: &Report) -> Result<()> {
    if global.json {
        output::json(&in_json(report)?)
    } else {
        words::print(report)
    }
}

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

use fourfold::health::{Evidence, Observed, Report, Source, examine};
use fourfold_client::Account;

use self::answer::{conclude, in_json};
use self::given::{Given, known_here};
pub(crate) use self::options::Options;
pub(crate) use self::words::in_one_line;
use crate::account::{self, KnownHere};
use crate::commands::backup;
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
    let (snapshot, here, account) = match &options.read.snapshot {
        Some(path) => {
            let snapshot = account::in_file(path)?;
            let here = known_here(global, options, &snapshot.user_id)?;
            (snapshot, here, None)
        }
        None => {
            // The state is not kept locked while the homeserver is asked.
            let (session, here) =
                KnownHere::with_session(global, &options.sealing, options.from_this_machine)?;
            let account = Account::new(session, &fourfold_client::Options::default())?;
            let _busy = messages::busy("reading the account data");
            let snapshot = runtime::new()?.block_on(account.snapshot_with_devices())?;
            account::warn_of_backup(&snapshot);
            (snapshot, here, Some(account))
        }
    };
    given.check_baseline(&snapshot.user_id)?;
    let source = match account {
        Some(_) => Source::Server,
        None => Source::Snapshot,
    };
    let mut evidence = given.evidence(&snapshot, source, &here);
    if let Some(account) = account {
        evidence.observed = sampled(&account, &evidence)?;
    }
    let report = examine(&evidence);
    show(global, &report)?;
    conclude(&report, options)
}

/// Tries the private key of the key backup on some of the room keys in it, when it is at hand.
fn sampled(account: &Account, evidence: &Evidence<'_>) -> Result<Option<Observed>> {
    let Some((version, copy)) = backup::first_fitting(evidence) else {
        return Ok(None);
    };
    let _busy = messages::busy("reading room keys from the backup");
    let sample = account.sample_key_backup(version.version(), &copy.key, SAMPLE);
    Ok(match runtime::new()?.block_on(sample) {
        Ok(sample) => {
            let mut observed = Observed::default();
            observed.sampled_sessions = Some(sample.sessions);
            Some(observed)
        }
        Err(error) => {
            messages::note(format_args!(
                "no room keys of the backup were tried: {error}"
            ));
            None
        }
    })
}

fn show(global: &Global, report: &Report) -> Result<()> {
    if global.json {
        output::json(&in_json(report)?)
    } else {
        words::print(report)
    }
}

/// How many room keys are tried.
const SAMPLE: u32 = 10;

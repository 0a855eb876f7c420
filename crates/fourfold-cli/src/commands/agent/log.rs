//! `fourfold agent log`: what was asked of this device, and what came of it.

use std::time::Duration;

use clap::Args;
use fourfold_client::escape_untrusted;
use tokio::time::sleep;

use crate::agent::{AuditLog, Following, Record};
use crate::error::Result;
use crate::options::Global;
use crate::terminal::duration::written;
use crate::terminal::output;
use crate::terminal::signals::{self, Stop};
use crate::{runtime, state};

/// Options of `agent log`.
#[derive(Args, Clone, Debug)]
pub(super) struct Options {
    /// Keep printing new lines until Ctrl-C
    #[arg(long, short)]
    follow: bool,
}

pub(super) fn run(global: &Global, options: &Options) -> Result<()> {
    let folder = state::folder(global)?;
    let user_id = state::user_id(global, &folder)?;
    let log = AuditLog::of(&folder, &user_id)?;
    if options.follow {
        return runtime::new()?.block_on(follow(global, Following::new(log)));
    }
    let records = log.read()?;
    if global.json {
        return output::json(&records);
    }
    records
        .iter()
        .try_for_each(|record| output::line(line(record)))
}

/// Prints what is there and what comes, until a signal or until nobody reads it any more.
async fn follow(global: &Global, mut following: Following) -> Result<()> {
    let stopped = Stop::listen()?.wait();
    signals::hand_over();
    tokio::pin!(stopped);
    loop {
        for record in following.more()? {
            let is_read = if global.json {
                output::json_line(&record)?
            } else {
                output::line_of_many(line(&record))?
            };
            if !is_read {
                return Ok(());
            }
        }
        tokio::select! {
            () = &mut stopped => return Ok(()),
            () = sleep(PAUSE) => {}
        }
    }
}

fn line(record: &Record) -> String {
    let of = |text: &Option<String>| text.as_deref().map(escape_untrusted);
    let mut line = format!(
        "{}  {}",
        written(record.time / 1000),
        escape_untrusted(&record.event)
    );
    for (word, text) in [
        (" ", of(&record.secret)),
        (" for ", of(&record.device_id)),
        (", key ", of(&record.fingerprint)),
        (": ", of(&record.reason)),
    ] {
        if let Some(text) = text {
            line.push_str(word);
            line.push_str(&text);
        }
    }
    line
}

/// The interval at which new lines are read.
const PAUSE: Duration = Duration::from_millis(200);

//! The benchmarks, each chosen by its name. docs/performance.md says how to read the figures.

mod agent;
mod flood;
mod household;
mod load;
mod neighbour;
mod server;
mod sharing;
mod siege;
mod table;
mod waking;
mod wrk;

use std::process::ExitCode;

use self::server::Plan;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// `cargo xtask bench [LANE] [OPTION…]`; without a name, `server`.
pub(crate) fn command(workspace: &Workspace, arguments: &[String]) -> Result<ExitCode, Failure> {
    let (lane, options) = match arguments {
        [lane, options @ ..] if !lane.starts_with('-') => (lane.as_str(), options),
        options => ("server", options),
    };
    match lane {
        "server" => {
            let plan = Plan {
                workloads: load::ACCOUNT_DATA,
                is_waking_measured: false,
            };
            return server::command(workspace, plan, options);
        }
        "to-device" => {
            let plan = Plan {
                workloads: load::TO_DEVICE,
                is_waking_measured: true,
            };
            return server::command(workspace, plan, options);
        }
        "siege" => {
            siege::run(workspace, options)?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    if let Some(option) = options.first() {
        return Err(Failure::Usage(format!("{lane} has no option {option:?}")));
    }
    match lane {
        "agent" => agent::run(workspace)?,
        "flood" => flood::run(workspace)?,
        "neighbour" => neighbour::run(workspace)?,
        "sharing" => sharing::run(workspace)?,
        _ => return Err(Failure::Usage(format!("no benchmark {lane:?}"))),
    }
    Ok(ExitCode::SUCCESS)
}

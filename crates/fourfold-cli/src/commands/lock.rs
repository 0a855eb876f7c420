//! `fourfold lock`: make the agent forget its key.

use crate::agent::Agent;
use crate::error::Result;
use crate::options::Global;
use crate::terminal::{messages, output};

/// Locks. That no agent runs is not an error: then nothing is unlocked.
pub(crate) fn run(global: &Global) -> Result<()> {
    let agent = Agent::find(global)?;
    let is_running = agent.is_some();
    if let Some(mut agent) = agent {
        agent.lock()?;
    }
    if global.json {
        return output::json(&serde_json::json!({"locked": true, "agent": is_running}));
    }
    messages::say(if is_running {
        "locked"
    } else {
        "no agent is running: nothing is unlocked"
    });
    Ok(())
}

//! `fourfold doctor --explain`: all that there is to say about a condition.

use fourfold::health::Condition;
use serde_json::json;

use crate::error::{Error, Result};
use crate::options::Global;
use crate::terminal::output;

/// Explains the condition of a code.
pub(super) fn run(global: &Global, code: &str) -> Result<()> {
    let condition = condition(code)?;
    if global.json {
        return output::json(&json!({
            "code": condition.code(),
            "severities": condition.severities(),
            "needs": condition.needs(),
            "what": condition.what(),
            "likely_cause": condition.cause(),
            "repair": condition.repair(),
            "cost": condition.cost(),
        }));
    }
    output::program_text(&condition.explain())
}

/// The condition of a code that the user named.
pub(super) fn condition(code: &str) -> Result<&'static Condition> {
    Condition::of(code).ok_or_else(|| {
        Error::usage("there is no condition of this code")
            .hint("fourfold doctor shows the code of each finding in brackets")
    })
}

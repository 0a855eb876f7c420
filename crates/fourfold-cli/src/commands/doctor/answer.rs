//! What a report is to programs: its JSON, and the exit code.

use fourfold::health::{Report, Severity};
use serde_json::value::RawValue;

use super::options::Options;
use crate::error::{Error, Exit, Result};

/// As the contract of the report has it, with its members in their order.
pub(super) fn in_json(report: &Report) -> Result<Box<RawValue>> {
    RawValue::from_string(report.to_json()).map_err(Error::usage)
}

/// The exit code. What there is to say was said.
pub(super) fn conclude(report: &Report, options: &Options) -> Result<()> {
    if report.only_wrong_keys() {
        return Err(
            Error::new(Exit::WrongKey, "what was given is no key of this account")
                .hint("fourfold key check says more about one; without a key: fourfold doctor"),
        );
    }
    let limit = if options.strict {
        Severity::Warning
    } else {
        Severity::Error
    };
    if report.worst() >= Some(limit) {
        Err(Error::said_already(Exit::Unhealthy))
    } else {
        Ok(())
    }
}

//! How bad a finding is.

use std::fmt;

use serde::Serialize;

/// How bad a finding is, the least first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "the four are the contract")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Works today, and will not always.
    Warning,
    /// Something does not work.
    Error,
    /// Something is lost, or cannot be trusted.
    Fatal,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        })
    }
}

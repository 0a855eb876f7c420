//! Why a lane or a command did not succeed.

use std::error::Error;
use std::fmt;

/// The runner treats each kind differently.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something is wrong with the code, a document or a run.
    Check(String),
    /// The machine lacks a tool: outside CI the lane is skipped, in CI it fails.
    MissingTool(String),
    /// The command line is invalid.
    Usage(String),
}

impl Failure {
    /// A failed check with one line for each finding; none is a success.
    pub(crate) fn from_findings(findings: Vec<String>) -> Result<(), Self> {
        if findings.is_empty() {
            Ok(())
        } else {
            Err(Self::Check(findings.join("\n")))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(text) | Self::MissingTool(text) | Self::Usage(text) => f.write_str(text),
        }
    }
}

impl Error for Failure {}

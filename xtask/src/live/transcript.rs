//! The results of a story, without what differs from run to run: two servers must give the same.

use crate::failure::Failure;
use crate::report;

/// The results of a story, in order.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Transcript {
    lines: Vec<String>,
}

impl Transcript {
    /// Notes a result that must be as expected.
    pub(super) fn expect<T: std::fmt::Debug + PartialEq>(
        &mut self,
        step: &str,
        got: T,
        wanted: T,
    ) -> Result<(), Failure> {
        if got != wanted {
            return Err(Failure::Check(format!(
                "{step}: got {got:?}, expected {wanted:?}"
            )));
        }
        report::note(format_args!("ok: {step}"));
        self.note(step, format!("{got:?}"));
        Ok(())
    }

    /// Notes a result that only has to be the same on every server.
    pub(super) fn note(&mut self, step: &str, result: impl std::fmt::Display) {
        self.lines.push(format!("{step}: {result}"));
    }

    /// Requires that two servers gave the same results.
    pub(super) fn compare(&self, other: &Self) -> Result<(), Failure> {
        let differing = self
            .lines
            .iter()
            .zip(&other.lines)
            .filter(|(one, two)| one != two);
        let mut findings: Vec<String> = differing
            .map(|(one, two)| format!("the servers differ: {one} | {two}"))
            .collect();
        if self.lines.len() != other.lines.len() {
            findings.push("one story has more results than the other".to_owned());
        }
        Failure::from_findings(findings)
    }
}

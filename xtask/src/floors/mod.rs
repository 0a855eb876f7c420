//! The plan of the house, checked: who may import whom, what a file may look like, what may be
//! committed. Each check gives findings in words; no finding is a pass.

mod edges;
mod links;
mod purity;
mod shape;
mod statements;
mod tracked;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Runs every check and fails with all findings at once.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let mut findings = edges::check(&metadata);
    findings.extend(purity::check_dependencies(&metadata));
    for file in workspace.files()? {
        let bytes = workspace
            .root
            .join(&file)
            .metadata()
            .map_or(0, |found| found.len());
        findings.extend(tracked::check_size(&file, bytes));
        findings.extend(shape::check_name(&file));
        let Some(text) = workspace.text(&file)? else {
            continue;
        };
        findings.extend(shape::check_text(&file, &text));
        findings.extend(purity::check_source(&file, &text));
        findings.extend(statements::check(&file, &text));
        findings.extend(links::check(&file, &text));
        findings.extend(tracked::check_paths(&file, &text));
    }
    Failure::from_findings(findings)
}

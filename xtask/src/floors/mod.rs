//! The structure of the workspace, checked: which code may import which, what a file may look like,
//! what may be committed. Each check returns findings in words; none is a pass.

pub(crate) mod circles;
mod edges;
mod imports;
mod links;
mod purity;
mod shape;
mod statements;
mod tracked;

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::report;
use crate::workspace::Workspace;

/// Runs every check and fails with all findings at once.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let metadata = workspace.metadata()?;
    let files = workspace.files()?;
    let mut findings = edges::check(&metadata);
    findings.extend(purity::check_dependencies(&metadata));
    findings.extend(shape::check_modules(&files));
    findings.extend(circles::check(&files, |file| source(workspace, file)));
    for file in files {
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
        findings.extend(imports::check(&file, &text));
        findings.extend(purity::check_source(&file, &text));
        findings.extend(statements::check(&file, &text));
        findings.extend(links::check(&file, &text));
        findings.extend(tracked::check_paths(&file, &text));
    }
    Failure::from_findings(findings)
}

/// Prints every circle of imports with the names that tie it, or those of the named crates.
pub(crate) fn show_circles(workspace: &Workspace, crates: &[String]) -> Result<(), Failure> {
    let files = workspace.files()?;
    for (folder, circles) in circles::in_crates(&files, |file| source(workspace, file)) {
        let wanted = |name: &String| folder.ends_with(name);
        if crates.is_empty() || crates.iter().any(wanted) {
            for circle in circles {
                report::line(format_args!("{}: {circle}", folder.display()));
            }
        }
    }
    Ok(())
}

/// The text of a file, or nothing when there is no such file.
fn source(workspace: &Workspace, file: &Path) -> Option<String> {
    fs::read_to_string(workspace.root.join(file)).ok()
}

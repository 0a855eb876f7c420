//! Lists that are generated from the code and kept beside it, so that a change is seen.

use std::collections::BTreeSet;
use std::path::Path;

use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// Compares with the kept list: nothing, or how to write it anew and every line that differs.
pub(crate) fn compare(
    workspace: &Workspace,
    path: &str,
    now: &str,
    again: &str,
) -> Result<Vec<String>, Failure> {
    let kept = workspace.text(Path::new(path))?.unwrap_or_default();
    let mut findings = differences(&kept, now);
    if findings.is_empty() && kept != now {
        findings.push("the same lines, in another order".to_owned());
    }
    if !findings.is_empty() {
        findings.insert(
            0,
            format!("{path}: is not true any more; read what changed, and run `{again}`"),
        );
    }
    Ok(findings)
}

/// Writes a list.
pub(crate) fn write(workspace: &Workspace, path: &str, now: &str) -> Result<(), Failure> {
    files::write(&workspace.root.join(path), now)?;
    report::line(format_args!("{path}: written"));
    Ok(())
}

/// The lines that only one of two texts has, each once.
fn differences(before: &str, after: &str) -> Vec<String> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_gone_and_what_is_new() {
        let changed = differences("pub fn a()\npub fn b()\n", "pub fn b()\npub fn c()\n");
        assert_eq!(changed, ["- pub fn a()", "+ pub fn c()"]);
        assert!(differences("pub fn a()\n", "pub fn a()\n").is_empty());
    }
}

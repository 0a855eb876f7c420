//! Every folder of known answers has a runner, and every file says what it tests.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Members that every known answer has.
const MEMBERS: &[&str] = &["tests", "origin", "input", "expect"];

pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = Vec::new();
    let mut folders: BTreeMap<String, usize> = BTreeMap::new();
    let mut runners = Vec::new();
    for file in workspace.files()? {
        if let Ok(inside) = file.strip_prefix("vectors") {
            let Some(folder) = folder_of(inside) else {
                continue;
            };
            *folders.entry(folder).or_default() += 1;
            findings.extend(check_file(&file, workspace.text(&file)?.as_deref()));
        } else if file.starts_with("crates/fourfold") && file.extension().is_some_and(|e| e == "rs")
        {
            let source = workspace.text(&file)?;
            runners.extend(source.filter(|source| source.contains("vectors")));
        }
    }
    if folders.is_empty() {
        findings.push("vectors: there is no known answer".to_owned());
    }
    for (folder, files) in folders {
        if !runners.iter().any(|source| names_folder(source, &folder)) {
            findings.push(format!(
                "vectors/{folder}: no runner in crates/fourfold names this folder ({files} files)"
            ));
        }
    }
    Failure::from_findings(findings)
}

/// The folder below `vectors` that a known answer is in; a README at the top is in none.
fn folder_of(inside: &Path) -> Option<String> {
    let mut parts = inside.iter();
    let first = parts.next()?.to_string_lossy().into_owned();
    parts.next().map(|_| first)
}

fn check_file(file: &Path, text: Option<&str>) -> Option<String> {
    if file.file_name().is_some_and(|name| name == "README.md") {
        return None;
    }
    let shown = file.display();
    if file.extension().is_none_or(|extension| extension != "json") {
        return Some(format!("{shown}: a known answer is a .json file"));
    }
    // Raw, because an answer may be about a number that no parser can hold.
    let parsed: BTreeMap<String, Box<RawValue>> =
        match serde_json::from_str(text.unwrap_or_default()) {
            Ok(parsed) => parsed,
            Err(error) => return Some(format!("{shown}: {error}")),
        };
    let missing: Vec<&str> = MEMBERS
        .iter()
        .copied()
        .filter(|member| !parsed.contains_key(*member))
        .collect();
    (!missing.is_empty()).then(|| format!("{shown}: lacks {}", missing.join(", ")))
}

/// Returns `true` if a source names the folder as a whole string literal or as a segment of a path
/// in one.
fn names_folder(source: &str, folder: &str) -> bool {
    source.match_indices(folder).any(|(at, found)| {
        let before = source
            .get(..at)
            .and_then(|before| before.chars().next_back());
        let after = source
            .get(at + found.len()..)
            .and_then(|after| after.chars().next());
        matches!(before, Some('"' | '/')) && matches!(after, Some('"' | '/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_folder_in_literals_only() {
        assert!(names_folder(
            r#"run("recovery_key", decode)"#,
            "recovery_key"
        ));
        assert!(names_folder(
            r#""../../vectors/recovery_key/""#,
            "recovery_key"
        ));
        assert!(!names_folder("mod recovery_key;", "recovery_key"));
        assert!(!names_folder(
            r#"run("recovery_keys", decode)"#,
            "recovery_key"
        ));
    }

    #[test]
    fn asks_for_every_member() {
        let file = Path::new("vectors/base64/padded.json");
        let whole = r#"{"tests":"","origin":"","input":{"n":1e999},"expect":{}}"#;
        assert!(check_file(file, Some(whole)).is_none());
        let finding = check_file(file, Some(r#"{"tests":"","input":{}}"#)).unwrap();
        assert!(finding.ends_with("lacks origin, expect"), "{finding}");
        assert!(check_file(file, Some("{")).is_some());
        assert!(check_file(Path::new("vectors/base64/padded.txt"), None).is_some());
    }

    #[test]
    fn leaves_the_top_folder_to_documents() {
        assert_eq!(folder_of(Path::new("README.md")), None);
        assert_eq!(
            folder_of(Path::new("base64/padded.json")).as_deref(),
            Some("base64")
        );
    }
}

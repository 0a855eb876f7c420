//! What a release must not be built with.

use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// The package that is shipped.
const SHIPPED: &str = "fourfold-cli";

/// Features of dependencies that are for tests, or that take checks away.
const FORBIDDEN: &[&str] = &[
    "arbitrary",
    "dangerous_configuration",
    "fuzzing",
    "insecure",
    "insecure-pk-encryption",
    "insecure_mode",
    "legacy_compatibility",
    "libolm-compat",
    "low-level-api",
    "test-util",
    "test_utils",
    "testing",
];

/// What the core says to a compiler that would take checks away.
const GUARD: &str = "checks of dependencies are off under cfg(fuzzing)";

pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = lock_file(workspace)?;
    findings.extend(features(workspace)?);
    findings.extend(guard(workspace));
    Failure::from_findings(findings)
}

/// The lock file is the committed one, and says all that is needed.
fn lock_file(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    workspace.metadata()?;
    let changed = command::output(Command::new("git").current_dir(&workspace.root).args([
        "status",
        "--porcelain",
        "--",
        "Cargo.lock",
    ]))?;
    Ok(if changed.answer.trim().is_empty() {
        Vec::new()
    } else {
        vec!["Cargo.lock: is not the committed one".to_owned()]
    })
}

/// The features that the shipped binary is built with, as cargo resolves them.
fn features(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let tree = command::output(cargo(&workspace.root).args([
        "tree",
        "--locked",
        "--package",
        SHIPPED,
        "--edges",
        "normal,build",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{p} [{f}]",
    ]))?;
    let mut findings: Vec<String> = tree.answer.lines().flat_map(forbidden).collect();
    if !tree.answer.starts_with(SHIPPED) {
        findings.push(format!("cargo tree does not begin with {SHIPPED}"));
    }
    findings.sort();
    findings.dedup();
    Ok(findings)
}

/// One finding for each forbidden feature in `name v1.0.0 [one,two]`.
fn forbidden(line: &str) -> Vec<String> {
    let Some((package, features)) = line.split_once('[') else {
        return Vec::new();
    };
    let features = features.split(']').next().unwrap_or_default();
    features
        .split(',')
        .filter(|feature| FORBIDDEN.contains(feature))
        .map(|feature| {
            format!(
                "{}: a release has the feature {feature} of it",
                package.trim()
            )
        })
        .collect()
}

/// The core does not compile with `--cfg fuzzing`, and says why.
fn guard(workspace: &Workspace) -> Option<String> {
    let built = command::output(cargo(&workspace.root).args([
        "rustc",
        "--locked",
        "--quiet",
        "--package",
        "fourfold",
        "--lib",
        "--",
        "--cfg",
        "fuzzing",
    ]));
    match built {
        Err(failure) if failure.to_string().contains(GUARD) => None,
        Err(failure) => Some(format!(
            "the core does not refuse cfg(fuzzing) by its guard: {failure}"
        )),
        Ok(_) => Some("the core compiles under cfg(fuzzing)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_feature_that_is_for_tests() {
        assert!(forbidden("tokio v1.0.0 [net,rt]").is_empty());
        assert!(forbidden("fourfold v0.1.0 (/house/crates/fourfold) []").is_empty());
        assert!(forbidden("a v1.0.0 [testing-of-nothing]").is_empty());
        let found = forbidden("tokio v1.0.0 [net,test-util] (*)");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("tokio v1.0.0: "), "{found:?}");
    }
}

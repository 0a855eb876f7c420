//! The tests that run, as the test binaries list them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::marks::Mark;
use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Every test binary of the workspace.
#[derive(Debug, Default)]
pub(super) struct Listed {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    /// The root file of its sources, relative to the workspace.
    root: PathBuf,
    /// The names of the tests that run without being asked for.
    tests: BTreeSet<String>,
}

impl Listed {
    /// Builds the tests and asks each binary.
    pub(super) fn ask(workspace: &Workspace) -> Result<Self, Failure> {
        let built = command::output(cargo(&workspace.root).args([
            "test",
            "--workspace",
            "--locked",
            "--no-run",
            "--message-format=json",
        ]))?;
        let mut listed = Self::default();
        for (root, binary) in built.answer.lines().filter_map(test_binary) {
            let root = root
                .strip_prefix(&workspace.root)
                .map_or_else(|_| root.clone(), Path::to_path_buf);
            let mut tests = names(&binary, &[])?;
            for ignored in names(&binary, &["--ignored"])? {
                tests.remove(&ignored);
            }
            listed.targets.push(Target { root, tests });
        }
        if listed.targets.is_empty() {
            return Err(Failure::Check("cargo built no tests".to_owned()));
        }
        Ok(listed)
    }

    /// Returns `true` if some binary runs the marked test.
    pub(super) fn runs(&self, mark: &Mark) -> bool {
        self.targets.iter().any(|target| {
            mark.path_in(&target.root)
                .is_some_and(|path| target.tests.contains(&path))
        })
    }
}

/// The root source and the binary in one message of cargo, if it is about a test.
fn test_binary(message: &str) -> Option<(PathBuf, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let tested = message.get("profile")?.get("test")?.as_bool()?;
    let root = message.get("target")?.get("src_path")?.as_str()?;
    let binary = message.get("executable")?.as_str()?;
    tested.then(|| (PathBuf::from(root), PathBuf::from(binary)))
}

fn names(binary: &Path, more: &[&str]) -> Result<BTreeSet<String>, Failure> {
    let said = command::output(
        Command::new(binary)
            .args(["--list", "--format", "terse"])
            .args(more),
    )?;
    Ok(said
        .answer
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn takes_only_binaries_of_tests() {
        let message = |test: bool, executable: Value| {
            json!({
                "reason": "compiler-artifact",
                "profile": { "test": test },
                "target": { "src_path": "/house/crates/a/src/lib.rs" },
                "executable": executable,
            })
            .to_string()
        };
        assert!(test_binary(&message(true, json!("/target/a"))).is_some());
        assert!(test_binary(&message(false, json!("/target/a"))).is_none());
        assert!(test_binary(&message(true, Value::Null)).is_none());
        assert!(test_binary("Compiling a").is_none());
    }

    #[test]
    fn knows_a_test_by_its_target_and_path() {
        let listed = Listed {
            targets: vec![Target {
                root: PathBuf::from("crates/fourfold/tests/sharing/main.rs"),
                tests: BTreeSet::from(["trust::refuses".to_owned()]),
            }],
        };
        let mut mark = Mark::for_test(&["LIB-01"]);
        assert!(listed.runs(&mark));
        mark.test = "accepts".to_owned();
        assert!(!listed.runs(&mark));
    }
}

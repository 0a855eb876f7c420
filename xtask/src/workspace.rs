//! The workspace: where it is, and its files.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::Failure;
use crate::{command, files};

/// The workspace that a lane works on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the root Cargo.toml.
    pub(crate) root: PathBuf,
    /// Where cargo builds, and where our own temporary files go.
    pub(crate) target: PathBuf,
    /// Whether `CI` is set: then a missing tool is a failure.
    pub(crate) ci: bool,
}

impl Workspace {
    /// Finds the workspace above this crate.
    pub(crate) fn find() -> Result<Self, Failure> {
        // Cargo passes it to what it runs; a binary may be shared by several checkouts.
        let here = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here
            .parent()
            .ok_or_else(|| Failure::Check("xtask has no folder above it".to_owned()))?
            .to_path_buf();
        let ci = env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let unlocated = Self {
            target: root.join("target"),
            root,
            ci,
        };
        let target = unlocated
            .metadata()?
            .get("target_directory")
            .and_then(Value::as_str)
            .map_or_else(|| unlocated.target.clone(), PathBuf::from);
        Ok(Self {
            target,
            ..unlocated
        })
    }

    /// The output of `cargo metadata` about our own packages.
    pub(crate) fn metadata(&self) -> Result<Value, Failure> {
        let said = command::output(command::cargo(&self.root).args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--locked",
        ]))?;
        serde_json::from_str(&said.answer)
            .map_err(|error| Failure::Check(format!("cargo metadata gave no JSON: {error}")))
    }

    /// Every file that is committed or would be by `git add`, relative to the root.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let listed = command::output(Command::new("git").current_dir(&self.root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files: Vec<PathBuf> = listed
            .answer
            .split('\0')
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .filter(|path| self.root.join(path).is_file())
            .collect();
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// The text of one of [`Self::files`], or nothing when it is not text.
    pub(crate) fn text(&self, file: &Path) -> Result<Option<String>, Failure> {
        Ok(String::from_utf8(files::read(&self.root.join(file))?).ok())
    }
}

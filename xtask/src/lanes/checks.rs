//! Lanes that are one cargo command.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;

pub(super) fn format(workspace: &Workspace) -> Result<(), Failure> {
    command::run(cargo(&workspace.root).args(["fmt", "--all", "--check"]))?;
    // These stand outside the workspace.
    let outside: Vec<PathBuf> = workspace
        .files()?
        .into_iter()
        .filter(|file| file.starts_with("fuzz") || file.starts_with("interop"))
        .filter(|file| file.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    if outside.is_empty() {
        return Ok(());
    }
    command::run(
        Command::new("rustfmt")
            .current_dir(&workspace.root)
            .args(["--check", "--edition", "2024"])
            .args(outside),
    )
}

pub(super) fn clippy(workspace: &Workspace) -> Result<(), Failure> {
    command::run(cargo(&workspace.root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]))
}

pub(super) fn documentation(workspace: &Workspace) -> Result<(), Failure> {
    // One after the other: the command and the core have the same name, and so the same folder, in
    // which two of rustdoc at once get into each other's way.
    for targets in ["--bins", "--lib"] {
        command::run(
            cargo(&workspace.root)
                .env("RUSTDOCFLAGS", "-D warnings")
                .args(["doc", "--workspace", "--no-deps", "--locked", targets]),
        )?;
    }
    Ok(())
}

pub(super) fn tests(workspace: &Workspace) -> Result<(), Failure> {
    command::run(cargo(&workspace.root).args(["test", "--workspace", "--locked"]))
}

/// The whole story on one machine, by the command that the README names.
pub(super) fn quickstart(workspace: &Workspace) -> Result<(), Failure> {
    command::run(cargo(&workspace.root).args(["run", "--release", "--locked", "--", "quickstart"]))
}

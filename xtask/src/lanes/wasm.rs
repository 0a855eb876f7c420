//! The core builds for a target without files, sockets, threads or a clock.

use std::path::Path;
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::report;
use crate::workspace::Workspace;

const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    if !installed(workspace)? {
        report::note(format_args!("adding the target {TARGET}"));
        let added = command::succeeds(
            Command::new("rustup")
                .current_dir(&workspace.root)
                .args(["target", "add", TARGET]),
        );
        if !added || !installed(workspace)? {
            return Err(Failure::MissingTool(format!(
                "the target {TARGET} is not installed (rustup target add {TARGET})"
            )));
        }
    }
    command::run(cargo(&workspace.root).args([
        "build",
        "--package",
        "fourfold",
        "--lib",
        "--locked",
        "--target",
        TARGET,
    ]))
}

/// Returns `true` if the compiler has the standard library for the target.
fn installed(workspace: &Workspace) -> Result<bool, Failure> {
    let folder = command::output(Command::new("rustc").current_dir(&workspace.root).args([
        "--print",
        "target-libdir",
        "--target",
        TARGET,
    ]))?;
    Ok(Path::new(folder.answer.trim()).is_dir())
}

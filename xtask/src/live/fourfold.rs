//! Our own server, started as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::live::child::Server;
use crate::workspace::Workspace;

/// The beginning of the line with the server's address.
const ANNOUNCEMENT: &str = "listening on ";

/// Builds `fourfold` and starts its server on a free port, without rate limits.
pub(crate) fn start(workspace: &Workspace) -> Result<Server, Failure> {
    start_with(workspace, &["--no-rate-limits"])
}

/// The same with the limits that it has by default.
pub(crate) fn start_with_limits(workspace: &Workspace) -> Result<Server, Failure> {
    start_with(workspace, &[])
}

fn start_with(workspace: &Workspace, options: &[&str]) -> Result<Server, Failure> {
    command::run(cargo(&workspace.root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "fourfold-cli",
    ]))?;
    let folder = workspace
        .target
        .join(format!("fourfold/{}", std::process::id()));
    let mut program = Command::new(program(workspace));
    program
        .args(["serve", "--bind", "127.0.0.1:0"])
        .args(options)
        .arg("--data")
        .arg(folder.join("data"));
    Server::start("fourfold", folder, &mut program, announced)
}

/// The command that [`start`] builds.
pub(crate) fn program(workspace: &Workspace) -> PathBuf {
    workspace.target.join("release/fourfold")
}

/// The URL that the server printed.
fn announced(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    // The last line may be half written.
    let (whole, _) = text.rsplit_once('\n')?;
    let (_, url) = whole
        .lines()
        .find_map(|line| line.split_once(ANNOUNCEMENT))?;
    Some(url.trim().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn reads_the_url_from_a_whole_line_only() {
        let log = env::temp_dir().join(format!("fourfold-xtask-{}-log", std::process::id()));
        fs::write(&log, "starting\nlistening on http://127.0.0.1:80").unwrap();
        assert_eq!(announced(&log), None);
        fs::write(&log, "starting\nlistening on http://127.0.0.1:8008\nmore").unwrap();
        assert_eq!(announced(&log).as_deref(), Some("http://127.0.0.1:8008"));
        fs::remove_file(log).unwrap();
    }
}

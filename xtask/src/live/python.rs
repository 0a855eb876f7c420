//! Programs that PyPI has, each in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::{command, files, report};

/// How often an installation is tried.
const TRIES: u32 = 3;

/// The pause after an installation that the network interrupted.
const PAUSE: Duration = Duration::from_secs(5);

/// Installs a package below `home` if it is not there, and gives the folder of its programs.
pub(crate) fn install(home: &Path, package: &str, version: &str) -> Result<PathBuf, Failure> {
    let environment = home.join(format!("venv-{version}"));
    let programs = environment.join("bin");
    let complete = environment.join("complete");
    if complete.is_file() {
        return Ok(programs);
    }
    report::note(format_args!("installing {package} {version}"));
    files::create_folder(home)?;
    command::output(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment),
    )
    .map_err(missing)?;
    let wanted = format!("{package}=={version}");
    retried(|| {
        let mut pip = Command::new(programs.join("python"));
        command::output(pip.args(["-m", "pip", "install", "--quiet", &wanted]))
    })?;
    files::write(&complete, version)?;
    Ok(programs)
}

/// Does what needs the network until it succeeds, a few times.
pub(super) fn retried<T>(work: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 1..TRIES {
        if let Ok(done) = work() {
            return Ok(done);
        }
        thread::sleep(PAUSE);
    }
    work().map_err(missing)
}

/// At home, what cannot be installed is no failure.
fn missing(failure: Failure) -> Failure {
    Failure::MissingTool(failure.to_string())
}

//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use crate::failure::Failure;

/// The cargo that runs us, in the root of the workspace.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Where cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Result<PathBuf, Failure> {
    let named = env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    let missing = || Failure::Check("neither CARGO_HOME nor HOME is set".to_owned());
    named.or_else(usual).ok_or_else(missing)
}

/// Runs a program whose output the reader sees, and requires that it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command
        .status()
        .map_err(|error| not_started(command, &error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Check(format!(
            "`{}` ended with {status}",
            shown(command)
        )))
    }
}

/// The output of a program.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its standard output.
    pub(crate) answer: String,
    /// Its standard error.
    pub(crate) complaint: String,
}

/// Runs a program that must succeed and returns its output.
pub(crate) fn output(command: &mut Command) -> Result<Said, Failure> {
    let output = command
        .output()
        .map_err(|error| not_started(command, &error))?;
    let said = Said {
        answer: String::from_utf8_lossy(&output.stdout).into_owned(),
        complaint: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    if output.status.success() {
        Ok(said)
    } else {
        let text = format!("{}{}", said.answer, said.complaint);
        Err(Failure::Check(format!(
            "`{}` ended with {}\n{}",
            shown(command),
            output.status,
            text.trim_end()
        )))
    }
}

/// Returns `true` if a program starts and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// The failure of a program that could not be started.
pub(crate) fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program().to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        Failure::MissingTool(format!("{program} is not installed"))
    } else {
        Failure::Check(format!("starting {program}: {error}"))
    }
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_a_program_that_is_not_there_as_a_missing_tool() {
        let failure = run(&mut Command::new("fourfold-no-such-program")).unwrap_err();
        assert!(matches!(failure, Failure::MissingTool(_)));
    }

    #[test]
    fn names_the_command_that_failed() {
        let failure = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(failure.to_string().starts_with("`sh -c exit 3` ended with"));
    }
}

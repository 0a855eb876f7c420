//! Going into the background: a second process does the work, and the first one waits until it does.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use crate::error::{Error, Exit, Result};
use crate::terminal::{messages, output};

/// Starts this very command once more, in the background. Returns when commands can connect.
pub(crate) fn start() -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(["--foreground", "--detach"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        // It closes this when it goes into the background, and when it ends.
        stderr.take(MAX_MESSAGES).read_to_string(&mut said)?;
    }
    if !said.is_empty() {
        messages::say_lines(said.trim_end());
    }
    if line.ends_with('\n') {
        return output::line(line.trim_end());
    }
    let exit = child
        .wait()?
        .code()
        .and_then(|code| u8::try_from(code).ok());
    Err(Error::said_already(Exit::from_code(
        exit.unwrap_or_default(),
    )))
}

/// Leaves the terminal, and everything that was open for the start.
pub(crate) fn detach() -> Result<()> {
    // Where nobody is the leader of anything, it fails harmlessly.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/")?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)
        .and_then(|()| rustix::stdio::dup2_stdout(&nothing))
        .and_then(|()| rustix::stdio::dup2_stderr(&nothing))
        .map_err(|error| Error::usage(format!("standard output: {error}")))
}

/// The maximum length of the agent's output at its start that is shown.
const MAX_MESSAGES: u64 = 64 * 1024;

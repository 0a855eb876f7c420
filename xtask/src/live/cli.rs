//! The command `fourfold`, used as a person or a script would.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::command;
use crate::failure::Failure;

/// A device: the program, and a folder of state that no other device sees.
#[derive(Debug)]
pub(crate) struct Device {
    program: PathBuf,
    state: PathBuf,
    /// Further environment variables that hold paths.
    environment: Vec<(&'static str, PathBuf)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) data: String,
    pub(crate) talk: String,
}

impl Device {
    pub(crate) fn new(program: &Path, state: PathBuf) -> Self {
        Self {
            program: program.to_owned(),
            state,
            environment: Vec::new(),
        }
    }

    /// The same with one more path in its environment.
    pub(crate) fn with(mut self, variable: &'static str, path: PathBuf) -> Self {
        self.environment.push((variable, path));
        self
    }

    /// Runs a command with this standard input and waits for its end.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Result<Ended, Failure> {
        let mut child = self.start(arguments)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that reads nothing may close the pipe early.
            let _closed = stdin.write_all(input.as_bytes());
        }
        ended(child)
    }

    /// As [`run`](Self::run), and requires that it succeeds.
    pub(crate) fn must(&self, arguments: &[&str], input: &str) -> Result<String, Failure> {
        let ended = self.run(arguments, input)?;
        if ended.code == 0 {
            return Ok(ended.data);
        }
        let line = arguments.join(" ");
        Err(Failure::Check(format!(
            "`fourfold {line}` ended with {}: {}",
            ended.code, ended.talk
        )))
    }

    /// As [`must`](Self::must), for a command that prints JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value, Failure> {
        let text = self.must(arguments, "")?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::Check(format!("this is not JSON ({error}): {text}")))
    }

    /// Starts a command and lets it run.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child, Failure> {
        let mut program = Command::new(&self.program);
        program
            .arg("--state")
            .arg(&self.state)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (variable, path) in &self.environment {
            program.env(variable, path);
        }
        program
            .spawn()
            .map_err(|error| command::not_started(&program, &error))
    }
}

/// Waits for the end of a command.
pub(crate) fn ended(child: Child) -> Result<Ended, Failure> {
    let output = child
        .wait_with_output()
        .map_err(|error| Failure::Check(format!("waiting for fourfold: {error}")))?;
    Ok(Ended {
        code: output.status.code().unwrap_or(-1),
        data: String::from_utf8_lossy(&output.stdout).into_owned(),
        talk: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

//! A program that is driven line by line, with a timeout for each line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::failure::Failure;

/// The timeout of the next line. The other side times out earlier, and reports what it waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running program. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Conversation {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Conversation {
    /// With a program whose standard input and output are pipes.
    pub(super) fn with(mut child: Child) -> Self {
        let (sender, lines) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines }
    }

    /// Writes a line.
    pub(super) fn say(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        let Some(input) = &mut self.child.stdin else {
            return Err(Failure::Check("there is no standard input".to_owned()));
        };
        writeln!(input, "{line}").map_err(|error| self.silent(&error.to_string()))
    }

    /// Waits for the next line.
    pub(super) fn hear(&mut self) -> Result<String, Failure> {
        self.next()?.ok_or_else(|| self.silent("it has ended"))
    }

    /// Waits until the program has ended by itself, and gives its exit code.
    pub(super) fn end(mut self) -> Result<i32, Failure> {
        // Its output ends when it does.
        while let Some(line) = self.next()? {
            drop(line);
        }
        let ended = self.child.wait();
        let ended = ended.map_err(|error| self.silent(&error.to_string()))?;
        Ok(ended.code().unwrap_or(-1))
    }

    /// The next line, or that there is none.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Ok(Some(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => Ok(None),
            Err(error) => Err(self.silent(&error.to_string())),
        }
    }

    /// The standard error of a program that does not answer, if it is a pipe.
    fn silent(&mut self, why: &str) -> Failure {
        let _killed = self.child.kill();
        let mut talk = String::new();
        if let Some(errors) = &mut self.child.stderr {
            let _read = errors.read_to_string(&mut talk);
        }
        Failure::Check(format!("no answer: {why}\n{}", talk.trim_end()))
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

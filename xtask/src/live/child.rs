//! A server that runs as a child process, in a folder of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::{command, files, process};

/// The timeout of the start of a server.
const START: Duration = Duration::from_secs(60);

/// The timeout after which a server that does not stop is killed.
const STOP: Duration = Duration::from_secs(10);

/// The pause between two checks of a server that starts or stops.
const PAUSE: Duration = Duration::from_millis(50);

/// Lines of the log that an error shows.
const TAIL: usize = 20;

/// A running server. It is stopped when this is dropped; its folder stays unless it finished well.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    base: String,
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts a program with its output in `folder/log`, and asks `base` for the URL until there
    /// is one.
    pub(super) fn start(
        name: &'static str,
        folder: PathBuf,
        program: &mut Command,
        base: impl Fn(&Path) -> Option<String>,
    ) -> Result<Self, Failure> {
        files::create_folder(&folder)?;
        let log = log_of(&folder);
        let unwritable = |error| Failure::Check(format!("writing {}: {error}", log.display()));
        let out = File::create(&log).map_err(unwritable)?;
        let err = out.try_clone().map_err(unwritable)?;
        let child = program
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| command::not_started(program, &error))?;
        let mut server = Self {
            name,
            base: String::new(),
            child,
            folder,
        };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = server.child.try_wait() {
                let early = Failure::Check(format!("{name} ended with {status} while starting"));
                return Err(server.blame(&early));
            }
            if let Some(base) = base(&log) {
                server.base = base;
                return Ok(server);
            }
            thread::sleep(PAUSE);
        }
        let late = Failure::Check(format!(
            "{name} did not answer within {} s",
            START.as_secs()
        ));
        Err(server.blame(&late))
    }

    /// What the server is called in reports.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The URL of the server, without a path.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The memory that it takes now, in KiB.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let status = process::folder(self.child.id()).join("status");
        process::figure(&status, "VmRSS")
    }

    /// Stops the server and removes its folder: all went well.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.stop();
        fs::remove_dir_all(&self.folder)
            .map_err(|error| Failure::Check(format!("removing {}: {error}", self.folder.display())))
    }

    /// Adds the end of the server's log to a failure. The folder stays.
    pub(crate) fn blame(&self, failure: &Failure) -> Failure {
        let log = log_of(&self.folder);
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines
            .get(lines.len().saturating_sub(TAIL)..)
            .unwrap_or_default()
            .join("\n");
        Failure::Check(format!(
            "{failure}\nthe log is {}, its end:\n{tail}",
            log.display()
        ))
    }

    /// Asks the server to end, and kills it when it does not.
    fn stop(&mut self) {
        let _asked = command::succeeds(Command::new("kill").arg(self.child.id().to_string()));
        let deadline = Instant::now() + STOP;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        env::temp_dir().join(format!("fourfold-xtask-{}-{name}", process::id()))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn said(log: &Path) -> Option<String> {
        fs::read_to_string(log)
            .ok()?
            .lines()
            .next()
            .map(str::to_owned)
    }

    #[test]
    fn waits_for_the_url_and_cleans_up() {
        let folder = folder("good");
        let mut program = shell("echo http://127.0.0.1:1; exec sleep 60");
        let server = Server::start("sleeper", folder.clone(), &mut program, said).unwrap();
        assert_eq!(server.base(), "http://127.0.0.1:1");
        server.finish().unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn shows_the_log_of_a_server_that_does_not_start() {
        let folder = folder("bad");
        let mut program = shell("echo no database >&2; exit 7");
        let failure = Server::start("broken", folder.clone(), &mut program, |_| None)
            .unwrap_err()
            .to_string();
        assert!(failure.contains("broken ended with"), "{failure}");
        assert!(failure.ends_with("no database"), "{failure}");
        fs::remove_dir_all(folder).unwrap();
    }
}

//! A running agent, as a test sees it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, ExitStatus};
use std::thread::JoinHandle;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

use crate::homeserver::Person;
use crate::invocation::Invocation;
use crate::key_endpoints::sealed;

/// An agent that ends with its value.
pub(crate) struct RunningAgent {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
    /// The path of its socket.
    pub(crate) socket: String,
}

impl RunningAgent {
    /// Starts it, and waits until commands can connect.
    pub(crate) fn start(call: Invocation) -> Self {
        let mut child = call.arguments(["--foreground"]).spawn();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(socket) = line.trim_end().strip_prefix("listening at ") else {
            panic!("the agent does not start: {}", stderr.join().unwrap());
        };
        Self {
            child,
            socket: socket.to_owned(),
            _stdout: stdout,
            stderr: Some(stderr),
        }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its size in memory, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The largest size in memory that it ever had, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(name));
        let number = line.unwrap().split_whitespace().nth(1);
        number.unwrap().parse().unwrap()
    }

    /// Changes a limit while it runs, and gives the one before.
    pub(crate) fn limit(&self, resource: Resource, current: u64) -> u64 {
        let limit = Rlimit {
            current: Some(current),
            maximum: getrlimit(resource).maximum,
        };
        let before = prlimit(Some(Pid::from_child(&self.child)), resource, limit).unwrap();
        before.current.unwrap_or(u64::MAX)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end: how it ended, and what it said.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.stderr.take().unwrap().join().unwrap())
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Person {
    /// Starts an agent with these rules and options, and gives it the key in the file `key`.
    pub(crate) fn sharing_agent(&self, rules: &[(&str, &str)], options: &[&str]) -> RunningAgent {
        let lines: String = rules
            .iter()
            .map(|(name, rule)| format!("\"{name}\" = \"{rule}\"\n"))
            .collect();
        let policy = self
            .folder
            .write("policy.toml", format!("[secrets]\n{lines}"));
        let call = sealed(self, &["agent", "--policy", &policy]);
        let agent = RunningAgent::start(call.arguments(options.iter().copied()));
        self.unlock("key").run().succeeds();
        agent
    }

    /// Starts an agent with these further arguments.
    pub(crate) fn agent(&self, arguments: &[&str]) -> RunningAgent {
        RunningAgent::start(self.call(&["agent"]).arguments(arguments.iter().copied()))
    }

    /// `unlock` with the recovery key in a file of this name.
    pub(crate) fn unlock(&self, recovery_key: &str) -> Invocation {
        let file = self.folder.name_of(recovery_key);
        self.call(&["unlock", "--recovery-key-file", &file])
    }
}

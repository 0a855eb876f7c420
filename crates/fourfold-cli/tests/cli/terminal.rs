//! Running the binary on a terminal: what is shown there, and what is typed.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use pty_process::blocking::{Command, Pty, open};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};
use rustix::termios::{LocalModes, tcgetattr};

use crate::invocation::FOURFOLD;

/// The binary, and the terminal in front of it.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    /// The other end is kept open, so that the settings outlive the process.
    terminal: Option<OwnedFd>,
    child: Child,
    output: Receiver<Vec<u8>>,
    /// Everything that was shown so far.
    shown: String,
    /// How much of it has been waited for.
    seen: usize,
}

impl Terminal {
    /// `fourfold ARGUMENTS…` in a session of its own, with this terminal for everything.
    pub(crate) fn run(arguments: &[&str]) -> Self {
        Self::start(arguments, None, 80)
    }

    /// As [`run`](Self::run), with room for 20 characters in a line.
    pub(crate) fn narrow(arguments: &[&str]) -> Self {
        Self::start(arguments, None, 20)
    }

    /// As [`run`](Self::run), but with standard input and output elsewhere.
    pub(crate) fn run_redirected(arguments: &[&str]) -> Self {
        Self::start(arguments, Some(()), 80)
    }

    fn start(arguments: &[&str], redirected: Option<()>, columns: u16) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(pty_process::Size::new(24, columns)).unwrap();
        let mut command = Command::new(FOURFOLD)
            .args(arguments)
            .env_remove("FOURFOLD_STATE")
            .env("HOME", "/nonexistent")
            .env("TERM", "xterm");
        if redirected.is_some() {
            command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        }
        let child = command.spawn(pts).unwrap();
        let terminal = ioctl_tiocgptpeer(&pty, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        let pty = Arc::new(pty);
        let (sender, output) = channel();
        let reader = Arc::clone(&pty);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The error comes when the last process has left the terminal.
            while let Ok(length @ 1..) = (&*reader).read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            pty,
            terminal: Some(terminal),
            child,
            output,
            shown: String::new(),
            seen: 0,
        }
    }

    /// Waits until this is shown, after what was waited for before.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        loop {
            if let Some(position) = self.shown[self.seen..].find(text) {
                self.seen += position + text.len();
                return;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} is not shown:\n{}", self.shown),
            }
        }
    }

    /// Waits until this question is put and every key is read on its own.
    #[track_caller]
    pub(crate) fn expect_hidden(&mut self, question: &str) {
        self.expect(question);
        assert!(!self.is_as_usual(), "what is typed would be shown");
        while self.modes().contains(LocalModes::ICANON) {
            assert!(matches!(self.child.try_wait(), Ok(None)));
            std::thread::yield_now();
        }
    }

    /// Everything that was shown so far.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, text: &str) {
        self.type_keys(&format!("{text}\r"));
    }

    /// Types without Enter.
    pub(crate) fn type_keys(&mut self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).unwrap();
    }

    /// Whether what is typed is shown, lines can be edited, and Ctrl-C is a signal.
    fn is_as_usual(&self) -> bool {
        self.modes()
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(self.terminal.as_ref().unwrap())
            .unwrap()
            .local_modes
    }

    /// What redirected standard output got.
    pub(crate) fn redirected_output(&mut self) -> String {
        let mut text = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut text).unwrap();
        text
    }

    /// Waits for the end: the exit code, and everything that was shown. The terminal must be as
    /// usual then.
    #[track_caller]
    pub(crate) fn finish(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end:\n{}",
                self.shown
            );
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(10)) {
                self.shown.push_str(&String::from_utf8_lossy(&bytes));
            }
        };
        assert!(self.is_as_usual(), "the terminal is left in disorder");
        self.terminal = None;
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        (status.code(), self.shown.clone())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

//! An agent whose disk fails it: nothing leaves that could not be kept, and later it does.

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Resource, Signal, geteuid, kill_process};

use crate::agents::RunningAgent;
use crate::invocation::{missing, skipped};
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar};

/// As long as it lives, the system does not do what an agent asks of the file of its local state.
struct Failing {
    strace: Child,
    lines: Receiver<String>,
}

impl Failing {
    /// These calls fail with this error. `None` where that cannot be done.
    fn start(liar: &Liar, agent: &RunningAgent, calls: &str, error: &str) -> Option<Self> {
        if !geteuid().is_root() {
            skipped("only root can interfere with an agent");
            return None;
        }
        let file = liar.laptop.state_file().display().to_string();
        let command = Command::new("strace")
            .args(["-f", "-p", &agent.process().to_string()])
            .args(["-P", &file, "-P", &format!("{file}-journal")])
            .args(["-e", &format!("trace={calls}")])
            .args(["-e", &format!("inject={calls}:error={error}")])
            .stderr(Stdio::piped())
            .spawn();
        let mut strace = match command {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                missing("strace");
                return None;
            }
            strace => strace.unwrap(),
        };
        let stderr = BufReader::new(strace.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        let failing = Self { strace, lines };
        failing.wait_for("attached");
        Some(failing)
    }

    /// Waits until a call failed.
    fn wait(&self) {
        self.wait_for("(INJECTED)");
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        let mut said = Vec::new();
        while let Ok(line) = self.lines.recv() {
            if line.contains(text) {
                return;
            }
            said.push(line);
        }
        panic!("strace ends: {said:?}");
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // It lets go of the agent, which it would take with it otherwise.
        kill_process(Pid::from_child(&self.strace), Signal::INT).unwrap();
        self.strace.wait().unwrap();
    }
}

/// What SQLite does to keep a change.
const KEEPING: &str = "pwrite64,fsync,fdatasync,unlink";

// A disk that breaks, one that is mounted read-only, and one that is full.
#[test]
fn an_answer_waits_until_its_session_can_be_kept() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[(BACKUP, "allow")]);
    for error in ["EIO", "EROFS", "ENOSPC"] {
        let sent = liar.sent().len();
        let Some(failing) = Failing::start(&liar, &agent, KEEPING, error) else {
            return;
        };
        phone.ask(&laptop, error, BACKUP);
        failing.wait();
        failing.wait();
        assert_eq!(liar.sent().len(), sent, "{error}");
        drop(failing);
        phone.wait_for_answer(error);
        liar.settle(&mut phone);
        assert_eq!(liar.sent().len(), sent + 1, "{error}");
    }
    assert_eq!(phone.secrets().len(), 3);
    assert_eq!(liar.logged("shared"), 3);
}

// The file of the change cannot even be made.
#[test]
fn an_agent_whose_folder_is_read_only_goes_on_later() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "before");
    let Some(failing) = Failing::start(&liar, &agent, "openat", "EROFS") else {
        return;
    };
    phone.ask(&laptop, "meanwhile", BACKUP);
    failing.wait();
    failing.wait();
    assert_eq!(liar.sent().len(), 1);
    drop(failing);
    phone.wait_for_answer("meanwhile");
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 2);
}

// The agent loses its key all the same, and until the device knows that it shares nothing.
#[test]
fn a_lock_that_cannot_be_kept_is_a_lock() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "before");
    let Some(failing) = Failing::start(&liar, &agent, KEEPING, "EIO") else {
        return;
    };
    liar.laptop.call(&["lock"]).run().succeeds();
    failing.wait();
    phone.ask(&laptop, "locked", BACKUP);
    failing.wait();
    drop(failing);
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 1);
    let status = liar.laptop.call(&["agent", "status", "--json"]).run();
    assert!(status.json()["key_id"].is_null());

    let failing = Failing::start(&liar, &agent, KEEPING, "EIO").unwrap();
    liar.laptop.unlock("key").run().succeeds();
    failing.wait();
    drop(failing);
    liar.is_answered(&mut phone, "after");
    liar.laptop.call(&["agent", "stop"]).run().succeeds();
    let (status, said) = agent.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("not in sync: "), "{said}");
}

// A command had the local state, and gives it back to an agent that cannot open it now.
#[test]
fn an_agent_takes_its_state_back_once_it_can() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let agent = liar.agent(&[(BACKUP, "allow")]);
    liar.is_answered(&mut phone, "before");
    let Some(failing) = Failing::start(&liar, &agent, KEEPING, "ENOSPC") else {
        return;
    };
    let put = ["put", "org.example.note", "-", "--exact", "--yes"];
    liar.laptop.call(&put).stdin("a note").run().succeeds();
    failing.wait();
    drop(failing);
    liar.is_answered(&mut phone, "after");
    assert_eq!(liar.stored("org.example.note"), "a note");
    liar.laptop.call(&["agent", "stop"]).run().succeeds();
    let (status, said) = agent.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("waiting: "), "{said}");
}

// No space is left on the disk, for a while.
// shows: AGT-11, AG-09
#[test]
fn nothing_leaves_that_cannot_be_kept_and_later_it_does() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    let laptop = liar.to_laptop(&phone);
    let policy = format!("[secrets]\n\"{BACKUP}\" = \"allow\"\n");
    let policy = liar.laptop.folder.write("policy.toml", policy);
    // Where a file is too large, a write fails as on a full disk.
    let call = sealed(&liar.laptop, &["agent", "--policy", &policy]).after("trap '' XFSZ");
    let agent = RunningAgent::start(call);
    liar.laptop.unlock("key").run().succeeds();
    liar.is_answered(&mut phone, "before");

    let before = agent.limit(Resource::Fsize, 0);
    let seen = liar.proxy.seen().len();
    phone.ask(&laptop, "meanwhile", BACKUP);
    // The first time it could not keep what came of it.
    liar.has_told(seen, "meanwhile", 2);
    assert_eq!(liar.sent().len(), 1);
    liar.laptop.unlock("key").run().fails(2).says("audit.jsonl");
    agent.limit(Resource::Fsize, before);
    phone.wait_for_answer("meanwhile");
    liar.settle(&mut phone);
    assert_eq!(liar.sent().len(), 2);
    assert_eq!(liar.logged("shared"), 2);
    liar.laptop.call(&["agent", "stop"]).run().succeeds();
    let (status, said) = agent.wait();
    assert!(status.success(), "{said}");
    assert!(said.contains("not in sync: "), "{said}");
}

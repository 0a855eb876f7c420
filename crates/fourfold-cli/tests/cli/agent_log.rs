//! `fourfold agent log`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::homeserver::{Homeserver, Person};

struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(alice: &Person, arguments: &[&str]) -> Self {
        let call = alice.call(&["agent", "log", "--follow"]);
        let mut child = call.arguments(arguments.iter().copied()).spawn();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// The exit code after this signal.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

#[test]
fn the_log_is_followed_until_it_is_interrupted() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let _agent = alice.agent(&[]);
    let mut early = Following::start(&alice, &["--json"]);
    alice.unlock("key").run().succeeds();
    let event = |line: String| {
        let record: Value = serde_json::from_str(&line).unwrap();
        record["event"].as_str().unwrap().to_owned()
    };
    assert_eq!(event(early.line()), "unlocked");
    // What is there already comes first.
    let mut late = Following::start(&alice, &[]);
    assert!(late.line().contains("unlocked: with the key "));
    alice.call(&["lock"]).run().succeeds();
    assert_eq!(event(early.line()), "locked");
    assert!(late.line().contains("locked: locked by the user"));
    alice.unlock("key").run().succeeds();
    assert_eq!(event(early.line()), "unlocked");
    assert!(late.line().contains("unlocked"));
    assert_eq!(early.end(Signal::INT), Some(0));
    assert_eq!(late.end(Signal::TERM), Some(0));
}

#[test]
fn the_log_is_not_followed_when_nobody_reads_it() {
    let server = Homeserver::start();
    let alice = server.person("alice");
    alice.set_up("key");
    let _agent = alice.agent(&[]);
    alice.unlock("key").run().succeeds();
    let Following {
        mut child,
        mut lines,
    } = Following::start(&alice, &[]);
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    alice.call(&["lock"]).run().succeeds();
    assert!(child.wait().unwrap().success());
}

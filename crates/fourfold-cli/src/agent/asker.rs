//! Asking the user: with a program, on the terminal, or not at all.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fourfold_client::escape_untrusted;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::{Mutex, mpsc};

use crate::agent::protocol::Question;
use crate::error::{Error, Result};
use crate::terminal::duration::written;
use crate::terminal::shown::Json;
use crate::terminal::{messages, prompt};

/// The way of asking. The answer is No, unless it is a clear Yes.
pub(crate) enum Asker {
    /// Nobody is asked here; a command may still answer.
    Nobody,
    /// A program: it gets the question as JSON on standard input, and ends with 0 for Yes.
    Program(PathBuf),
    /// The person at the terminal.
    Terminal(Terminal),
}

impl Asker {
    /// A program that can be run.
    pub(crate) fn program(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let is_program = path.metadata().is_ok_and(|metadata| {
            metadata.is_file()
                && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o111 != 0
        });
        if is_program {
            Ok(Self::Program(path))
        } else {
            Err(Error::usage(format!("{} is not a program", path.display())))
        }
    }

    /// Puts a question and waits for the answer. Dropped, it ends.
    pub(crate) async fn ask(&self, question: &Question) -> bool {
        match self {
            Self::Nobody => std::future::pending().await,
            Self::Program(path) => run(path, question).await.unwrap_or_else(|error| {
                messages::warn(format_args!("{}: {error}", path.display()));
                false
            }),
            Self::Terminal(terminal) => terminal.ask(question).await,
        }
    }
}

async fn run(path: &Path, question: &Question) -> std::io::Result<bool> {
    let json = Json::compact(question).map_err(|error| std::io::Error::other(error.message))?;
    let mut child = Command::new(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read what it is asked to know its answer.
        let _ = stdin.write_all(json.as_str().as_bytes()).await;
        let _ = stdin.shutdown().await;
    }
    Ok(child.wait().await?.success())
}

/// The terminal in front of the agent. Lines are read by a thread of their own, which a question that
/// is taken back need not interrupt.
pub(crate) struct Terminal {
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Terminal {
    /// The terminal of this process; `None` when there is none.
    pub(crate) fn open() -> Option<Self> {
        if !prompt::is_possible() {
            return None;
        }
        let terminal = File::open("/dev/tty").ok()?;
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(terminal).lines() {
                let Ok(line) = line else { return };
                // Unexpected lines are dropped when the queue is full.
                let _ = sender.try_send(line);
                if sender.is_closed() {
                    return;
                }
            }
        });
        let lines = Mutex::new(lines);
        Some(Self { lines })
    }

    /// One question at a time.
    async fn ask(&self, question: &Question) -> bool {
        let mut lines = self.lines.lock().await;
        // Text typed before the question was shown is not an answer to it.
        while lines.try_recv().is_ok() {}
        let described = describe(question);
        let mut shown = vec!["", "One of your devices asks for a secret.", ""];
        shown.extend(described.iter().map(String::as_str));
        shown.push("");
        let seconds = question.expires_in;
        let send = format!("Send it? In {seconds} seconds the answer is No. [y/N]");
        if prompt::show_question(&shown, &send).is_err() {
            return false;
        }
        let _unanswered = Unanswered;
        match lines.recv().await {
            Some(line) => prompt::is_yes(&line),
            // The terminal is gone; a command may still answer.
            None => std::future::pending().await,
        }
    }
}

/// Begins a new line, also when the answer came from elsewhere or not at all.
struct Unanswered;

impl Drop for Unanswered {
    fn drop(&mut self) {
        let _ = prompt::show(&[""]);
    }
}

/// The lines of a question as shown to the user. Text chosen by others is escaped.
pub(crate) fn describe(question: &Question) -> [String; 5] {
    let name = question.device_name.as_deref().map_or_else(
        || "(no name)".to_owned(),
        |name| format!("\"{}\", as it calls itself", escape_untrusted(name)),
    );
    let first_seen = question
        .first_seen
        .map_or_else(|| "unknown".to_owned(), written);
    let secrets: Vec<_> = question
        .secrets
        .iter()
        .map(|name| escape_untrusted(name))
        .collect();
    let device = escape_untrusted(&question.device_id);
    let fingerprint = escape_untrusted(&question.fingerprint);
    let verified_by = escape_untrusted(&question.verified_by);
    [
        format!("    secret       {}", secrets.join(", ")),
        format!("    device       {device} {name}"),
        format!("    fingerprint  {fingerprint}"),
        format!("    first seen   {first_seen}"),
        format!("    verified by  {verified_by}"),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    fn question() -> Question {
        Question {
            id: 1,
            secrets: vec!["m.megolm_backup.v1".to_owned()],
            device_id: "PHONE\u{1b}[2J".to_owned(),
            device_name: Some("Phone\nSend it? [y/N] y\u{202e}".to_owned()),
            fingerprint: "abcd efgh".to_owned(),
            first_seen: Some(0),
            verified_by: "your identity".to_owned(),
            expires_in: 60,
        }
    }

    /// A program of these lines of shell.
    fn program(lines: &str) -> (tempfile::TempDir, Asker) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ask");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        assert!(Asker::program(&path).is_err(), "not executable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let asker = Asker::program(&path).unwrap();
        (folder, asker)
    }

    #[tokio::test]
    async fn only_a_program_that_succeeds_says_yes() {
        for (lines, answer) in [
            ("exit 0", true),
            ("cat >/dev/null; exit 0", true),
            ("exit 1", false),
            ("exit 77", false),
            ("kill -9 $$", false),
            ("grep -q '\"secrets\":\\[\"m.megolm_backup.v1\"\\]'", true),
            ("grep -q org.example", false),
            ("[ $# = 0 ]", true),
        ] {
            let (_folder, asker) = program(lines);
            assert_eq!(asker.ask(&question()).await, answer, "{lines}");
        }
        let (folder, asker) = program("exit 0");
        drop(folder);
        assert!(!asker.ask(&question()).await, "a program that is gone");
    }

    #[tokio::test]
    async fn a_program_ends_when_nobody_waits_for_it() {
        let (folder, asker) = program("echo $$ > \"$(dirname \"$0\")/process\"; exec sleep 1000");
        let file = folder.path().join("process");
        let started = async {
            while !fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let question = question();
        tokio::select! {
            _ = asker.ask(&question) => panic!("it does not end"),
            () = started => {}
        }
        let process = fs::read_to_string(&file).unwrap();
        let stat = format!("/proc/{}/stat", process.trim());
        // Killed, and then collected.
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(" Z ")) {
            tokio::task::yield_now().await;
        }
    }

    // shows: AGT-07
    #[test]
    fn nothing_in_the_question_can_pose_as_something_else() {
        let text = describe(&question()).join("\n");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.contains("1970-01-01 00:00:00Z"), "{text}");
        assert!(text.lines().any(|line| line.contains("PHONE")
            && line.contains("Phone")
            && line.contains("as it calls itself")));
    }
}

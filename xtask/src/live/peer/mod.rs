//! A device of another client's library, driven by lines of JSON: interop/README.md has the
//! commands.

mod programs;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

pub(super) use self::programs::{Library, Programs};
use crate::command;
use crate::failure::Failure;
use crate::http::PASSWORD;
use crate::live::conversation::Conversation;

/// A peer that is logged in. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Peer {
    name: String,
    device_id: String,
    program: Conversation,
    log: PathBuf,
    asked: Value,
}

impl Peer {
    /// Starts a peer and logs it in. What it logs is a file in `folder`.
    pub(super) fn log_in(
        programs: &Programs,
        library: Library,
        name: &str,
        (base, user_id): (&str, &str),
        folder: &Path,
    ) -> Result<Self, Failure> {
        let log = folder.join(format!("{name}.log"));
        let errors = File::create(&log)
            .map_err(|error| Failure::Check(format!("writing {}: {error}", log.display())))?;
        let mut program = programs.command(library);
        let child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(|error| command::not_started(&program, &error))?;
        let mut peer = Self {
            name: name.to_owned(),
            device_id: String::new(),
            program: Conversation::with(child),
            log,
            asked: Value::Null,
        };
        let who = peer.ask(json!({
            "do": "log_in",
            "homeserver": base,
            "user": user_id,
            "password": PASSWORD,
            "name": name,
        }))?;
        let device_id = who.get("device_id").and_then(Value::as_str);
        peer.device_id = device_id.unwrap_or_default().to_owned();
        Ok(peer)
    }

    /// What the peer is called in reports.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The ID that the homeserver gave.
    pub(super) fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Gives a command that needs nothing else.
    pub(super) fn tell(&mut self, command: &str) -> Result<Value, Failure> {
        self.ask(json!({ "do": command }))
    }

    /// Gives a command and waits for its answer.
    pub(super) fn ask(&mut self, command: Value) -> Result<Value, Failure> {
        self.begin(command)?;
        self.answer()
    }

    /// Gives a command whose answer may need others to act first.
    pub(super) fn begin(&mut self, command: Value) -> Result<(), Failure> {
        let sent = self.program.say(&command);
        self.asked = command;
        sent.map_err(|failure| self.failed(&failure.to_string()))
    }

    /// Waits for the answer to the command that was begun.
    pub(super) fn answer(&mut self) -> Result<Value, Failure> {
        let heard = self.program.hear();
        let line = heard.map_err(|failure| self.failed(&failure.to_string()))?;
        let mut answer: Value = serde_json::from_str(&line)
            .map_err(|error| self.failed(&format!("{error}: {line}")))?;
        match answer.get_mut("ok") {
            Some(value) => Ok(value.take()),
            None => Err(self.failed(&line)),
        }
    }

    fn failed(&self, why: &str) -> Failure {
        let command = self.asked.get("do").and_then(Value::as_str);
        Failure::Check(format!(
            "{}, asked to {}: {why}\nits log is {}",
            self.name,
            command.unwrap_or_default(),
            self.log.display()
        ))
    }
}

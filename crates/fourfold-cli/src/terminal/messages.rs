//! Messages to the user: everything on standard error. Data goes through `output`.

#![expect(
    clippy::disallowed_methods,
    reason = "this is the door to standard error"
)]

use std::io::{self, IsTerminal as _, Write, stderr};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use indicatif::{ProgressBar, ProgressStyle};

use crate::error::{Error, Exit};
use crate::terminal::shown::{Json, Line};

/// One line for the user. That it cannot be shown, on a full disk or to a terminal that is gone, ends
/// nothing.
pub(crate) fn say(text: impl std::fmt::Display) {
    write(Line::of(text).as_str());
}

/// Several lines for the user, none of which holds what others chose.
pub(crate) fn say_lines(text: &str) {
    text.lines().for_each(say);
}

/// Something that is good to know.
pub(crate) fn note(text: impl std::fmt::Display) {
    say(format_args!("fourfold: note: {text}"));
}

/// Something to know, as one JSON object on a line.
pub(crate) fn json(object: &serde_json::Value) {
    if let Ok(json) = Json::compact(object) {
        write(json.as_str());
    }
}

/// Something the user should know before going on.
pub(crate) fn warn(text: impl std::fmt::Display) {
    say(format_args!("fourfold: warning: {text}"));
}

/// What can be done about what was said.
pub(crate) fn hint(text: impl std::fmt::Display) {
    say(format_args!("fourfold: hint: {text}"));
}

/// The error that ended the command. With `--json` it is one JSON object, still on standard error.
pub(crate) fn error(error: &Error, json: bool) {
    if error.message.is_empty() {
        return;
    }
    if json {
        let mut object = serde_json::json!({
            "error": error.exit.name(),
            "exit_code": error.exit as i32,
            "message": error.message,
        });
        if let (Some(hint), Some(object)) = (&error.hint, object.as_object_mut()) {
            object.insert("hint".to_owned(), hint.clone().into());
        }
        self::json(&object);
        return;
    }
    say(format_args!("fourfold: error: {}", error.message));
    if let Some(hint) = &error.hint {
        self::hint(hint);
    }
}

/// Prints the usage error, or the help that was asked for.
pub(crate) fn arguments(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Help and the version are data. That nobody reads them to the end is not an error.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if is_superfluous(error) {
        // It is not repeated: it may be a secret.
        self::error(
            &Error::usage("unexpected argument").hint(
                "secrets are never arguments: leave them out to be asked, or use a file or a pipe; \
                 --help shows the usage",
            ),
            json,
        );
    } else if json {
        self::error(&usage(error), json);
    } else {
        let text = error.render().to_string();
        let name = if text.starts_with("error:") {
            "fourfold: "
        } else {
            ""
        };
        say_lines(&format!("{name}{}", text.trim_end()));
    }
    ExitCode::from(Exit::Usage as u8)
}

/// The message of the argument parser, without the usage.
fn usage(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let Some(said) = text.strip_prefix("error: ") else {
        // The help, because there is no command.
        return Error::usage("a command is missing").hint("--help lists the commands");
    };
    let mut paragraphs = said
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let tip = paragraphs.find_map(|text| text.strip_prefix("tip: ").map(str::to_owned));
    Error::usage(message).hint(tip.unwrap_or_else(|| "--help shows the usage".to_owned()))
}

/// Shows that something takes a while, on a terminal only, until the value is dropped.
pub(crate) fn busy(text: impl std::fmt::Display) -> Busy {
    if !stderr().is_terminal() {
        return Busy(None);
    }
    let bar = ProgressBar::new_spinner().with_message(Line::of(text).as_str().to_owned());
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    Busy(Some(bar))
}

/// Something that is going on.
pub(crate) struct Busy(Option<ProgressBar>);

impl Busy {
    /// Replaces the text.
    pub(crate) fn now(&self, text: impl std::fmt::Display) {
        if let Some(bar) = &self.0 {
            bar.set_message(Line::of(text).as_str().to_owned());
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Returns `true` if something stands where nothing belongs that is not an option.
fn is_superfluous(error: &clap::Error) -> bool {
    let is_an_option = matches!(
        error.get(ContextKind::InvalidArg),
        Some(ContextValue::String(argument)) if argument.starts_with('-')
    );
    match error.kind() {
        ErrorKind::UnknownArgument => !is_an_option,
        ErrorKind::TooManyValues => true,
        _ => false,
    }
}

/// Where `--verbose` writes, an event at a time.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        say(String::from_utf8_lossy(event).trim_end());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(line: &str) {
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}

//! Talk: everything on standard error. Data goes through `output`.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressStyle};

use crate::error::Error;

/// A line for the user.
#[expect(clippy::print_stderr, reason = "the one door for talk")]
pub(crate) fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// Something the user should know before going on.
pub(crate) fn warn(text: impl std::fmt::Display) {
    say(format_args!("fourfold: warning: {text}"));
}

/// The error that ended the command. With `--json` it is one JSON object, still on standard error.
pub(crate) fn error(error: &Error, json: bool) {
    if json {
        let mut object = serde_json::json!({
            "error": error.exit.name(),
            "exit_code": error.exit as i32,
            "message": error.message,
        });
        if let (Some(hint), Some(object)) = (&error.hint, object.as_object_mut()) {
            object.insert("hint".to_owned(), hint.clone().into());
        }
        say(object);
        return;
    }
    say(format_args!("fourfold: error: {}", error.message));
    if let Some(hint) = &error.hint {
        say(format_args!("fourfold: hint: {hint}"));
    }
}

/// Shows that something takes a while, on a terminal only, until the value is dropped.
pub(crate) fn busy(text: impl Into<String>) -> Busy {
    if !stderr().is_terminal() {
        return Busy(None);
    }
    let bar = ProgressBar::new_spinner().with_message(text.into());
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    Busy(Some(bar))
}

/// Something that is going on.
pub(crate) struct Busy(Option<ProgressBar>);

impl Busy {
    /// Replaces the text.
    pub(crate) fn now(&self, text: impl Into<String>) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.into());
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

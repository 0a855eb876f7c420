//! The one door to the terminal.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::time::Duration;

/// Prints one line on standard output. A reader that went away is not an error.
pub(crate) fn line(text: impl Display) {
    let mut out = io::stdout().lock();
    let _gone = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints one indented line below a lane's headline.
pub(crate) fn note(text: impl Display) {
    line(format_args!("   {text}"));
}

/// Prints an error on standard error.
pub(crate) fn error(text: impl Display) {
    let _gone = writeln!(io::stderr().lock(), "xtask: error: {text}");
}

/// Seconds with one decimal, as lanes show them.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

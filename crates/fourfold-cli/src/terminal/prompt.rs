//! Questions to the person at the terminal, whatever standard input and output are connected to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, IsTerminal as _, Write as _};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::terminal::shown::Line;
use crate::terminal::signals;

/// Asks for something that must not be seen. Without a terminal this is an error with this hint.
pub(crate) fn hidden(question: &str, hint: &str) -> Result<Zeroizing<String>> {
    let _keeping = signals::hide_typing();
    ask(question)
        .map(Zeroizing::new)
        .map_err(|error| match error.kind() {
            // Ctrl-C was typed and became a signal, which ends the process any moment now.
            ErrorKind::Interrupted => loop {
                std::thread::park();
            },
            ErrorKind::UnexpectedEof => Error::refused("no answer was given"),
            _ => no_terminal(question).hint(hint),
        })
}

/// Asks a question whose answer is shown.
pub(crate) fn visible(question: &str) -> Result<String> {
    let _keeping = signals::keep_terminal();
    let unavailable = |_| no_terminal(question);
    let shown = Line::of(question);
    let mut terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(unavailable)?;
    write!(terminal, "{} ", shown.as_str()).map_err(unavailable)?;
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .map_err(unavailable)?;
    Ok(answer.trim().to_owned())
}

/// Returns `true` if an answer is a clear Yes.
pub(crate) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Shows lines on the terminal itself, past any redirection.
pub(crate) fn show(lines: &[&str]) -> Result<()> {
    write(lines, "")
}

/// Shows lines and a question, whose answer is read elsewhere.
pub(crate) fn show_question(lines: &[&str], question: &str) -> Result<()> {
    write(lines, question)
}

/// Returns `true` if a person can be asked.
pub(crate) fn is_possible() -> bool {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .is_ok_and(|tty| tty.is_terminal())
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the door to the terminal"
)]
fn ask(question: &str) -> std::io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    // Given a reader, it leaves the settings of the terminal alone: those are `interrupt`'s.
    let config = rpassword::ConfigBuilder::new()
        .input_reader(terminal.try_clone()?)
        .output_writer(terminal.try_clone()?)
        .build();
    let question = Line::of(format_args!("{question}: "));
    let answer = rpassword::prompt_password_with_config(question.as_str(), config);
    // When it is interrupted, whoever handles the signal ends the line.
    if !matches!(&answer, Err(error) if error.kind() == ErrorKind::Interrupted) {
        writeln!(terminal)?;
    }
    answer
}

fn write(lines: &[&str], question: &str) -> Result<()> {
    let lines: Vec<_> = lines.iter().map(Line::of).collect();
    let question = Line::of(question);
    let length: usize = lines.iter().map(|line| line.as_str().len() + 1).sum();
    // Never grown: what a secret is in leaves no copies behind.
    let mut text = Zeroizing::new(String::with_capacity(length + question.as_str().len() + 1));
    for line in &lines {
        text.push_str(line.as_str());
        text.push('\n');
    }
    if !question.as_str().is_empty() {
        text.push_str(question.as_str());
        text.push(' ');
    }
    File::options()
        .write(true)
        .open("/dev/tty")
        .and_then(|mut terminal| terminal.write_all(text.as_bytes()))
        .map_err(|_| Error::usage("there is no terminal to show the recovery key on"))
}

fn no_terminal(question: &str) -> Error {
    Error::usage(format!(
        "cannot ask for the {}: there is no terminal",
        question.to_lowercase()
    ))
}

//! Questions to the person at the terminal, whatever standard input and output are connected to.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, ErrorKind, IsTerminal as _, Write as _},
};

use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    interrupt,
};

/// Asks for something that must not be seen. Without a terminal this is an error with this hint.
pub(crate) fn hidden(question: &str, hint: &str) -> Result<Zeroizing<String>> {
    let _keeping = interrupt::hide_typing();
    rpassword::prompt_password(format!("{question}: "))
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
    let _keeping = interrupt::keep_terminal();
    let unavailable = |_| no_terminal(question);
    let mut terminal = File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .map_err(unavailable)?;
    write!(terminal, "{question} ").map_err(unavailable)?;
    let mut answer = String::new();
    BufReader::new(terminal)
        .read_line(&mut answer)
        .map_err(unavailable)?;
    Ok(answer.trim().to_owned())
}

/// Shows something on the terminal itself, past any redirection.
pub(crate) fn show(text: &str) -> Result<()> {
    File::options()
        .write(true)
        .open("/dev/tty")
        .and_then(|mut terminal| terminal.write_all(text.as_bytes()))
        .map_err(|_| Error::usage("there is no terminal to show the recovery key on"))
}

/// Whether a person can be asked.
pub(crate) fn is_possible() -> bool {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/tty")
        .is_ok_and(|tty| tty.is_terminal())
}

fn no_terminal(question: &str) -> Error {
    Error::usage(format!(
        "cannot ask for the {}: there is no terminal",
        question.to_lowercase()
    ))
}

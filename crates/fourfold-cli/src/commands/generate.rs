//! Completions and man pages, from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory as _;

use crate::arguments::Arguments;
use crate::error::{Error, Result};
use crate::terminal::output;

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "fourfold", &mut script);
    output::program_text(&String::from_utf8_lossy(&script))
}

/// Writes `fourfold.1` and a page for each command.
pub(crate) fn man_pages(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Arguments::command(), folder))
        .map_err(|error| Error::usage(format!("{}: {error}", folder.display())))
}

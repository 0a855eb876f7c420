//! Completions and man pages, from the definition of the arguments.

use std::path::Path;

use clap::Command;

use crate::error::{Error, Result};
use crate::terminal::output;

/// Prints the completions of a shell.
pub(crate) fn completions(mut command: Command, shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "fourfold", &mut script);
    output::program_text(&String::from_utf8_lossy(&script))
}

/// Writes `fourfold.1` and a page for each command.
pub(crate) fn man_pages(command: Command, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| Error::file(folder, error))
}

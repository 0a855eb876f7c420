//! Completions and man pages, from the definition of the arguments.

use std::path::Path;

use clap::{Command, CommandFactory as _};

use crate::{
    arguments::Arguments,
    error::{Error, Result},
    output,
};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "fourfold", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end())
}

/// Writes `fourfold.1` and a page for each command.
pub(crate) fn man_pages(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    write_page(folder, &Arguments::command())
}

fn write_page(folder: &Path, command: &Command) -> Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    let path = folder.join(format!("{}.1", command.get_name()));
    std::fs::write(&path, page)
        .map_err(|error| Error::usage(format!("{}: {error}", path.display())))?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{}-{}", command.get_name(), sub.get_name());
        let long: &'static str = Box::leak(name.into_boxed_str());
        write_page(folder, &sub.clone().name(long))?;
    }
    Ok(())
}

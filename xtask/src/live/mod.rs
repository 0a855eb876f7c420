//! The story against servers that really run: our own, and Synapse.

mod child;
mod fourfold;
mod story;
mod synapse;

use crate::{failure::Failure, report, workspace::Workspace};

pub(crate) use self::{
    child::Server, fourfold::start as start_fourfold, synapse::start as start_synapse,
};

/// Starts each server in a fresh folder, tells it the story, and stops it.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    tell(synapse::start(workspace)?)
}

/// Runs the story; on failure the server's folder stays and its log is shown.
fn tell(server: Server) -> Result<(), Failure> {
    report::note(format_args!(
        "{} answers at {}",
        server.name(),
        server.base()
    ));
    match story::run(server.base()) {
        Ok(()) => server.finish(),
        Err(failure) => Err(server.blame(&failure)),
    }
}

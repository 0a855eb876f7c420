//! The story against running servers: our own, and Synapse.

mod child;
mod cli;
mod conversation;
mod fourfold;
pub(crate) mod interop;
mod interruptions;
mod peer;
pub(crate) mod python;
mod story;
mod synapse;
mod transcript;

pub(crate) use self::child::Server;
pub(crate) use self::cli::{Device, ended};
pub(crate) use self::fourfold::{
    program, start as start_fourfold, start_with_limits as start_fourfold_with_limits,
};
use self::story::Story;
pub(crate) use self::synapse::start as start_synapse;
use self::transcript::Transcript;
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// Starts each server in a fresh folder, tells it the story, and stops it. Both must give the same
/// results.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let ours = tell(workspace, fourfold::start(workspace)?)?;
    let theirs = tell(workspace, synapse::start(workspace)?)?;
    ours.compare(&theirs)
}

/// Runs the story; on failure the server's folder stays and its log is shown.
fn tell(workspace: &Workspace, server: Server) -> Result<Transcript, Failure> {
    report::note(format_args!(
        "{} answers at {}",
        server.name(),
        server.base()
    ));
    let fixture = files::json(&workspace.root.join("fixtures/mautrix-recovery-key.json"))?;
    let folder = workspace
        .target
        .join(format!("story/{}-{}", server.name(), std::process::id()));
    let program = program(workspace);
    let story = Story::begin(&program, server.base(), folder.clone(), fixture);
    match story.and_then(Story::tell) {
        Ok(transcript) => {
            server.finish()?;
            let _gone = std::fs::remove_dir_all(folder);
            Ok(transcript)
        }
        Err(failure) => Err(server.blame(&failure)),
    }
}

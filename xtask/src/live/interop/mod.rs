//! Our devices and those of other people's clients, together on one account, at every homeserver.

mod peers;
mod scene;
mod setup;
mod sharing;
mod storage;

use self::scene::{House, Scene};
use super::peer::{Library, Programs};
use super::transcript::Transcript;
use super::{Server, fourfold, start_fourfold, start_synapse};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// What is told, with a device of one library, at one homeserver, by a new user.
type Tale = fn(&mut Scene<'_>) -> Result<(), Failure>;

/// All tales, with the names of their users.
const TALES: &[(&str, Tale)] = &[
    ("peers", peers::verify_each_other),
    ("theirs", storage::we_open_what_they_wrote),
    ("by.key", setup::their_key_verifies_us),
    ("ours", setup::they_use_what_we_wrote),
    ("sharing", sharing::verified_devices_share),
];

/// Tells every tale with every library, at our server and at Synapse. Both must give the same
/// results.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let programs = Programs::prepare(workspace)?;
    let ours = tell(workspace, &programs, start_fourfold(workspace)?)?;
    let theirs = tell(workspace, &programs, start_synapse(workspace)?)?;
    ours.compare(&theirs)
}

/// Tells all tales; on failure what they left stays, and the server's log is shown.
fn tell(workspace: &Workspace, programs: &Programs, server: Server) -> Result<Transcript, Failure> {
    report::note(format_args!(
        "{} answers at {}",
        server.name(),
        server.base()
    ));
    let name = format!("interop-{}-{}", server.name(), std::process::id());
    let house = House {
        programs,
        ours: &fourfold::program(workspace),
        base: server.base(),
        folder: workspace.target.join("story").join(&name),
        runtime: std::env::temp_dir().join(&name),
    };
    files::create_private_folder(&house.runtime)?;
    match tell_all(&house) {
        Ok(transcript) => {
            for folder in [&house.folder, &house.runtime] {
                let _gone = std::fs::remove_dir_all(folder);
            }
            server.finish()?;
            Ok(transcript)
        }
        Err(failure) => Err(server.blame(&failure)),
    }
}

fn tell_all(house: &House<'_>) -> Result<Transcript, Failure> {
    let mut transcript = Transcript::default();
    for library in Library::ALL {
        for (name, tale) in TALES {
            report::note(format_args!("{}: {name}", library.name()));
            let mut scene = Scene::open(house, library, name, &mut transcript)?;
            tale(&mut scene)?;
        }
    }
    Ok(transcript)
}

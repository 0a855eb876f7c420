//! From asking another device for a secret to having it.

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::http::{Client, PASSWORD};
use crate::workspace::Workspace;
use crate::{live, report};

/// Users with two devices each. Each asks 18 times, as a device answers 20 times an hour.
const USERS: usize = 12;

/// Runs the example of the client against our server.
pub(super) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let server = live::start_fourfold(workspace)?;
    let client = Client::new(server.base());
    let users = (0..USERS)
        .map(|user| Ok(client.register(&format!("bench{user:02}"))?.user_id))
        .collect::<Result<Vec<_>, Failure>>()?;
    let example = ["--package", "fourfold-client", "--example", "time_sharing"];
    let said = command::output(
        cargo(&workspace.root)
            .args(["run", "--release", "--locked", "--quiet"])
            .args(example)
            .args(["--", server.base(), PASSWORD])
            .args(&users),
    )
    .map_err(|failure| server.blame(&failure))?;
    report::line(said.answer.trim_end());
    server.finish()
}

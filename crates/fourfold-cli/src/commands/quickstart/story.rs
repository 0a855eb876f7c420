//! Functions that both parts of the demonstration use.

use std::fs;
use std::path::Path;

use fourfold::judged::Cleared;
use fourfold::{Secret, plan};
use fourfold_client::{Account, Homeserver, LocalState, Password};

use crate::error::{Error, Exit, Result};
use crate::terminal::output;

pub(super) fn title(text: &str) -> Result<()> {
    output::line("")?;
    output::line(text)
}

pub(super) fn detail(text: impl std::fmt::Display) -> Result<()> {
    output::line(format_args!("      {text}"))
}

/// A device of the story: its session and its own local state, which it shares with nobody.
pub(super) struct Device {
    pub(super) account: Account,
    pub(super) state: LocalState,
}

impl Device {
    pub(super) async fn log_in(address: &str, folder: &Path, name: &str) -> Result<Self> {
        let options = fourfold_client::Options::default();
        let homeserver = Homeserver::new(address, &options)?;
        let password = Password::new(PASSWORD);
        let session = homeserver
            .log_in(USER, &password)
            .device_name(name)
            .session()
            .await?;
        let state = LocalState::create(&folder.join(name), &session)?;
        Ok(Self {
            account: Account::new(session, &options)?,
            state,
        })
    }

    pub(super) async fn carry_out(&mut self, plan: &plan::Plan) -> Result<()> {
        for step in &plan.steps {
            output::line(format_args!("      {}: {}", step.action, step.reason))?;
        }
        Ok(fourfold_client::apply(
            &self.account,
            &mut self.state,
            Cleared::without_comparing(plan),
            None,
            |_| {},
        )
        .await?)
    }
}

pub(super) const USER: &str = "@alice:localhost";
pub(super) const PASSWORD: &str = "a login password, which opens no secret";

pub(super) fn check(holds: bool, otherwise: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(broken(otherwise))
    }
}

pub(super) fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(
        Exit::NotVerified,
        format!("the demonstration failed: {what}"),
    )
}

/// Whether any file of a folder holds a secret.
pub(super) fn holds(folder: &Path, secret: &Secret) -> Result<bool> {
    let needle = secret.expose_secret().as_bytes();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if holds(&path, secret)? {
                return Ok(true);
            }
        } else if fs::read(&path)?
            .windows(needle.len())
            .any(|window| window == needle)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

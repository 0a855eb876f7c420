//! `fourfold quickstart`: the whole story on one machine, every step checked for real.

mod sharing;
mod storage;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use fourfold::{Secret, plan};
use fourfold_client::{Account, Homeserver, LocalState, LoginName, Password};
use fourfold_server::{Config, Server};

use crate::commands::serve;
use crate::error::{Error, Exit, Result};
use crate::terminal::output;

/// Options of `quickstart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Keep the server running and its data in this new folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Starts a server and plays the story against it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let folder = match &options.keep {
        Some(folder) => {
            fs::create_dir_all(folder)?;
            folder.as_path()
        }
        None => temporary.path(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let signalled = serve::Stop::listen()?.wait();
        tokio::pin!(signalled);
        let mut config = Config::new("localhost", folder.join("server"));
        config.bind = ([127, 0, 0, 1], 0).into();
        let server = Server::bind(config).await?;
        let address = format!("http://{}", server.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let told = tokio::select! {
            told = tell(&address, folder) => told,
            () = &mut signalled => Err(Error::refused("stopped before the end of the story")),
        };
        if told.is_ok() && options.keep.is_some() {
            output::line("")?;
            output::line(format_args!(
                "The server goes on at {address}, with everything in {}. Try:",
                folder.display()
            ))?;
            let laptop = folder.join("laptop");
            let status = format!("    fourfold --state {} status", laptop.display());
            ["", &status, "", "Ctrl-C stops it."]
                .into_iter()
                .try_for_each(output::line)?;
            signalled.await;
        }
        drop(stop);
        running
            .await
            .map_err(|_| Error::new(Exit::Network, "the server broke down"))?;
        told
    })
}

async fn tell(address: &str, folder: &Path) -> Result<()> {
    output::line("Fourfold keeps secrets on a server that cannot read them.")?;
    let laptop = storage::tell(address, folder).await?;
    sharing::tell(address, folder, laptop).await?;
    title("Everything above was done for real, and checked.")
}

fn title(text: &str) -> Result<()> {
    output::line("")?;
    output::line(text)
}

fn detail(text: impl std::fmt::Display) -> Result<()> {
    output::line(format_args!("      {text}"))
}

/// A device of the story: its session and its own local state, which it shares with nobody.
struct Device {
    account: Account,
    state: LocalState,
}

impl Device {
    async fn log_in(address: &str, folder: &Path, name: &str) -> Result<Self> {
        let options = fourfold_client::Options::default();
        let homeserver = Homeserver::new(address, &options)?;
        let password = Password::new(PASSWORD);
        let session = homeserver
            .log_in(&LoginName::new(USER)?, &password, None, Some(name))
            .await?;
        let state = LocalState::create(&folder.join(name), &session)?;
        Ok(Self {
            account: Account::new(session, &options)?,
            state,
        })
    }

    async fn carry_out(&mut self, plan: &plan::Plan) -> Result<()> {
        for step in &plan.steps {
            output::line(format_args!("      {}: {}", step.action, step.reason))?;
        }
        Ok(fourfold_client::apply(&self.account, &mut self.state, plan, None, |_| {}).await?)
    }
}

const USER: &str = "@alice:localhost";
const PASSWORD: &str = "a login password, which opens no secret";

fn check(holds: bool, otherwise: &str) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(broken(otherwise))
    }
}

fn broken(what: impl std::fmt::Display) -> Error {
    Error::new(
        Exit::NotVerified,
        format!("the story does not hold: {what}"),
    )
}

/// Whether any file of a folder holds a secret.
fn holds(folder: &Path, secret: &Secret) -> Result<bool> {
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

//! `fourfold quickstart`: the whole story on one machine, every step checked for real.

mod sharing;
mod storage;
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use fourfold_server::{Config, Server};

use self::story::title;
use crate::error::{Error, Exit, Result};
use crate::terminal::output;
use crate::terminal::signals::Stop;

/// Options of `quickstart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Keep the server running, with its data in this new folder
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
        let signalled = Stop::listen()?.wait();
        tokio::pin!(signalled);
        let mut config = Config::new("localhost", folder.join("server"));
        config.network.bind = ([127, 0, 0, 1], 0).into();
        let server = Server::bind(config).await?;
        let address = format!("http://{}", server.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let told = tokio::select! {
            told = tell(&address, folder) => told,
            () = &mut signalled => Err(Error::refused("stopped before the end of the \
                                                       demonstration")),
        };
        if told.is_ok() && options.keep.is_some() {
            output::line("")?;
            output::line(format_args!(
                "The server keeps running at {address}, with its data in {}. Try:",
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
            .map_err(|_| Error::new(Exit::Network, "the server failed"))?;
        told
    })
}

async fn tell(address: &str, folder: &Path) -> Result<()> {
    output::line("Fourfold keeps secrets on a server that cannot read them.")?;
    let laptop = storage::tell(address, folder).await?;
    sharing::tell(address, folder, laptop).await?;
    title("Everything above was done for real, and checked.")
}

//! `fourfold serve`: the embedded server.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use fourfold_server::{Config, RateLimits, Server, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    error::{Error, Exit, Result},
    output, ui,
};

/// Options of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one. There is no TLS: put a reverse proxy in front
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8008")]
    bind: SocketAddr,
    /// The folder of the data; made when it is missing
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The part of user IDs after the colon; it belongs to the data for ever
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// The address that clients are told to use
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Let nobody register
    #[arg(long)]
    no_registration: bool,
    /// Do not limit how often anybody may ask
    #[arg(long)]
    no_rate_limits: bool,
}

/// Serves until SIGINT or SIGTERM, and then stops without losing anything.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut config = Config::new(&options.server_name, &options.data);
    config.bind = options.bind;
    config.public_base_url.clone_from(&options.public_url);
    config.registration = !options.no_registration;
    if options.no_rate_limits {
        config.rate_limits = RateLimits::disabled();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = Stop::listen()?;
        let server = Server::bind(config).await?;
        // Read by whoever started this: the port may have been chosen just now.
        output::line(format_args!("listening on http://{}", server.local_addr()))?;
        server.run(stop.wait()).await;
        ui::say("stopped");
        Ok(())
    })
}

/// The signals that ask the process to stop. From now on they do not end it.
pub(crate) struct Stop {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves when the process is asked to stop.
    pub(crate) async fn wait(mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Self::new(Exit::Usage, error)
    }
}

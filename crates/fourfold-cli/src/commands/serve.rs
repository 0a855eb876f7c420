//! `fourfold serve`: the embedded server.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use fourfold_server::{Config, Limits, RateLimits, Server};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Result;
use crate::terminal::signals::Stop;
use crate::terminal::{messages, output};

/// Options of `serve`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The address to listen on; port 0 picks a free port. There is no TLS: use a reverse proxy
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8008")]
    bind: SocketAddr,
    /// The data folder; created if it does not exist
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The server name, as in user IDs after the colon; it cannot be changed later
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// The base URL that clients are told to use
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Disable registration
    #[arg(long)]
    no_registration: bool,
    /// Disable rate limits
    #[arg(long)]
    no_rate_limits: bool,
    /// Keep no history of account data, and delete what was kept before
    #[arg(long)]
    no_history: bool,
    /// The maximum number of connections; a single address gets at most half of them
    #[arg(long, value_name = "NUMBER", default_value_t = Limits::default().connections)]
    connections: usize,
}

/// Serves until SIGINT or SIGTERM, and then stops without losing anything.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut config = Config::new(&options.server_name, &options.data);
    config.network.bind = options.bind;
    config
        .network
        .public_base_url
        .clone_from(&options.public_url);
    config.accounts.registration = !options.no_registration;
    if options.no_rate_limits {
        config.rate_limits = RateLimits::disabled();
    }
    if options.no_history {
        config.storage.quotas.history = None;
    }
    config.limits.connections = connections(options.connections);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stop = Stop::listen()?;
        let server = Server::bind(config).await?;
        // Read by whoever started this: the port may have been chosen just now.
        output::line(format_args!("listening on http://{}", server.local_addr()))?;
        server.run(stop.wait()).await;
        messages::say("stopped");
        Ok(())
    })
}

/// Lets the process open as many files as it needs for so many connections, and returns how many it
/// can have. Without that, whoever opens the most connections takes the files from everybody else.
fn connections(wanted: usize) -> usize {
    let needed = u64::try_from(wanted.saturating_add(FILES_BESIDE)).unwrap_or(u64::MAX);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = limit.maximum.map_or(needed, |most| most.min(needed));
        let raised = Rlimit {
            current: Some(raised),
            maximum: limit.maximum,
        };
        // The resulting limit is read below.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return wanted;
    };
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let possible = files.saturating_sub(FILES_BESIDE).max(MIN_CONNECTIONS);
    if possible < wanted {
        messages::warn(format_args!(
            "the system allows {files} open files, so there are {possible} connections at most; \
             raise its limit to have {wanted}"
        ));
    }
    wanted.min(possible)
}

/// Files that are open beside the connections: those that wait, the database, the rest.
const FILES_BESIDE: usize = 1_200;

/// Connections that there are in any case.
const MIN_CONNECTIONS: usize = 256;

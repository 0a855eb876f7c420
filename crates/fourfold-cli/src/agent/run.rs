//! Starting the agent, and what it does until it ends.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fourfold_client::{Account, LocalState};
use tokio::sync::Notify;

use crate::{
    agent::{
        address::Address,
        audit::AuditLog,
        lifetime::Moment,
        listener, memory,
        protocol::{Hello, VERSION},
        service::AgentService,
        session::Session,
        vault::Vault,
    },
    commands::serve::Stop,
    error::Result,
};

/// What an agent needs to run.
pub(crate) struct Running {
    pub(crate) folder: PathBuf,
    pub(crate) state: LocalState,
    pub(crate) account: Account,
    pub(crate) address: Address,
    /// After how long without use the key is forgotten.
    pub(crate) idle: Duration,
}

/// Runs the agent until it is stopped, by a signal or by a command, or until the account is logged
/// out. `ready` is called when commands can connect.
pub(crate) async fn run(running: Running, ready: impl FnOnce() -> Result<()>) -> Result<()> {
    let Running {
        folder,
        state,
        account,
        address,
        idle,
    } = running;
    memory::harden();
    let signalled = Stop::listen()?;
    let audit = AuditLog::of(&folder, account.user_id())?;
    let vault = Arc::new(Vault::new(idle, audit, Moment::now));
    let stop = Arc::new(Notify::new());
    let hello = Hello {
        version: VERSION,
        user_id: account.user_id().to_owned(),
        process: std::process::id(),
    };
    let (session, jobs) = Session::new(folder, state);
    let service = AgentService {
        account,
        vault: Arc::clone(&vault),
        jobs,
        stop: Arc::clone(&stop),
    };
    let listener = tokio::net::UnixListener::from_std(address.listen()?)?;
    ready()?;
    let ended = tokio::select! {
        () = listener::serve(listener, hello, Arc::new(service)) => Ok(()),
        () = vault.keep_time() => Ok(()),
        () = signalled.wait() => Ok(()),
        () = stop.notified() => Ok(()),
        ended = session.run() => ended,
    };
    address.remove();
    vault.lock("the agent ends");
    ended
}

//! Starting the agent, and what it does until it ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fourfold::sharing::Policy;
use fourfold_client::{Account, LocalState};
use tokio::sync::Notify;

use crate::agent::address::Address;
use crate::agent::asker::Asker;
use crate::agent::audit::AuditLog;
use crate::agent::exchange::Context;
use crate::agent::lifetime::Moment;
use crate::agent::listener;
use crate::agent::opening::Opening;
use crate::agent::protocol::{Hello, VERSION};
use crate::agent::service::AgentService;
use crate::agent::session::Session;
use crate::agent::vault::Vault;
use crate::error::Result;
use crate::keys::sealing_key::SealingOptions;
use crate::memory;
use crate::terminal::signals::{self, Stop};

/// The configuration of a running agent.
pub(crate) struct Running {
    pub(crate) folder: PathBuf,
    pub(crate) state: LocalState,
    pub(crate) account: Account,
    pub(crate) address: Address,
    /// After how long without use the key is forgotten.
    pub(crate) idle: Duration,
    pub(crate) policy: Policy,
    pub(crate) asker: Asker,
    pub(crate) sealing: SealingOptions,
}

/// Runs the agent until it is stopped, by a signal or by a command, or until the account is logged
/// out. `ready` is called when commands can connect.
pub(crate) async fn run(running: Running, ready: impl FnOnce() -> Result<()>) -> Result<()> {
    memory::keep_out_of_swap();
    let signalled = Stop::listen()?;
    signals::hand_over();
    let account = running.account;
    let user_id = account.user_id().to_owned();
    let audit = AuditLog::of(&running.folder, &user_id)?;
    let vault = Arc::new(Vault::new(running.idle, audit.clone(), Moment::now));
    let context = Context {
        account: account.clone(),
        audit,
        questions: Arc::default(),
        asker: Arc::new(running.asker),
        in_sync: Arc::default(),
    };
    let opening = Opening {
        folder: running.folder,
        user_id: user_id.clone(),
        device_id: account.device_id().map(str::to_owned),
        sealing: running.sealing,
        key: None,
        policy: running.policy,
        vault: Arc::clone(&vault),
        context: context.clone(),
    };
    let (session, jobs) = Session::new(opening, running.state)?;
    let stop = Arc::new(Notify::new());
    let service = AgentService {
        vault: Arc::clone(&vault),
        jobs,
        stop: Arc::clone(&stop),
        context,
    };
    let hello = Hello {
        version: VERSION,
        user_id,
        process: std::process::id(),
    };
    let listener = tokio::net::UnixListener::from_std(running.address.listen()?)?;
    ready()?;
    let ended = tokio::select! {
        () = listener::serve(listener, hello, Arc::new(service)) => Ok(()),
        () = vault.keep_time() => Ok(()),
        () = signalled.wait() => Ok(()),
        () = stop.notified() => Ok(()),
        ended = session.run() => ended,
    };
    running.address.remove();
    vault.lock("the agent stops");
    ended
}

//! The account that a command works on: its local state, its homeserver, and what lies there.

use std::future::Future;
use std::ops::Not as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fourfold::history::Origin;
use fourfold::{KeyId, SecretName, Snapshot};
use fourfold_client::{Account, LocalState, LocalStateError, Options};

use crate::agent::{Agent, Loan};
use crate::arguments::{AcceptOptions, Global, ReadOptions};
use crate::error::{Error, Exit, Result};
use crate::storage::judged::{self, Compared, Judged, Writable};
use crate::terminal::messages;

/// An account that is logged in, locked for this process.
pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) state: LocalState,
    /// Given back after the state is closed.
    _loan: Option<Loan>,
    runtime: tokio::runtime::Runtime,
    json: bool,
}

impl LoggedIn {
    /// The account of `--account`, or the only one there is.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let (state, loan) = open_state(global)?;
        let session = state.session()?.ok_or_else(not_logged_in)?;
        let account = Account::new(session, &Options::default())?;
        Ok(Self {
            account,
            state,
            _loan: loan,
            runtime: runtime()?,
            json: global.json,
        })
    }

    /// Runs something that talks to the homeserver.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Carries on a future that needs the state.
    pub(crate) fn with_state<T>(
        &mut self,
        work: impl AsyncFnOnce(&Account, &mut LocalState) -> T,
    ) -> T {
        self.runtime.block_on(work(&self.account, &mut self.state))
    }

    /// What lies on the homeserver now, for opening a secret: refused when a change of it, or of the
    /// keys, forbids that.
    pub(crate) fn snapshot_for_opening(
        &mut self,
        name: Option<&SecretName>,
        accept: AcceptOptions,
    ) -> Result<Judged> {
        let (snapshot, compared) = self.compared(accept)?;
        compared.for_opening(snapshot, name)
    }

    /// What lies on the homeserver now, for changing it: refused while anything is suspicious.
    pub(crate) fn snapshot_for_change(&mut self, accept: AcceptOptions) -> Result<Writable> {
        if let Some(plan) = self.state.journal()? {
            return Err(Error::new(
                Exit::Conflict,
                format!("an earlier change was not finished: {}", plan.title),
            )
            .hint("fourfold resume goes on with it; fourfold resume --abandon gives it up"));
        }
        self.snapshot_for_going_on(accept)
    }

    /// The same for going on with an earlier change, which is no change to wonder about itself.
    pub(crate) fn snapshot_for_going_on(&mut self, accept: AcceptOptions) -> Result<Writable> {
        let (snapshot, compared) = self.compared(accept)?;
        compared.for_writing(snapshot)
    }

    /// What lies on the homeserver now, compared with what this machine has seen before.
    pub(crate) fn compared(&mut self, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
        let snapshot = {
            let _busy = messages::busy("reading the account data");
            self.wait(self.account.snapshot())?
        };
        let compared = Compared::follow(&mut self.state, &snapshot, accept)?;
        compared.tell(self.json);
        Ok((snapshot, compared))
    }

    /// Remembers that a key opened these secrets.
    pub(crate) fn opened<'a>(
        &mut self,
        snapshot: &Judged,
        names: impl IntoIterator<Item = &'a SecretName>,
        key_id: &KeyId,
    ) -> Result<()> {
        Ok(self.state.opened(&snapshot.account_data, names, key_id)?)
    }
}

/// Opens the local state of `--account`, or of the only account there is. An agent that has it lends
/// it.
fn open_state(global: &Global) -> Result<(LocalState, Option<Loan>)> {
    let folder = state_folder(global)?;
    let user_id = user_id(global, &folder)?;
    state_of(&folder, &user_id)?.ok_or_else(not_logged_in)
}

/// Opens the local state of an account; `None` when this machine has none.
fn state_of(folder: &Path, user_id: &str) -> Result<Option<(LocalState, Option<Loan>)>> {
    let patience = Instant::now() + LOCK_PATIENCE;
    let (mut loan, mut failed) = (None, None);
    loop {
        match LocalState::open(folder, user_id) {
            Err(LocalStateError::NoState { .. }) => return Ok(None),
            Err(LocalStateError::Locked { .. }) if Instant::now() < patience => {
                if loan.is_none() {
                    match Agent::at(folder, user_id).and_then(borrow) {
                        Ok(lent) => loan = lent,
                        // One that ends hangs up, and leaves the state.
                        Err(error) if error.exit == Exit::Network => failed = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                if loan.is_none() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            // What the agent said tells more than that somebody holds the lock.
            Err(error @ LocalStateError::Locked { .. }) => {
                return Err(failed.unwrap_or_else(|| error.into()));
            }
            state => return Ok(Some((state?, loan))),
        }
    }
}

fn borrow(agent: Option<Agent>) -> Result<Option<Loan>> {
    agent.map(Agent::borrow_state).transpose()
}

/// The account of `--account`, or the only one there is.
pub(crate) fn user_id(global: &Global, folder: &Path) -> Result<String> {
    match &global.account {
        Some(user_id) => Ok(user_id.clone()),
        None => only_account(logged_in(folder)?),
    }
}

/// How long to wait for another command that uses the same account.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// What there is, to be shown and not opened: in a file, or on the homeserver. Says what changed.
pub(crate) fn look(
    global: &Global,
    options: &ReadOptions,
    accept: AcceptOptions,
) -> Result<(Snapshot, Compared)> {
    match &options.snapshot {
        Some(path) => Ok((in_file(path)?, Compared::default())),
        None => on_homeserver(global, accept),
    }
}

/// What there is, to be opened: in a file, or on the homeserver. Says what changed, and is refused
/// when a change of this secret, or of the keys, forbids it.
///
/// A file is compared with what this machine remembers of its user, if it does, and changes nothing
/// of that.
pub(crate) fn read(
    global: &Global,
    options: &ReadOptions,
    name: Option<&SecretName>,
    accept: AcceptOptions,
) -> Result<(Judged, Compared)> {
    let (snapshot, compared) = match &options.snapshot {
        None => on_homeserver(global, accept)?,
        Some(path) => {
            let snapshot = in_file(path)?;
            let compared = match state_of_user(global, &snapshot.user_id)? {
                Some((state, _loan)) => Compared::look(&state, &snapshot, accept)?,
                None => Compared::unknown(accept),
            };
            compared.tell(global.json);
            (snapshot, compared)
        }
    };
    Ok((compared.for_opening(snapshot, name)?, compared))
}

fn on_homeserver(global: &Global, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
    let (snapshot, compared) = if let Some(mut agent) = Agent::find_if_safe(global)? {
        let _busy = messages::busy("reading the account data");
        agent.snapshot(accept)?
    } else {
        // The state is not kept locked while the homeserver is asked, so that reads do not wait for
        // each other.
        let session = open_state(global)?.0.session()?.ok_or_else(not_logged_in)?;
        let account = Account::new(session, &Options::default())?;
        let snapshot = {
            let _busy = messages::busy("reading the account data");
            runtime()?.block_on(account.snapshot())?
        };
        let compared = Compared::follow(&mut open_state(global)?.0, &snapshot, accept)?;
        (snapshot, compared)
    };
    compared.tell(global.json);
    Ok((snapshot, compared))
}

fn in_file(path: &Path) -> Result<Snapshot> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("{}: {error}", path.display())))?;
    Snapshot::from_json(&text).map_err(|_| {
        Error::new(
            Exit::Corrupt,
            format!("{} is not a snapshot of an account", path.display()),
        )
        .hint(r#"it should be {"user_id": …, "account_data": {type: content, …}}"#)
    })
}

/// Remembers that a key opened a secret, unless it came from a file; and says how this machine came
/// to know the entry before. A state that cannot be had now knows nothing.
pub(crate) fn remember_opened(
    global: &Global,
    options: &ReadOptions,
    snapshot: &Judged,
    name: &SecretName,
    key_id: &KeyId,
) -> Option<Origin> {
    // An agent need not lay down its work for it.
    if options.snapshot.is_none()
        && let Ok(Some(mut agent)) = Agent::find_if_safe(global)
    {
        return agent.opened(&snapshot.account_data, name, key_id).ok()?;
    }
    let (mut state, _loan) = state_of_user(global, &snapshot.user_id).ok()??;
    if options.snapshot.is_some() {
        let history = state.history().ok()?;
        return history.origin_of(&snapshot.account_data, name, key_id);
    }
    judged::remember_opened(&mut state, &snapshot.account_data, name, key_id).ok()?
}

/// The local state of the user of a snapshot, if this machine has one.
fn state_of_user(global: &Global, user_id: &str) -> Result<Option<(LocalState, Option<Loan>)>> {
    match state_folder(global) {
        Ok(folder) if LocalState::file_of(&folder, user_id).is_ok() => state_of(&folder, user_id),
        _ => Ok(None),
    }
}

/// Where the state of accounts is kept.
pub(crate) fn state_folder(global: &Global) -> Result<PathBuf> {
    if let Some(folder) = &global.state {
        return Ok(folder.clone());
    }
    let from = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    from("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .map(|folder| folder.join("fourfold"))
        .ok_or_else(|| Error::usage("there is no home folder").hint("use --state DIR"))
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

fn only_account(accounts: Vec<String>) -> Result<String> {
    match accounts.as_slice() {
        [] => Err(not_logged_in()),
        [only] => Ok(only.clone()),
        several => Err(Error::usage("there are several accounts; use --account")
            .hint(format!("one of: {}", several.join(", ")))),
    }
}

/// The accounts that have a session, or may have one because another process uses them.
fn logged_in(folder: &Path) -> Result<Vec<String>> {
    let accounts = LocalState::accounts(folder)?;
    if accounts.len() < 2 {
        return Ok(accounts);
    }
    let has_session = |user_id: &String| {
        LocalState::open(folder, user_id)
            .is_ok_and(|state| matches!(state.session(), Ok(None)))
            .not()
    };
    Ok(accounts.into_iter().filter(has_session).collect())
}

pub(crate) fn not_logged_in() -> Error {
    Error::usage("not logged in").hint("log in: fourfold login @user:server")
}

impl From<fourfold_client::Error> for Error {
    fn from(error: fourfold_client::Error) -> Self {
        Self::new(Exit::Network, error)
    }
}

impl From<LocalStateError> for Error {
    fn from(error: LocalStateError) -> Self {
        if let LocalStateError::OtherHomeserver {
            user_id,
            homeserver,
        } = &error
        {
            let hint = format!(
                "fourfold logout --account {user_id} ends that session, and with --force it is \
                 forgotten when that homeserver has moved or is gone; or --homeserver {homeserver}"
            );
            return Self::refused(error).hint(hint);
        }
        let exit = match &error {
            LocalStateError::Locked { .. } => Exit::Conflict,
            LocalStateError::Unfinished => Exit::Conflict,
            LocalStateError::Permissions { .. } | LocalStateError::NotOrdinary { .. } => {
                Exit::Policy
            }
            LocalStateError::Corrupt { .. } => Exit::Corrupt,
            _ => Exit::Usage,
        };
        Self::new(exit, error)
    }
}

//! The account that a command works on: its local state, its homeserver, and what lies there.

use std::{
    future::Future,
    ops::Not as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fourfold::Snapshot;
use fourfold_client::{Account, Change, LocalState, LocalStateError, Options};

use crate::{
    agent::{Agent, Loan},
    arguments::{Global, ReadOptions},
    error::{Error, Exit, Result},
    ui,
};

/// An account that is logged in, locked for this process.
pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) state: LocalState,
    /// Given back after the state is closed.
    _loan: Option<Loan>,
    runtime: tokio::runtime::Runtime,
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

    /// What lies on the homeserver now, compared with what this machine has seen before.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        let _busy = ui::busy("reading the account data");
        Ok(self.wait(self.account.snapshot())?)
    }

    /// Refuses to write while something looks as if the server had gone back in time.
    pub(crate) fn snapshot_for_change(&mut self) -> Result<Snapshot> {
        if let Some(plan) = self.state.journal()? {
            return Err(Error::new(
                Exit::Conflict,
                format!("an earlier change was not finished: {}", plan.title),
            )
            .hint("fourfold resume goes on with it; fourfold resume --abandon gives it up"));
        }
        let snapshot = self.snapshot()?;
        if !compare(&mut self.state, &snapshot)? {
            return Err(not_honest());
        }
        Ok(snapshot)
    }
}

/// Opens the local state of `--account`, or of the only account there is. An agent that has it lends
/// it.
fn open_state(global: &Global) -> Result<(LocalState, Option<Loan>)> {
    let folder = state_folder(global)?;
    let user_id = user_id(global, &folder)?;
    let patience = Instant::now() + LOCK_PATIENCE;
    let mut loan = None;
    loop {
        match LocalState::open(&folder, &user_id) {
            Err(LocalStateError::NoState { .. }) => return Err(not_logged_in()),
            Err(LocalStateError::Locked { .. }) if Instant::now() < patience => {
                if loan.is_none()
                    && let Some(agent) = Agent::at(&folder, &user_id)?
                {
                    loan = Some(agent.borrow_state()?);
                } else {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            state => return Ok((state?, loan)),
        }
    }
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

/// What a read works on: a file, or the homeserver.
pub(crate) fn read(global: &Global, options: &ReadOptions) -> Result<Snapshot> {
    let Some(path) = &options.snapshot else {
        if let Some(mut agent) = Agent::find_if_safe(global)? {
            let _busy = ui::busy("reading the account data");
            return agent.snapshot();
        }
        // The state is not kept locked while the homeserver is asked, so that reads do not wait for
        // each other.
        let session = open_state(global)?.0.session()?.ok_or_else(not_logged_in)?;
        let account = Account::new(session, &Options::default())?;
        let snapshot = {
            let _busy = ui::busy("reading the account data");
            runtime()?.block_on(account.snapshot())?
        };
        compare(&mut open_state(global)?.0, &snapshot)?;
        return Ok(snapshot);
    };
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

/// Says what the user should know of what changed since this machine looked last, and remembers the
/// rest. Returns whether all is as an honest server would have it.
pub(crate) fn compare(state: &mut LocalState, snapshot: &Snapshot) -> Result<bool> {
    let compared = Compared::of(state, snapshot)?;
    compared.warnings.iter().for_each(ui::warn);
    Ok(compared.is_honest)
}

/// What changed since this machine looked last.
pub(crate) struct Compared {
    /// Whether all is as an honest server would have it.
    pub(crate) is_honest: bool,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
}

impl Compared {
    /// Compares, and remembers what is not suspicious.
    pub(crate) fn of(state: &mut LocalState, snapshot: &Snapshot) -> Result<Self> {
        let changes = state.compare(snapshot)?;
        // Secrets come and change; keys do so rarely enough to be worth a word.
        let is_of_a_key = |change: &Change| {
            matches!(
                change,
                Change::DefaultKeyChanged { .. } | Change::KeyDescriptionChanged { .. }
            )
        };
        let worth_a_word = changes
            .iter()
            .filter(|change| change.is_suspicious() || is_of_a_key(change));
        let warnings = worth_a_word.map(ToString::to_string).collect();
        let is_honest = !changes.iter().any(Change::is_suspicious);
        if is_honest && !changes.is_empty() {
            state.pin(snapshot)?;
        }
        Ok(Self {
            is_honest,
            warnings,
        })
    }
}

/// Why nothing is written now.
pub(crate) fn not_honest() -> Error {
    Error::new(
        Exit::Conflict,
        "the homeserver shows an older or weaker state than this machine has seen",
    )
    .hint("if you made these changes yourself, accept them: fourfold status --accept")
}

impl From<fourfold_client::Error> for Error {
    fn from(error: fourfold_client::Error) -> Self {
        Self::new(Exit::Network, error)
    }
}

impl From<LocalStateError> for Error {
    fn from(error: LocalStateError) -> Self {
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

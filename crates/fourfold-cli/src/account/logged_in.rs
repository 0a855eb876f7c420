//! The account that a command works on: its local state, its homeserver, and what lies there.

use std::future::Future;

use fourfold::judged::{Judged, Writable};
use fourfold::{KeyId, SecretName, Snapshot};
use fourfold_client::{Account, LocalState, Options};

use crate::account::{local_state, reading};
use crate::agent::Loan;
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global};
use crate::storage::judged::Compared;
use crate::terminal::messages;
use crate::{runtime, state};

/// An account that is logged in, locked for this process.
pub(crate) struct LoggedIn {
    pub(crate) account: Account,
    pub(crate) state: LocalState,
    /// Given back after the state is closed.
    _loan: Option<Loan>,
    runtime: tokio::runtime::Runtime,
    json: bool,
    /// Whether it was said that the key backup cannot be used.
    has_warned: bool,
}

impl LoggedIn {
    /// The account of `--account`, or the only one there is.
    pub(crate) fn open(global: &Global) -> Result<Self> {
        let (state, loan) = local_state::open(global)?;
        let session = state.session()?.ok_or_else(state::not_logged_in)?;
        let account = Account::new(session, &Options::default())?;
        Ok(Self {
            account,
            state,
            _loan: loan,
            runtime: runtime::new()?,
            json: global.json,
            has_warned: false,
        })
    }

    /// Runs something that talks to the homeserver.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs something that talks to the homeserver and needs the local state.
    pub(crate) fn with_state<T>(
        &mut self,
        work: impl AsyncFnOnce(&Account, &mut LocalState) -> T,
    ) -> T {
        self.runtime.block_on(work(&self.account, &mut self.state))
    }

    /// The current state at the homeserver, for opening a secret: refused when a change of it, or
    /// of the keys, forbids that.
    pub(crate) fn snapshot_for_opening(
        &mut self,
        name: Option<&SecretName>,
        accept: AcceptOptions,
    ) -> Result<Judged> {
        let (snapshot, compared) = self.compared(accept)?;
        compared.for_opening(snapshot, name)
    }

    /// The current state at the homeserver, for changing it: refused while anything is suspicious.
    pub(crate) fn snapshot_for_change(&mut self, accept: AcceptOptions) -> Result<Writable> {
        if let Some(plan) = self.state.journal()? {
            return Err(Error::new(
                Exit::Conflict,
                format!("an earlier change was not finished: {}", plan.title),
            )
            .hint("fourfold resume completes it; fourfold resume --abandon abandons it"));
        }
        self.snapshot_for_going_on(accept)
    }

    /// The same for going on with an earlier change, which is no change to wonder about itself.
    pub(crate) fn snapshot_for_going_on(&mut self, accept: AcceptOptions) -> Result<Writable> {
        let (snapshot, compared) = self.compared(accept)?;
        compared.for_writing(snapshot)
    }

    /// The current state at the homeserver, compared with what this machine has seen before.
    pub(crate) fn compared(&mut self, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
        let (snapshot, compared) = self.compared_in_silence(accept)?;
        if !std::mem::replace(&mut self.has_warned, true) {
            reading::warn_of_backup(&snapshot);
        }
        Ok((snapshot, compared))
    }

    /// The same without a word about the key backup, for who tells all of it.
    pub(crate) fn compared_in_silence(
        &mut self,
        accept: AcceptOptions,
    ) -> Result<(Snapshot, Compared)> {
        let snapshot = {
            let _busy = messages::busy("reading the account data");
            self.wait(self.account.snapshot())?
        };
        let compared = Compared::follow(&mut self.state, &snapshot, accept)?;
        compared.report(self.json);
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

//! The account that a command works on: its local state, its homeserver, and what lies there.

use std::future::Future;

use fourfold::judged::{Judged, Writable};
use fourfold::{KeyId, SecretName, Snapshot};
use fourfold_client::{Account, LocalState, Options};

use crate::account::{local_state, reading, settling};
use crate::agent::Loan;
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global, KeyInput};
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
        self.check_finished()?;
        self.snapshot_for_going_on(accept)
    }

    /// Refuses while an earlier change waits to be finished.
    fn check_finished(&self) -> Result<()> {
        match self.state.journal()? {
            None => Ok(()),
            Some(plan) => Err(Error::new(
                Exit::Conflict,
                format!("an earlier change was not finished: {}", plan.title),
            )
            .hint("fourfold resume completes it; fourfold resume --abandon abandons it")),
        }
    }

    /// The same for going on with an earlier change, which is no change to wonder about itself.
    pub(crate) fn snapshot_for_going_on(&mut self, accept: AcceptOptions) -> Result<Writable> {
        let (snapshot, compared) = self.compared(accept)?;
        compared.for_writing(snapshot)
    }

    /// As [`snapshot_for_opening`](Self::snapshot_for_opening), for who comes with a key: it may settle
    /// what is suspicious.
    pub(crate) fn snapshot_to_unlock(
        &mut self,
        name: Option<&SecretName>,
        input: &KeyInput,
        accept: AcceptOptions,
    ) -> Result<Judged> {
        let (snapshot, compared) = self.settled(input, accept)?;
        compared.for_opening(snapshot, name)
    }

    /// As [`snapshot_for_change`](Self::snapshot_for_change), for who comes with a key: it may settle
    /// what is suspicious.
    pub(crate) fn snapshot_to_change(
        &mut self,
        input: &KeyInput,
        accept: AcceptOptions,
    ) -> Result<Writable> {
        self.check_finished()?;
        let (snapshot, compared) = self.settled(input, accept)?;
        compared.for_writing(snapshot)
    }

    fn settled(&mut self, input: &KeyInput, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
        let (snapshot, mut compared) = self.compared(accept)?;
        if let Some(key) = settling::key(&snapshot, &compared, input)? {
            compared.settle(&mut self.state, &snapshot, &key)?;
            compared = Compared::follow(&mut self.state, &snapshot, accept)?;
        }
        Ok((snapshot, compared))
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

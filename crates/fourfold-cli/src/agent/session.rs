//! The owner of the local state and the device: it does the work of others with them, and lends
//! them.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fourfold::history::Origin;
use fourfold::{AccountData, KeyId, SecretName, Snapshot};
use fourfold_client::LocalState;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::agent::exchange::{Exchange, Happened};
use crate::agent::opening::Opening;
use crate::agent::requests::{Delivery, Recipient, Requests};
use crate::agent::secrets::VaultSecrets;
use crate::error::{Error, Exit, Result};
use crate::options::AcceptOptions;
use crate::storage::judged::Compared;

/// Work for the owner of the local state.
pub(crate) enum Job {
    /// Ask other devices for a secret.
    Ask(SecretName, Option<String>, Recipient),
    /// Close the local state, and open it again when what is sent back is dropped.
    Borrow(oneshot::Sender<Lent>),
    /// Compare what the homeserver shows with what this machine has seen before.
    Compare(
        Box<Snapshot>,
        AcceptOptions,
        oneshot::Sender<Result<(Box<Snapshot>, Compared)>>,
    ),
    /// Remember that a key opened a secret, and say how the entry was known before.
    Opened(
        Box<AccountData>,
        SecretName,
        KeyId,
        oneshot::Sender<Result<Option<Origin>>>,
    ),
}

/// As long as it lives, the local state belongs to somebody else.
pub(crate) struct Lent {
    _returned: oneshot::Sender<()>,
}

/// The way to a [`Session`].
#[derive(Clone)]
pub(crate) struct Jobs {
    queue: mpsc::Sender<Job>,
    lent: Arc<AtomicBool>,
}

impl Jobs {
    /// Compares, and gives the snapshot back.
    pub(crate) async fn compare(
        &self,
        snapshot: Snapshot,
        accept: AcceptOptions,
    ) -> Result<(Box<Snapshot>, Compared)> {
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Compare(Box::new(snapshot), accept, sender), answer)
            .await?
    }

    /// Remembers that a key opened a secret, and says how this machine came to know the entry before.
    pub(crate) async fn opened(
        &self,
        account_data: AccountData,
        name: SecretName,
        key_id: KeyId,
    ) -> Result<Option<Origin>> {
        let (sender, answer) = oneshot::channel();
        let job = Job::Opened(Box::new(account_data), name, key_id, sender);
        self.ask(job, answer).await?
    }

    /// Asks for the local state.
    pub(crate) async fn borrow_state(&self) -> Result<Lent> {
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Borrow(sender), answer).await
    }

    /// Asks other devices. Dropped, the request is taken back.
    pub(crate) async fn request(&self, name: SecretName, from: Option<String>) -> Result<Delivery> {
        let (sender, answer) = oneshot::channel();
        let job = Job::Ask(name, from, sender);
        self.queue.send(job).await.map_err(|_| ends())?;
        answer.await.map_err(|_| ends())?
    }

    async fn ask<T>(&self, job: Job, answer: oneshot::Receiver<T>) -> Result<T> {
        let asked = async {
            self.queue.send(job).await.ok()?;
            answer.await.ok()
        };
        match timeout(TIMEOUT, asked).await {
            Ok(answer) => answer.ok_or_else(ends),
            Err(_) if self.lent.load(Ordering::Relaxed) => Err(Error::new(
                Exit::Conflict,
                "another command uses the account: wait until it is done",
            )),
            Err(_) => Err(Error::new(
                Exit::Network,
                "the agent is waiting for the homeserver, which does not answer: try again later",
            )),
        }
    }
}

/// The local state of an account, in the hands of the agent.
pub(crate) struct Session {
    opening: Opening,
    state: LocalState,
    exchange: Option<Exchange<VaultSecrets>>,
    requests: Requests,
    jobs: mpsc::Receiver<Job>,
    unlocked: watch::Receiver<bool>,
    /// Whether the local state is in the hands of a command now.
    lent: Arc<AtomicBool>,
    /// The last setting given to the exchange.
    sharing: Sharing,
}

/// The mode of sharing secrets with other devices.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Sharing {
    /// Locked: none is sent, and none is taken.
    #[default]
    Paused,
    /// Locked, but a command waits for one: that goes into the hands of the user, and nowhere else.
    Taking,
    /// Unlocked: these may be sent, as far as the policy says so.
    Of(Vec<SecretName>),
}

enum Next {
    Job(Job),
    Device(Happened),
    GivenUp(fourfold::sharing::RequestId),
    Locked,
    PauseOver,
}

impl Session {
    pub(crate) fn new(mut opening: Opening, mut state: LocalState) -> Result<(Self, Jobs)> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let exchange = opening.exchange(&mut state)?;
        let lent = Arc::new(AtomicBool::new(false));
        let session = Self {
            unlocked: opening.vault.watch(),
            lent: Arc::clone(&lent),
            opening,
            state,
            exchange,
            requests: Requests::default(),
            jobs,
            sharing: Sharing::Paused,
        };
        Ok((session, Jobs { queue, lent }))
    }

    /// Works until the account is logged out.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            let is_followed = self.follow_lock().await?;
            match self.next(is_followed).await? {
                Next::Locked | Next::PauseOver => {}
                Next::Job(Job::Opened(account_data, name, key_id, answer)) => {
                    let state = &mut self.state;
                    let known = state.opened_one(&account_data, &name, &key_id);
                    let _ = answer.send(known.map_err(Error::from));
                }
                Next::Job(Job::Compare(snapshot, accept, answer)) => {
                    let compared = Compared::follow(&mut self.state, &snapshot, accept);
                    let names = self.names(&snapshot);
                    let _ = answer.send(compared.map(|compared| (snapshot, compared)));
                    // Other secrets may have come or gone.
                    if let (Some(names), Sharing::Of(_)) = (names, &self.sharing) {
                        self.share(Sharing::Of(names)).await?;
                    }
                }
                Next::Job(Job::Borrow(borrower)) => self = self.lend(borrower).await?,
                Next::Job(Job::Ask(name, from, recipient)) => match &mut self.exchange {
                    None => {
                        let _ = recipient.send(Err(no_device()));
                    }
                    Some(exchange) => {
                        let requests = &mut self.requests;
                        exchange.request(name, from, recipient, requests).await?;
                    }
                },
                Next::Device(happened) => {
                    if let Some(exchange) = &mut self.exchange {
                        exchange.carry_out(happened, &mut self.requests).await?;
                    }
                }
                Next::GivenUp(id) => {
                    if let Some(exchange) = &mut self.exchange {
                        exchange.abort(id, &mut self.requests).await?;
                    }
                }
            }
        }
    }

    /// Waits for what there is to do. As long as the device does not know that the agent was locked,
    /// or unlocked, it takes nothing in.
    async fn next(&mut self, is_followed: bool) -> Result<Next> {
        let device = async {
            match &mut self.exchange {
                Some(exchange) if is_followed => exchange.next().await.map(Next::Device),
                Some(exchange) => {
                    exchange.pause_is_over().await;
                    Ok(Next::PauseOver)
                }
                None => pending().await,
            }
        };
        tokio::select! {
            job = self.jobs.recv() => job.map(Next::Job).ok_or_else(ends),
            happened = device => happened,
            id = self.requests.given_up() => Ok(Next::GivenUp(id)),
            changed = self.unlocked.changed() => changed.map(|()| Next::Locked).map_err(|_| ends()),
        }
    }

    /// Shares as long as the agent is unlocked. `false` when the device could not keep that.
    async fn follow_lock(&mut self) -> Result<bool> {
        if !*self.unlocked.borrow_and_update() {
            let is_waiting = !self.requests.is_empty();
            let wanted = if is_waiting {
                Sharing::Taking
            } else {
                Sharing::Paused
            };
            return self.share(wanted).await;
        }
        if matches!(self.sharing, Sharing::Of(_)) || self.exchange.is_none() {
            return Ok(true);
        }
        match self.opening.context.account.snapshot().await {
            Ok(snapshot) => {
                let names = self.names(&snapshot).unwrap_or_default();
                self.share(Sharing::Of(names)).await
            }
            // Tried again with whatever happens next.
            Err(_) => Ok(true),
        }
    }

    async fn share(&mut self, wanted: Sharing) -> Result<bool> {
        let Some(exchange) = &mut self.exchange else {
            return Ok(true);
        };
        if wanted == self.sharing {
            return Ok(true);
        }
        let is_kept = match &wanted {
            Sharing::Paused => exchange.pause_sharing()?,
            Sharing::Taking => exchange.share(Vec::new(), &mut self.requests).await?,
            Sharing::Of(names) => exchange.share(names.clone(), &mut self.requests).await?,
        };
        if is_kept {
            self.sharing = wanted;
        }
        Ok(is_kept)
    }

    /// The secrets of a snapshot that could be shared now.
    fn names(&self, snapshot: &Snapshot) -> Option<Vec<SecretName>> {
        let exchange = self.exchange.as_ref()?;
        Some(exchange.secrets().names(snapshot))
    }

    async fn lend(self, borrower: oneshot::Sender<Lent>) -> Result<Self> {
        let Self {
            mut opening,
            state,
            exchange,
            requests,
            jobs,
            unlocked,
            lent,
            ..
        } = self;
        drop((exchange, state));
        lent.store(true, Ordering::Relaxed);
        let (returned, wait_for_return) = oneshot::channel();
        if borrower
            .send(Lent {
                _returned: returned,
            })
            .is_ok()
        {
            // Nobody sends anything: it is dropped, or the process on the other side is gone.
            let _ = wait_for_return.await;
        }
        let (state, exchange) = opening.reopen().await?;
        lent.store(false, Ordering::Relaxed);
        Ok(Self {
            opening,
            state,
            exchange,
            requests,
            jobs,
            unlocked,
            lent,
            sharing: Sharing::Paused,
        })
    }
}

/// Why a device without keys cannot ask.
pub(crate) fn no_device() -> Error {
    Error::new(
        Exit::NotVerified,
        "this device has no keys: no other device can answer it",
    )
    .hint("verify it first: fourfold device verify")
}

fn ends() -> Error {
    Error::new(Exit::Conflict, "the agent is about to stop")
}

const QUEUE: usize = 32;

/// The time for which a command waits for its turn.
const TIMEOUT: Duration = Duration::from_secs(5);

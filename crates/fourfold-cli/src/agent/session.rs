//! What holds the local state, does with it what others need done, and lends it.

use std::{path::PathBuf, time::Duration};

use fourfold::Snapshot;
use fourfold_client::{LocalState, LocalStateError};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    account::Compared,
    error::{Error, Exit, Result},
};

/// Work for whoever holds the local state.
pub(crate) enum Job {
    /// Compare what the homeserver shows with what this machine has seen before.
    Compare(
        Box<Snapshot>,
        oneshot::Sender<Result<(Box<Snapshot>, Compared)>>,
    ),
    /// Close the local state, and open it again when what is sent back is dropped.
    Borrow(oneshot::Sender<Lent>),
}

/// As long as it lives, the local state belongs to somebody else.
pub(crate) struct Lent {
    _returned: oneshot::Sender<()>,
}

/// The way to a [`Session`].
#[derive(Clone)]
pub(crate) struct Jobs(mpsc::Sender<Job>);

impl Jobs {
    /// Compares, and gives the snapshot back.
    pub(crate) async fn compare(&self, snapshot: Snapshot) -> Result<(Box<Snapshot>, Compared)> {
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Compare(Box::new(snapshot), sender), answer)
            .await?
    }

    /// Asks for the local state.
    pub(crate) async fn borrow_state(&self) -> Result<Lent> {
        let (sender, answer) = oneshot::channel();
        self.ask(Job::Borrow(sender), answer).await
    }

    async fn ask<T>(&self, job: Job, answer: oneshot::Receiver<T>) -> Result<T> {
        let asked = async {
            self.0.send(job).await.ok()?;
            answer.await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Error::new(Exit::Conflict, "the agent is about to end")),
            Err(_) => Err(Error::new(
                Exit::Conflict,
                "another command uses the account: wait until it is done",
            )),
        }
    }
}

/// The local state of an account, in the hands of the agent.
pub(crate) struct Session {
    folder: PathBuf,
    state: LocalState,
    jobs: mpsc::Receiver<Job>,
}

impl Session {
    pub(crate) fn new(folder: PathBuf, state: LocalState) -> (Self, Jobs) {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let session = Self {
            folder,
            state,
            jobs,
        };
        (session, Jobs(sender))
    }

    /// Works until the account is logged out.
    pub(crate) async fn run(mut self) -> Result<()> {
        while let Some(job) = self.jobs.recv().await {
            match job {
                Job::Compare(snapshot, answer) => {
                    let compared = Compared::of(&mut self.state, &snapshot);
                    let _ = answer.send(compared.map(|compared| (snapshot, compared)));
                }
                Job::Borrow(answer) => self = self.lend(answer).await?,
            }
        }
        Ok(())
    }

    async fn lend(self, borrower: oneshot::Sender<Lent>) -> Result<Self> {
        let Self {
            folder,
            state,
            jobs,
        } = self;
        let user_id = state.user_id().to_owned();
        let device_id = device_of(&state)?;
        drop(state);
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
        let state = loop {
            match LocalState::open(&folder, &user_id) {
                // A command that came without asking.
                Err(LocalStateError::Locked { .. }) => sleep(PAUSE).await,
                state => break state?,
            }
        };
        if device_of(&state)? != device_id {
            return Err(Error::refused("logged in anew: start the agent again"));
        }
        Ok(Self {
            folder,
            state,
            jobs,
        })
    }
}

fn device_of(state: &LocalState) -> Result<Option<String>> {
    let session = state.session()?;
    let session = session.ok_or_else(|| Error::refused("logged out: the agent ends"))?;
    Ok(session.device_id)
}

const QUEUE: usize = 32;

/// How long a command waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(50);

//! What holds the local state and the device, does with them what others need done, and lends them.

use std::{future::pending, path::PathBuf, sync::Arc, time::Duration};

use fourfold::{SecretName, Snapshot, sharing::Policy};
use fourfold_client::{Device, DeviceError, LocalState, LocalStateError, SealingKey};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use crate::{
    account::Compared,
    agent::{
        exchange::{Exchange, Happened, Surroundings},
        requests::{Delivery, Recipient, Requests},
        secrets::VaultSecrets,
        vault::Vault,
    },
    error::{Error, Exit, Result},
    sealing_key::{self, SealingOptions},
    ui,
};

/// Work for whoever holds the local state.
pub(crate) enum Job {
    /// Ask other devices for a secret.
    Ask(SecretName, Option<String>, Recipient),
    /// Close the local state, and open it again when what is sent back is dropped.
    Borrow(oneshot::Sender<Lent>),
    /// Compare what the homeserver shows with what this machine has seen before.
    Compare(
        Box<Snapshot>,
        oneshot::Sender<Result<(Box<Snapshot>, Compared)>>,
    ),
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

    /// Asks other devices. Dropped, the request is taken back.
    pub(crate) async fn request(&self, name: SecretName, from: Option<String>) -> Result<Delivery> {
        let (sender, answer) = oneshot::channel();
        let job = Job::Ask(name, from, sender);
        self.0.send(job).await.map_err(|_| ends())?;
        answer.await.map_err(|_| ends())?
    }

    async fn ask<T>(&self, job: Job, answer: oneshot::Receiver<T>) -> Result<T> {
        let asked = async {
            self.0.send(job).await.ok()?;
            answer.await.ok()
        };
        match timeout(PATIENCE, asked).await {
            Ok(answer) => answer.ok_or_else(ends),
            Err(_) => Err(Error::new(
                Exit::Conflict,
                "another command uses the account: wait until it is done",
            )),
        }
    }
}

/// How a session opens the local state and the device in it.
pub(crate) struct Opening {
    pub(crate) folder: PathBuf,
    pub(crate) user_id: String,
    pub(crate) device_id: Option<String>,
    pub(crate) sealing: SealingOptions,
    /// Kept, so that nobody is asked for a passphrase twice.
    pub(crate) key: Option<SealingKey>,
    pub(crate) policy: Policy,
    pub(crate) vault: Arc<Vault>,
    pub(crate) around: Surroundings,
}

/// The local state of an account, in the hands of the agent.
pub(crate) struct Session {
    opening: Opening,
    state: LocalState,
    exchange: Option<Exchange<VaultSecrets>>,
    requests: Requests,
    jobs: mpsc::Receiver<Job>,
    unlocked: watch::Receiver<bool>,
    /// What the exchange was told last.
    sharing: Sharing,
}

/// What happens with secrets on their way between devices.
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
}

impl Session {
    pub(crate) fn new(mut opening: Opening, mut state: LocalState) -> Result<(Self, Jobs)> {
        let (sender, jobs) = mpsc::channel(QUEUE);
        let exchange = opening.exchange(&mut state)?;
        let session = Self {
            unlocked: opening.vault.watch(),
            opening,
            state,
            exchange,
            requests: Requests::default(),
            jobs,
            sharing: Sharing::Paused,
        };
        Ok((session, Jobs(sender)))
    }

    /// Works until the account is logged out.
    pub(crate) async fn run(mut self) -> Result<()> {
        loop {
            self.follow_lock().await?;
            match self.next().await? {
                Next::Locked => {}
                Next::Job(Job::Compare(snapshot, answer)) => {
                    let compared = Compared::of(&mut self.state, &snapshot);
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

    async fn next(&mut self) -> Result<Next> {
        let device = async {
            match &mut self.exchange {
                Some(exchange) => exchange.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            job = self.jobs.recv() => job.map(Next::Job).ok_or_else(ends),
            happened = device => happened.map(Next::Device),
            id = self.requests.given_up() => Ok(Next::GivenUp(id)),
            changed = self.unlocked.changed() => changed.map(|()| Next::Locked).map_err(|_| ends()),
        }
    }

    /// Shares as long as the agent is unlocked.
    async fn follow_lock(&mut self) -> Result<()> {
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
            return Ok(());
        }
        match self.opening.around.account.snapshot().await {
            Ok(snapshot) => {
                let names = self.names(&snapshot).unwrap_or_default();
                self.share(Sharing::Of(names)).await
            }
            // Tried again with whatever happens next.
            Err(_) => Ok(()),
        }
    }

    async fn share(&mut self, wanted: Sharing) -> Result<()> {
        let Some(exchange) = &mut self.exchange else {
            return Ok(());
        };
        if wanted == self.sharing {
            return Ok(());
        }
        match &wanted {
            Sharing::Paused => exchange.pause_sharing()?,
            Sharing::Taking => exchange.share(Vec::new(), &mut self.requests).await?,
            Sharing::Of(names) => exchange.share(names.clone(), &mut self.requests).await?,
        }
        self.sharing = wanted;
        Ok(())
    }

    /// What of a snapshot could be shared now.
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
            ..
        } = self;
        drop((exchange, state));
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
        let mut state = loop {
            match LocalState::open(&opening.folder, &opening.user_id) {
                // A command that came without asking.
                Err(LocalStateError::Locked { .. }) => sleep(PAUSE).await,
                state => break state?,
            }
        };
        let session = state.session()?;
        let session = session.ok_or_else(|| Error::refused("logged out: the agent ends"))?;
        if session.device_id != opening.device_id {
            return Err(Error::refused("logged in anew: start the agent again"));
        }
        let exchange = opening.exchange(&mut state)?;
        Ok(Self {
            opening,
            state,
            exchange,
            requests,
            jobs,
            unlocked,
            sharing: Sharing::Paused,
        })
    }
}

impl Opening {
    /// The device at work, if it has keys. They are made by `setup` and by `device verify`.
    fn exchange(&mut self, state: &mut LocalState) -> Result<Option<Exchange<VaultSecrets>>> {
        let Some(device) = self.device(state)? else {
            return Ok(None);
        };
        let secrets = VaultSecrets {
            account: self.around.account.clone(),
            vault: Arc::clone(&self.vault),
        };
        let around = self.around.clone();
        Exchange::new(device, secrets, around, self.policy.clone()).map(Some)
    }

    fn device(&mut self, state: &mut LocalState) -> Result<Option<Device>> {
        if !Device::exists(state)? {
            ui::say("this device has no keys yet: it neither asks other devices nor answers them");
            ui::say("fourfold setup, or fourfold device verify, makes them");
            return Ok(None);
        }
        if let Some(key) = &self.key
            && let Ok(device) = Device::open(state, key)
        {
            return Ok(Some(device));
        }
        let sealing = sealing_key::find(state, &self.sealing)?;
        match Device::open(state, &sealing.key) {
            Err(DeviceError::NoKeys | DeviceError::OtherDevice) => Ok(None),
            Err(DeviceError::WrongKey) if !sealing.is_in_use => Ok(None),
            device => {
                sealing.remember()?;
                self.key = Some(sealing.key);
                Ok(Some(device?))
            }
        }
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
    Error::new(Exit::Conflict, "the agent is about to end")
}

const QUEUE: usize = 32;

/// How long a command waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(50);

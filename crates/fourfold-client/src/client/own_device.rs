//! What is done with the device that this log-in is.

use std::time::Duration;

use fourfold::backup::CurrentBackup;
use fourfold::cross_signing::{ConfirmedDevice, OpenedKeys};
use fourfold::plan::{Bootstrap, BootstrapError, BootstrapKey, KnownAccount, Wishes};
use fourfold::rand_core::UnwrapErr;
use fourfold::sharing::{Policy, PromptId};
use fourfold::signable::Signable;
use fourfold::{PublishedKeys, Secret, SecretName, SecretStorageKey};
use tokio::sync::{MappedMutexGuard, MutexGuard};

use super::{Client, ClientError, Unanswered};
use crate::{
    Device, DeviceError, DeviceEvent, NewDevice, Password, SecretSource, SelfVerification,
    VerifySelfError,
};

impl Client {
    /// The device that this log-in is. Nothing is sent, and its keys are made when they are needed
    /// first.
    #[must_use]
    pub fn device(&self) -> OwnDevice<'_> {
        OwnDevice { client: self }
    }
}

/// The device of a [`Client`]. Its keys are made and published when a function needs them first.
///
/// Each function is one call for what [`Device`] does in parts, and holds the device until it is done: others
/// wait.
#[derive(Clone, Copy, Debug)]
pub struct OwnDevice<'a> {
    client: &'a Client,
}

impl<'a> OwnDevice<'a> {
    /// Sets the account up, or completes what is missing: the key of secret storage, the identity,
    /// this device and the key backup. Returns what was done.
    ///
    /// [`KeyChoice`](fourfold::plan::KeyChoice) says whether `key` must be one that is there. A new one
    /// must reach its owner before this is called. What is replaced is what the user wished to replace.
    /// An interruption loses nothing: calling this again with the same key goes on.
    ///
    /// ```no_run
    /// use fourfold::NewKey;
    /// use fourfold::plan::{BootstrapKey, Wishes};
    /// use fourfold::rand_core::UnwrapErr;
    /// # async fn example(client: &fourfold_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let new = NewKey::random(None, &mut UnwrapErr(getrandom::SysRng));
    /// let recovery_key = new.key().key().expose_recovery_key();
    /// println!("keep this: {}", &*recovery_key);
    /// let key = BootstrapKey::New(new);
    /// let done = client.device().set_up(&key, Wishes::default(), None).await?;
    /// assert!(done.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClientError::Bootstrap`] when the account cannot be set up without replacing something;
    /// [`ClientError::Apply`] that [needs the password](crate::ApplyError::needs_password) when the
    /// homeserver wants it: call this again with it. And as [`Client::snapshot`].
    pub async fn set_up(
        self,
        key: &BootstrapKey,
        wishes: Wishes,
        password: Option<&Password>,
    ) -> Result<Bootstrap, ClientError> {
        let client = self.client;
        client.resume(password).await?;
        let snapshot = client.snapshot().await?;
        let mut device = self.lock().await?;
        let (published, log_ins) = if wishes.signing_keys {
            let lists = client.account.device_lists().await?;
            let log_ins = lists.logged_in();
            (lists.keys, log_ins)
        } else {
            (client.account.published_keys().await?, None)
        };
        let shown = CurrentBackup::of(&snapshot);
        let older = match wishes.backup {
            true => client.account.older_key_backups(&snapshot).await,
            false => Vec::new(),
        };
        let remembered = device.remembered()?;
        let account = KnownAccount {
            account_data: &snapshot.account_data,
            published: &published,
            current_backup: &shown,
            older_backups: &older,
            trust: remembered.trust.as_ref(),
            remembered_backup: remembered.backup.as_ref(),
            made_here: &remembered.unstored,
            log_ins: log_ins.as_ref(),
            wishes,
        };
        let this = ConfirmedDevice::own(device.device_keys()).map_err(BootstrapError::from)?;
        let sign = |object: &mut Signable| Ok::<(), ClientError>(device.sign(object)?);
        let mut rng = UnwrapErr(getrandom::SysRng);
        let bootstrap = Bootstrap::new(&account, key, &this, sign, &mut rng)?;
        device
            .prepare_bootstrap(&client.account, &bootstrap)
            .await?;
        client
            .apply_with(snapshot.clear(bootstrap.plan()), password, |_| {})
            .await?;
        device.settle_bootstrap(&client.account, &bootstrap).await?;
        let done = client.snapshot().await?;
        let state = bootstrap.backup_state(&done, remembered.backup.as_ref(), key.proven());
        if state.is_ours()
            && let Some(backup) = &done.published_keys().backup
        {
            device.remember_backup(backup)?;
        }
        Ok(bootstrap)
    }

    /// Verifies this device with a key of secret storage: opens the keys of the identity, compares
    /// them with what is published, signs this device, reads the signature back, and holds on to the
    /// master key. Afterwards the other devices of the user share secrets with it.
    ///
    /// # Errors
    ///
    /// [`ClientError::VerifySelf`], and as [`Client::snapshot`].
    pub async fn verify_self(
        self,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<SelfVerification, ClientError> {
        let client = self.client;
        let snapshot = client.snapshot().await?;
        let mut device = self.lock().await?;
        let published = client.account.published_keys().await?;
        let published_keys = PublishedKeys {
            identity: Some(published.identity().clone()),
            backup: None,
        };
        let opened = OpenedKeys::open(&snapshot.storage(), key.as_ref(), &published_keys);
        let keys = opened
            .for_signing_devices()
            .map_err(VerifySelfError::from)?;
        let mut state = client.state().await;
        let verified = device
            .verify_self(&client.account, &mut state, &snapshot, &keys, false)
            .await;
        Ok(verified?)
    }

    /// Asks the user's other devices for a secret, and waits until one has answered or none will.
    /// Only verified devices are asked, and this one must be verified for them. An answer that came
    /// before, when nobody waited for it, is taken without asking again.
    ///
    /// What else happens meanwhile is told by the next [`sync`](Self::sync) or [`share`](Self::share).
    ///
    /// # Errors
    ///
    /// [`ClientError::Unanswered`]; [`DeviceError::CannotAsk`] at once when no device would answer, or
    /// there is none; and the errors of every call and of the file system; a server that
    /// cannot be reached is an error after as many [attempts](crate::Options::attempts) in a row. A
    /// request that ends with an error of a call, or whose future is dropped, stays open: its answer is
    /// found by the next one.
    pub async fn request(self, name: &SecretName) -> Result<Secret, ClientError> {
        let mut device = self.lock().await?;
        let answer = device.request_and_wait(&self.client.account, name).await?;
        answer.map_err(|outcome| {
            let name = name.clone();
            Unanswered { name, outcome }.into()
        })
    }

    /// Answers the requests of the user's other devices by a policy, for as long as it is awaited;
    /// `tell` hears what happens.
    ///
    /// `names` are the secrets that may be shared at all; `secrets` is asked for one at the moment at
    /// which it is needed.
    ///
    /// Where the policy wants the user to be asked, `tell` hears the [prompt](DeviceEvent::Prompt). This
    /// holds the device as long as it is awaited, so it cannot be answered meanwhile: drop the future,
    /// which loses nothing, [answer](Self::answer_prompt), and share again. A program that has prompts
    /// often loops over [`Device::wait`] and [`Device::take`] instead ([`Client::into_parts`]).
    ///
    /// # Errors
    ///
    /// Ends with an error only: [`Device::run`].
    pub async fn share(
        self,
        names: Vec<SecretName>,
        policy: Policy,
        secrets: &mut impl SecretSource,
        tell: impl FnMut(DeviceEvent) + Send,
    ) -> ClientError {
        let mut device = match self.lock().await {
            Ok(device) => device,
            Err(error) => return error,
        };
        let ready = device
            .set_policy(policy)
            .and_then(|()| device.set_shareable(names));
        if let Err(error) = ready {
            return error.into();
        }
        device.run(&self.client.account, secrets, tell).await.into()
    }

    /// Answers a [prompt](DeviceEvent::Prompt): the secrets that may be shared, none for "No". They are
    /// shared by the next [`share`](Self::share).
    ///
    /// # Errors
    ///
    /// The errors of every call and of the file system.
    pub async fn answer_prompt(
        self,
        prompt: PromptId,
        allowed: Vec<SecretName>,
    ) -> Result<(), ClientError> {
        Ok(self.lock().await?.answer_prompt(prompt, allowed)?)
    }

    /// Takes in what the server has for this device, after waiting for it at most so long, and
    /// answers what can be answered: [`Device::sync_once`]. Does not wait when there is something to
    /// tell already.
    ///
    /// # Errors
    ///
    /// The errors of every call and of the file system.
    pub async fn sync(
        self,
        timeout: Duration,
        secrets: &mut impl SecretSource,
    ) -> Result<Vec<DeviceEvent>, ClientError> {
        let mut device = self.lock().await?;
        let has_untold = device.has_untold();
        let timeout = if has_untold { Duration::ZERO } else { timeout };
        let told = device.sync_once(&self.client.account, timeout, secrets);
        Ok(told.await?)
    }

    /// The device, with keys that are kept and published from now on.
    async fn lock(self) -> Result<MappedMutexGuard<'a, Device>, ClientError> {
        let mut device = self.client.device.lock().await;
        if device.is_none() {
            let mut opened = self.open().await?;
            opened.upload_keys(&self.client.account).await?;
            *device = Some(opened);
        }
        MutexGuard::try_map(device, Option::as_mut).map_err(|_| DeviceError::NoKeys.into())
    }

    /// The keys that are kept, or new ones. What the server shows under the ID of this device must be
    /// what is here: keys that were not made here are not this device.
    async fn open(self) -> Result<Device, ClientError> {
        let client = self.client;
        let published = client.account.published_keys().await?;
        let mut state = client.state().await;
        if Device::exists(&state)? {
            match Device::open(&mut state, &client.sealing) {
                Err(DeviceError::NoKeys | DeviceError::OtherDevice) => {}
                opened => {
                    let device = opened?;
                    device
                        .check_shown(&published)
                        .map_err(VerifySelfError::from)?;
                    return Ok(device);
                }
            }
        }
        let new = NewDevice::generate(&state)?;
        new.check_shown(&published)?;
        Ok(new.keep(&mut state, &client.sealing)?)
    }
}

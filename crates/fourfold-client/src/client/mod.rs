//! An account as a program uses it: one call for each thing that is done with it.

mod error;
mod log_in;
mod own_device;

use std::path::Path;

use fourfold::judged::{Cleared, Writable};
use fourfold::{Plan, Snapshot};
use tokio::sync::{Mutex, MutexGuard};

pub use self::error::{ClientError, Unanswered};
pub use self::log_in::LogIn;
pub use self::own_device::OwnDevice;
use crate::{
    Account, ApplyError, Device, DeviceError, LocalState, Options, Password, Progress, SealingKey,
    apply, resume,
};

/// An account, with what this machine remembers of it and the device that this log-in is.
///
/// Made by [`Homeserver::log_in`](crate::Homeserver::log_in), or by [`open`](Self::open) when an
/// earlier log-in was kept. Its functions take `&self`, so that one client serves several tasks; those that
/// use the device wait for each other, and so do those that use the local state.
///
/// Each function is one call for what [`Account`], [`LocalState`], [`Device`] and
/// [`apply()`](crate::apply()) do in parts: [`into_parts`](Self::into_parts) gives them.
///
/// ```no_run
/// use fourfold_client::{Homeserver, Password};
/// # async fn example(password: &Password) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Homeserver::discover("example.org").await?.log_in("bot", password).await?;
/// let snapshot = client.snapshot().await?;
/// println!("{} keys", snapshot.storage().keys().count());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    account: Account,
    sealing: SealingKey,
    state: Mutex<LocalState>,
    /// `None` until it is used.
    device: Mutex<Option<Device>>,
}

impl Client {
    /// Goes on with a log-in that was [kept in a folder](LogIn::kept_in). Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ClientError::LocalState`], [`ClientError::Device`] with
    /// [`LoggedOut`](crate::DeviceError::LoggedOut) when the session was forgotten and with
    /// [`WrongKey`](crate::DeviceError::WrongKey) when the device is sealed with another key, and
    /// [`ClientError::Server`] when the kept address or token cannot be used.
    pub fn open(
        folder: &Path,
        user_id: &str,
        sealing: &SealingKey,
        options: &Options,
    ) -> Result<Self, ClientError> {
        let state = LocalState::open(folder, user_id)?;
        let session = state.session()?.ok_or(DeviceError::LoggedOut)?;
        Device::check_key(&state, sealing)?;
        let account = Account::new(session, options)?;
        Ok(Self::from_parts(account, state, sealing.clone()))
    }

    /// Puts a client together. The state must be of the account.
    #[must_use]
    pub fn from_parts(account: Account, state: LocalState, sealing: SealingKey) -> Self {
        Self {
            account,
            sealing,
            state: Mutex::new(state),
            device: Mutex::new(None),
        }
    }

    /// The parts that it is put together of; the device when it was used.
    #[must_use]
    pub fn into_parts(self) -> (Account, LocalState, Option<Device>) {
        (
            self.account,
            self.state.into_inner(),
            self.device.into_inner(),
        )
    }

    /// The account, for calls that this type has no function for.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.account.user_id()
    }

    /// Fetches everything that secret storage is about, and compares it with what this machine has
    /// seen: [`Account::snapshot`] and [`LocalState::judge`] in one. Secrets are opened in it, and
    /// plans are [cleared](Writable::clear) by it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Suspicious`] when the server shows an older or weaker state than was seen, or
    /// other keys; [`accept`](Self::accept) takes it when the user made these changes. And the errors
    /// of every call and of the file system.
    pub async fn snapshot(&self) -> Result<Writable, ClientError> {
        let snapshot = self.account.snapshot().await?;
        let compared = self.state().await.judge(&snapshot, false)?;
        Ok(compared.for_writing(snapshot)?)
    }

    /// Takes a snapshot as it is, because the user made the changes in it: later ones are compared
    /// with this.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub async fn accept(&self, snapshot: Snapshot) -> Result<Writable, ClientError> {
        self.state().await.pin(&snapshot)?;
        Ok(Writable::accepted(snapshot))
    }

    /// Carries out a plan, step by step, so that a crash loses nothing: [`apply()`](crate::apply())
    /// without a password and without progress.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]. A plan that [needs the password](ApplyError::needs_password) goes on with
    /// [`apply_with`](Self::apply_with).
    pub async fn apply(&self, plan: Cleared<'_>) -> Result<(), ApplyError> {
        self.apply_with(plan, None, |_| {}).await
    }

    /// As [`apply`](Self::apply), with the password of the account for the steps that need it, and
    /// telling about every step.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub async fn apply_with(
        &self,
        plan: Cleared<'_>,
        password: Option<&Password>,
        observe: impl FnMut(Progress<'_>),
    ) -> Result<(), ApplyError> {
        let mut state = self.state().await;
        apply(&self.account, &mut state, plan, password, observe).await
    }

    /// Goes on with a plan that an earlier run of the program has begun, and returns it; `None` when
    /// there is none. The account is compared before, as by [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot) and [`apply`](Self::apply).
    pub async fn resume(&self, password: Option<&Password>) -> Result<Option<Plan>, ClientError> {
        if self.state().await.journal()?.is_none() {
            return Ok(None);
        }
        let now = self.snapshot().await?;
        let mut state = self.state().await;
        Ok(resume(&self.account, &mut state, &now, password, |_| {}).await?)
    }

    /// Ends the session, on the server and here. What was seen before stays remembered, so that the
    /// server cannot roll anything back in the meantime.
    ///
    /// # Errors
    ///
    /// The errors of every call and of the file system.
    pub async fn log_out(&self) -> Result<(), ClientError> {
        self.account.log_out().await?;
        Ok(self.state().await.forget_session()?)
    }

    async fn state(&self) -> MutexGuard<'_, LocalState> {
        self.state.lock().await
    }
}

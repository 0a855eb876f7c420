//! Logging in.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::Path;
use std::pin::Pin;

use fourfold::rand_core::UnwrapErr;
use getrandom::SysRng;

use super::{Client, ClientError};
use crate::{Device, Error, Homeserver, LocalState, LoginName, Password, SealingKey, Session};

impl Homeserver {
    /// Logs in with a password. Await it for a [`Client`], or [`session`](LogIn::session) for the
    /// session alone.
    ///
    /// `user` is a whole user ID or the part before the colon, as [`LoginName::new`] takes it. A
    /// session of another user or another device than was asked for is not given out: it is ended, at
    /// this server and at no other.
    ///
    /// ```no_run
    /// use fourfold_client::{Homeserver, Password, SealingKey};
    /// # async fn example(
    /// #     password: &Password, folder: &std::path::Path, key: &SealingKey,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// let homeserver = Homeserver::discover("example.org").await?;
    /// let client = homeserver
    ///     .log_in("bot", password)
    ///     .device_name("token keeper")
    ///     .kept_in(folder, key)
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_in<'a>(&'a self, user: &'a str, password: &'a Password) -> LogIn<'a> {
        LogIn {
            homeserver: self,
            user,
            password,
            device_id: None,
            device_name: None,
            kept_in: None,
        }
    }
}

/// A log-in that is going to be made: what [`Homeserver::log_in`] gives.
#[must_use = "nothing is sent before it is awaited"]
pub struct LogIn<'a> {
    homeserver: &'a Homeserver,
    user: &'a str,
    password: &'a Password,
    device_id: Option<&'a str>,
    device_name: Option<&'a str>,
    kept_in: Option<(&'a Path, &'a SealingKey)>,
}

impl<'a> LogIn<'a> {
    /// Continues the device with this ID, which was logged out softly, in place of a new one.
    pub fn device_id(mut self, id: impl Into<Option<&'a str>>) -> Self {
        self.device_id = id.into();
        self
    }

    /// The name that other devices show for this one.
    pub fn device_name(mut self, name: impl Into<Option<&'a str>>) -> Self {
        self.device_name = name.into();
        self
    }

    /// Keeps the session, what is seen of the account, and the keys of the device in a file in this
    /// folder; the keys sealed. Without this they are in memory and gone when the program ends.
    ///
    /// What a device of the account keeps there already must open with the same key; otherwise the
    /// log-in ends with [`WrongKey`](crate::DeviceError::WrongKey) before anything is sent. When that key
    /// is lost, [`session`](Self::session), [`LocalState::create`] and
    /// [`Device::create`](crate::Device::create) begin anew.
    pub fn kept_in(mut self, folder: &'a Path, sealing: &'a SealingKey) -> Self {
        self.kept_in = Some((folder, sealing));
        self
    }

    /// Logs in, and gives the session alone: nothing is kept.
    ///
    /// # Errors
    ///
    /// [`InvalidUser`](crate::ErrorKind::InvalidUser),
    /// [`Matrix`](crate::ErrorKind::Matrix) with `M_FORBIDDEN` when the name or the password is
    /// wrong, [`OtherUser`](crate::ErrorKind::OtherUser),
    /// [`OtherDevice`](crate::ErrorKind::OtherDevice), and the errors of every call. It is not
    /// repeated when nobody knows whether it arrived.
    pub async fn session(self) -> Result<Session, Error> {
        let name = LoginName::new(self.user)?;
        self.homeserver
            .session_by_password(&name, self.password, self.device_id, self.device_name)
            .await
    }

    async fn client(self) -> Result<Client, ClientError> {
        let homeserver = self.homeserver;
        let (state, sealing, session) = match self.kept_in {
            None => {
                let session = self.session().await?;
                let sealing = SealingKey::generate(&mut UnwrapErr(SysRng));
                (LocalState::in_memory(&session)?, sealing, session)
            }
            Some((folder, sealing)) => {
                let name = LoginName::new(self.user)?;
                // Before the password is sent, which goes to nobody but the homeserver of the account.
                LocalState::check_log_in(folder, &name, homeserver)?;
                for user_id in LocalState::meant_by(folder, &name, homeserver)? {
                    Device::check_key(&LocalState::open(folder, &user_id)?, sealing)?;
                }
                let session = self.session().await?;
                let state = kept(homeserver, folder, &session).await?;
                (state, sealing.clone(), session)
            }
        };
        let account = homeserver.account(session)?;
        Ok(Client::from_parts(account, state, sealing))
    }
}

/// Keeps a session, and ends the one that it takes the place of once it works; and itself when it
/// cannot be kept, because nobody could use it.
async fn kept(
    homeserver: &Homeserver,
    folder: &Path,
    session: &Session,
) -> Result<LocalState, ClientError> {
    let account = homeserver.account(session.clone())?;
    match LocalState::take_over(folder, session) {
        Ok((state, earlier)) => {
            if let Some(earlier) = earlier
                && account.whoami().await.is_ok()
            {
                // If it stays logged in, the user's list of devices shows it.
                let _ = homeserver.end_replaced(&earlier).await;
            }
            Ok(state)
        }
        Err(error) => {
            let _ = account.log_out().await;
            Err(error.into())
        }
    }
}

impl<'a> IntoFuture for LogIn<'a> {
    type Output = Result<Client, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.client())
    }
}

impl fmt::Debug for LogIn<'_> {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogIn")
            .field("homeserver", &self.homeserver.base_url())
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

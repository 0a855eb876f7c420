//! An account: everything that is asked with an access token.

mod backup_versions;
mod cross_signing;
mod devices;
mod history;
mod key_backup;
mod keys;
mod names;
mod snapshot;
mod sync;
mod to_device;

pub use backup_versions::{BackupSample, ShownBackup};
pub use cross_signing::RefusedSignature;
pub(crate) use devices::logged_in;
pub use devices::{DeviceInfo, DeviceLists};
pub use history::{HistoryEntry, HistoryPage};
use std::time::Duration;

use fourfold::Content;
pub(crate) use key_backup::FoundBackup;
use tracing::instrument;

pub(crate) use self::sync::SyncAnswer;
use crate::error::{Error, ErrorKind};
use crate::path::Path;
use crate::transport::{Condition, Request};
use crate::{Homeserver, Options, Session, WhoAmI};

/// A user's account on a homeserver: a [`Homeserver`] and a [`Session`]. Cheap to clone.
///
/// ```no_run
/// use fourfold_client::{Account, Options, Session};
/// # async fn example(session: Session) -> Result<(), fourfold_client::Error> {
/// let account = Account::new(session, &Options::default())?;
/// if account.account_data("m.secret_storage.default_key").await?.is_none() {
///     println!("{} has no secret storage", account.user_id());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Account {
    homeserver: Homeserver,
    session: Session,
}

impl Account {
    /// Acts for the user of a session. Nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`Homeserver::new`], and [`InvalidToken`](crate::ErrorKind::InvalidToken).
    pub fn new(session: Session, options: &Options) -> Result<Self, Error> {
        Self::at(Homeserver::new(&session.homeserver, options)?, session)
    }

    pub(crate) fn at(homeserver: Homeserver, session: Session) -> Result<Self, Error> {
        session
            .access_token()
            .header()
            .map_err(|error| error.at(homeserver.base_url()))?;
        Ok(Self {
            homeserver,
            session,
        })
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The homeserver.
    #[must_use]
    pub fn homeserver(&self) -> &Homeserver {
        &self.homeserver
    }

    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.session.user_id
    }

    /// The device; `None` for a token that belongs to no device.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        self.session.device_id.as_deref()
    }

    /// Asks the server whether the access token still is that of this user and this device.
    ///
    /// # Errors
    ///
    /// [`LoggedOut`](crate::ErrorKind::LoggedOut), [`OtherUser`](crate::ErrorKind::OtherUser) and
    /// [`OtherDevice`](crate::ErrorKind::OtherDevice) when the server says that it is somebody
    /// else's, and the errors of every call.
    pub async fn whoami(&self) -> Result<WhoAmI, Error> {
        self.homeserver.who_is_in(&self.session).await
    }

    /// Ends the session. A session that the server has ended already is a success.
    ///
    /// # Errors
    ///
    /// The errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn log_out(&self) -> Result<(), Error> {
        let token = self.session.access_token();
        self.homeserver.end_session(token).await
    }

    /// The content of an event of global account data: the JSON text exactly as it was received,
    /// `None` when there is none. What is written goes through [`apply`](crate::apply()), so that
    /// nothing is overwritten that another client wrote meanwhile.
    ///
    /// # Errors
    ///
    /// [`InvalidSegment`](crate::ErrorKind::InvalidSegment) for an impossible event type,
    /// [`Malformed`](crate::ErrorKind::Malformed) when it is not JSON, and the errors of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id(), event_type))]
    pub async fn account_data(&self, event_type: &str) -> Result<Option<String>, Error> {
        self.read(event_type).await.map(|stored| stored.json)
    }

    /// As [`account_data`](Self::account_data), with what a later write needs to notice a change.
    pub(crate) async fn read(&self, event_type: &str) -> Result<Stored, Error> {
        let request = Request::get(self.account_data_path(event_type)?).with_limit(MAX_EVENT_BYTES);
        let answer = self
            .homeserver
            .transport
            .send(&self.signed(request))
            .await?;
        // Only the server's own word counts: the 404 of a proxy says nothing about the account.
        if answer.status() == 404 && answer.is_matrix_error("M_NOT_FOUND") {
            return Ok(Stored {
                json: None,
                condition: Some(Condition::Absent),
            });
        }
        let condition = answer.entity_tag().cloned().map(Condition::Unchanged);
        let json = Some(answer.text("/account_data")?);
        Ok(Stored { json, condition })
    }

    /// Sets the content of an event if nobody else did since it was read, as far as the server can
    /// tell; `false` when somebody else wrote first and nothing happened. Sent once: after an error
    /// that leaves open whether it arrived, read again.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id(), event_type))]
    pub(crate) async fn write(
        &self,
        event_type: &str,
        content: &Content,
        read: &Stored,
    ) -> Result<bool, Error> {
        let request = Request::put(self.account_data_path(event_type)?, content.to_json())
            .with_condition(read.condition.clone())
            .once();
        let answer = self
            .homeserver
            .transport
            .send(&self.signed(request))
            .await?;
        match answer.status() {
            412 => Ok(false),
            _ if answer.is_success() => Ok(true),
            _ => Err(answer.into_error("/account_data")),
        }
    }

    /// The maximum number of attempts of a request.
    pub(crate) fn attempts(&self) -> u32 {
        self.homeserver.transport.attempts()
    }

    /// Waits as between two attempts of one request.
    pub(crate) async fn pause(&self, attempt: u32) {
        self.homeserver.transport.pause(attempt).await;
    }

    /// Waits between two calls.
    pub(crate) async fn wait(&self, pause: Duration) {
        self.homeserver.transport.wait(pause).await;
    }

    fn account_data_path(&self, event_type: &str) -> Result<Path, Error> {
        Path::fixed("/_matrix/client/v3/user")
            .segment(self.user_id())
            .map(|path| path.join("/account_data"))
            .and_then(|path| path.segment(event_type))
            .map_err(|error| error.at(self.homeserver.base_url()))
    }

    fn signed<'a>(&'a self, request: Request<'a>) -> Request<'a> {
        request.with_token(self.session.access_token())
    }
}

/// The largest event that is read: 4 MiB, far beyond what servers accept.
const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests;

impl Homeserver {
    /// Acts for the user of a session, over the connections of this value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OtherHomeserver`] when the session was made with another homeserver, and
    /// [`ErrorKind::InvalidToken`].
    pub fn account(&self, session: Session) -> Result<Account, Error> {
        if session.homeserver.trim_end_matches('/') != self.base_url() {
            return Err(Error::from(ErrorKind::OtherHomeserver).at(self.base_url()));
        }
        Account::at(self.clone(), session)
    }

    /// Ends a session that a new one [took the place of](crate::LocalState::take_over). To be called
    /// once the new one works. A response of one homeserver does not end a session at another.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::OtherHomeserver`], and the errors of every call: the session is still logged in
    /// then, which the user should know.
    pub async fn end_replaced(&self, earlier: &Session) -> Result<(), Error> {
        self.account(earlier.clone())?.log_out().await
    }
}

/// An event as it was read.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The JSON text; `None` when there is none.
    pub(crate) json: Option<String>,
    condition: Option<Condition>,
}

//! Local state: what is kept on this machine about an account.

mod elsewhere;
mod error;
mod folder;
mod history;
mod journal;
mod place;
mod schema;
mod sealed;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _};

pub use self::error::LocalStateError;
use self::place::Place;
pub(crate) use self::sealed::{SealedError, SealedRows, Table};
use crate::{AccessToken, Session};

/// The local state of one account: the session, a plan that was begun, and what the server was last
/// seen to hold.
///
/// One SQLite file per account, readable by its owner only, and locked against other processes as
/// long as the value lives, and as long as a [`Device`](crate::Device) of it does. Nothing in it can
/// be read that is secret but the access token: what a device keeps is sealed.
///
/// ```
/// use fourfold_client::{AccessToken, LocalState, Session};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path().join("fourfold");
/// let session = Session::new("https://h", "@a:h", None, AccessToken::new("syt_secret"));
/// drop(LocalState::create(&folder, &session)?);
///
/// assert_eq!(LocalState::accounts(&folder)?, ["@a:h"]);
/// let state = LocalState::open(&folder, "@a:h")?;
/// assert_eq!(state.session()?.map(|session| session.homeserver), Some("https://h".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LocalState {
    user_id: String,
    place: Place,
    connection: Connection,
}

impl LocalState {
    /// Makes the state of an account after a log-in. When there is one already, its session is
    /// replaced, and what was seen before and a plan that was begun are kept.
    ///
    /// A session at another homeserver is not replaced: [`check_log_in`](Self::check_log_in) tells
    /// before the log-in.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::OtherHomeserver`], [`LocalStateError::Locked`], [`LocalStateError::Permissions`], [`LocalStateError::Corrupt`]
    /// (the file is left as it is), and errors of reading or writing the local state.
    pub fn create(folder: &Path, session: &Session) -> Result<Self, LocalStateError> {
        folder::create(folder)?;
        let file = folder::state_file(folder, &session.user_id)?;
        let lock = folder::lock(&file)?;
        if !file
            .try_exists()
            .map_err(|error| LocalStateError::io(&file, error))?
        {
            schema::create(&file, &session.user_id)?;
        }
        let mut state = Self::at(file, &session.user_id, lock)?;
        state.check_homeserver(&session.homeserver)?;
        state.set_session(session)?;
        Ok(state)
    }

    /// As [`create`](Self::create), and gives the session that it takes the place of, when that is
    /// another device's: nobody can use it any more, so it should not stay logged in. It is ended when
    /// the new one works ([`Homeserver::end_replaced`](crate::Homeserver::end_replaced)), and not
    /// before: until then it may be the only one that does.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create). The new session is of no use then, and to be ended as well.
    pub fn take_over(
        folder: &Path,
        session: &Session,
    ) -> Result<(Self, Option<Session>), LocalStateError> {
        let earlier = Self::open(folder, &session.user_id)
            .ok()
            .and_then(|state| state.session().ok().flatten());
        let state = Self::create(folder, session)?;
        let is_other = |earlier: &Session| earlier.device_id != session.device_id;
        Ok((state, earlier.filter(is_other)))
    }

    /// A state that is kept in memory only, for a program that runs once: nothing is remembered when
    /// it ends, so neither a rollback between two runs is noticed nor a change resumed.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Database`] when there is no memory for it.
    pub fn in_memory(session: &Session) -> Result<Self, LocalStateError> {
        let place = Place::memory()?;
        let mut state = Self {
            user_id: session.user_id.clone(),
            connection: schema::create_in_memory(&place, &session.user_id)?,
            place,
        };
        state.set_session(session)?;
        Ok(state)
    }

    /// Opens the state of an account.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::NoState`] when there is none, and as [`create`](Self::create).
    pub fn open(folder: &Path, user_id: &str) -> Result<Self, LocalStateError> {
        let no_state = || LocalStateError::NoState {
            user_id: crate::escape_untrusted(user_id),
        };
        if !folder::exists(folder)? {
            return Err(no_state());
        }
        let file = folder::state_file(folder, user_id)?;
        if !file
            .try_exists()
            .map_err(|error| LocalStateError::io(&file, error))?
        {
            return Err(no_state());
        }
        let lock = folder::lock(&file)?;
        Self::at(file, user_id, lock)
    }

    /// The user IDs that have a state in a folder, in order; none when there is no such folder.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Permissions`] and errors of reading or writing the local state.
    pub fn accounts(folder: &Path) -> Result<Vec<String>, LocalStateError> {
        if folder::exists(folder)? {
            folder::accounts(folder)
        } else {
            Ok(Vec::new())
        }
    }

    /// The file of an account in a folder, whether it is there or not. What else is kept about the
    /// account may stand beside it, under the same name with another extension.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::UserId`].
    pub fn file_of(folder: &Path, user_id: &str) -> Result<PathBuf, LocalStateError> {
        folder::state_file(folder, user_id)
    }

    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The file that the state is kept in; for one [in memory](Self::in_memory) a name that is no
    /// file. What belongs to the account can stand beside it, under
    /// the same name with another extension.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// The session; `None` after it was forgotten.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn session(&self) -> Result<Option<Session>, LocalStateError> {
        self.connection
            .query_row(
                "SELECT homeserver, device_id, access_token FROM session",
                [],
                |row| {
                    Ok(Session::new(
                        row.get::<_, String>(0)?,
                        &self.user_id,
                        row.get(1)?,
                        AccessToken::new(row.get::<_, String>(2)?),
                    ))
                },
            )
            .optional()
            .map_err(|error| self.database(error))
    }

    /// Forgets the session, after a log-out. What was seen before stays, so that the server cannot
    /// roll anything back in the meantime.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn forget_session(&mut self) -> Result<(), LocalStateError> {
        self.connection
            .execute("DELETE FROM session", [])
            .map_err(|error| self.database(error))?;
        Ok(())
    }

    /// Another hold on the same state, for anyone who works beside the first one in this process.
    /// The state stays this process's as long as either lives.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn another(&self) -> Result<Self, LocalStateError> {
        Ok(Self {
            user_id: self.user_id.clone(),
            place: self.place.clone(),
            connection: schema::open(&self.place)?,
        })
    }

    fn set_session(&mut self, session: &Session) -> Result<(), LocalStateError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO session (id, homeserver, device_id, access_token)
                 VALUES (1, ?1, ?2, ?3)",
                (
                    &session.homeserver,
                    &session.device_id,
                    session.access_token().expose_secret(),
                ),
            )
            .map_err(|error| self.database(error))?;
        Ok(())
    }

    fn at(path: PathBuf, user_id: &str, lock: File) -> Result<Self, LocalStateError> {
        folder::check_file(&path)?;
        let place = Place::file(path, lock);
        let state = Self {
            user_id: user_id.to_owned(),
            connection: schema::open(&place)?,
            place,
        };
        let owner: String = state
            .connection
            .query_row("SELECT user_id FROM account", [], |row| row.get(0))
            .map_err(|error| state.database(error))?;
        if owner == user_id {
            Ok(state)
        } else {
            Err(LocalStateError::Corrupt {
                path: state.path().to_owned(),
            })
        }
    }

    fn database(&self, error: rusqlite::Error) -> LocalStateError {
        LocalStateError::database(self.path(), error)
    }
}

impl fmt::Debug for LocalState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalState")
            .field("user_id", &self.user_id)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

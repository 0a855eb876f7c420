//! User-interactive authentication: the second question before a request that matters.
//!
//! All flows here have one stage, so a session never rests half done: its stage completes and the
//! request happens in one step, and the session is gone. What is kept between two requests is that
//! a session was opened, for which request and whom. It is kept in memory: after a restart, or on
//! another server, the client is simply asked again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::token;
use crate::bounded::generations::Generations;
use crate::clock::Clock;
use crate::http::error::MatrixError;
use crate::store::{Timestamp, UserId};

/// The `auth` member of a request.
///
/// Not `ruma`'s type: that one has no place for `"session": null`, which real clients send.
#[derive(Deserialize)]
pub(crate) struct AuthData {
    #[serde(rename = "type")]
    pub(super) stage: Option<String>,
    pub(super) session: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
    pub(super) identifier: Option<UserIdentifier>,
    pub(super) user: Option<String>,
}

/// The user who logs in.
#[derive(Deserialize)]
pub(crate) struct UserIdentifier {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) user: Option<String>,
}

/// The one stage of a flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// `m.login.dummy`: an ask and a yes.
    Dummy,
    /// `m.login.password`.
    Password,
}

impl Stage {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::Password => "m.login.password",
        }
    }
}

/// The open sessions.
pub(crate) struct Interactive {
    sessions: Mutex<Generations<String, Opened>>,
    clock: Clock,
}

struct Opened {
    request: &'static str,
    user: Option<UserId>,
    at: Timestamp,
}

impl Interactive {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            sessions: Mutex::new(Generations::new(MAX_SESSIONS)),
            clock,
        }
    }

    /// The session that `auth` names. One that is unknown, expired or of another request starts
    /// over, with the reason in the challenge.
    pub(super) fn session(
        &self,
        request: &'static str,
        user: Option<&UserId>,
        auth: Option<&AuthData>,
    ) -> Result<Option<String>, MatrixError> {
        let Some(named) = auth.and_then(|auth| auth.session.as_deref()) else {
            return Ok(None);
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let valid = sessions.entry(named, |_| 1).is_some_and(|opened| {
            opened.request == request
                && opened.user.as_ref() == user
                && now.since(opened.at) <= LIFETIME
        });
        drop(sessions);
        if valid {
            return Ok(Some(named.to_owned()));
        }
        let stage = if user.is_some() {
            Stage::Password
        } else {
            Stage::Dummy
        };
        let fault = ("M_UNKNOWN", "the authentication session is unknown or over");
        Err(self.refuse(request, user, None, stage, Some(fault)))
    }

    pub(super) fn challenge(
        &self,
        request: &'static str,
        user: Option<&UserId>,
        session: Option<String>,
        wanted: Stage,
        given: Option<&str>,
    ) -> Result<(), MatrixError> {
        let fault = given.map(|_| ("M_UNRECOGNIZED", "this stage is in none of the flows"));
        Err(self.refuse(request, user, session, wanted, fault))
    }

    /// The 401: flows, parameters (present though empty, because clients look inside), the session.
    pub(super) fn refuse(
        &self,
        request: &'static str,
        user: Option<&UserId>,
        session: Option<String>,
        stage: Stage,
        fault: Option<(&str, &str)>,
    ) -> MatrixError {
        let session = match session {
            Some(session) => session,
            None => match token::random_id() {
                Ok(session) => {
                    let at = self.clock.now();
                    let opened = Opened {
                        request,
                        user: user.cloned(),
                        at,
                    };
                    let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
                    sessions.insert(session.clone(), opened, 1);
                    session
                }
                Err(error) => return error,
            },
        };
        let mut challenge = json!({
            "session": session,
            "flows": [{ "stages": [stage.name()] }],
            "params": {},
            "completed": [],
        });
        if let (Some((errcode, error)), Value::Object(challenge)) = (fault, &mut challenge) {
            challenge.insert("errcode".to_owned(), errcode.into());
            challenge.insert("error".to_owned(), error.into());
        }
        MatrixError::Interactive(challenge)
    }

    pub(super) fn finish(&self, session: Option<&str>) {
        if let Some(session) = session {
            self.sessions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(session);
        }
    }
}

/// Sessions that are remembered; the oldest are forgotten first.
const MAX_SESSIONS: usize = 10_000;

const LIFETIME: Duration = Duration::from_secs(15 * 60);

//! Sessions of an account at another homeserver than a log-in is about.

use std::path::Path;

use super::{LocalState, LocalStateError};
use crate::{Homeserver, LoginName, escape_untrusted};

impl LocalState {
    /// Whether a log-in leaves the sessions alone that this machine has at other homeservers. Ask
    /// before anything is sent that is secret: anyone who answers could otherwise take the place of
    /// the homeserver that the account has.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::OtherHomeserver`], and the errors of [`open`](Self::open) for an account
    /// whose state cannot be looked at.
    pub fn check_log_in(
        folder: &Path,
        name: &LoginName,
        homeserver: &Homeserver,
    ) -> Result<(), LocalStateError> {
        for user_id in Self::meant_by(folder, name, homeserver)? {
            Self::open(folder, &user_id)?.check_homeserver(homeserver.base_url())?;
        }
        Ok(())
    }

    /// The accounts with a state that a name may mean at a homeserver.
    pub(crate) fn meant_by(
        folder: &Path,
        name: &LoginName,
        homeserver: &Homeserver,
    ) -> Result<Vec<String>, LocalStateError> {
        let mut accounts = Self::accounts(folder)?;
        accounts.retain(|user_id| name.means(user_id, homeserver));
        Ok(accounts)
    }

    /// Refuses when there is a session, and it is at another homeserver.
    pub(super) fn check_homeserver(&self, address: &str) -> Result<(), LocalStateError> {
        let is_here = |known: &str| known.trim_end_matches('/') == address.trim_end_matches('/');
        match self.session()? {
            Some(session) if !is_here(&session.homeserver) => {
                Err(LocalStateError::OtherHomeserver {
                    user_id: escape_untrusted(&self.user_id),
                    homeserver: escape_untrusted(&session.homeserver),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AccessToken, Options, Session};

    fn session(address: &str, user_id: &str) -> Session {
        Session::new(address, user_id, None, AccessToken::new("t"))
    }

    #[test]
    fn a_session_is_replaced_at_its_own_homeserver_only() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let alice = "@alice:localhost:1";
        let create = |address: &str| LocalState::create(&folder, &session(address, alice));
        drop(create("http://localhost:1").unwrap());
        drop(LocalState::create(&folder, &session("http://localhost:3", "@bob:h")).unwrap());
        drop(create("http://localhost:1/").unwrap());
        let error = create("http://localhost:2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "this machine has a session of @alice:localhost:1 at http://localhost:1/: log out there \
             first, or log in there"
        );
        let check = |name: &str, address: &str| {
            let homeserver = Homeserver::new(address, &Options::default()).unwrap();
            LocalState::check_log_in(&folder, &LoginName::new(name).unwrap(), &homeserver)
        };
        for (name, address, is_free) in [
            (alice, "http://localhost:1", true),
            (alice, "http://localhost:2", false),
            ("@ALICE:localhost:1", "http://localhost:2", false),
            // Of that name, that server has another user.
            ("alice", "http://localhost:2", true),
            ("alice", "http://localhost:1", true),
            ("@bob:h", "http://localhost:1", false),
            ("@carol:h", "http://localhost:2", true),
        ] {
            assert_eq!(check(name, address).is_ok(), is_free, "{name} {address}");
        }
        let mut state = LocalState::open(&folder, alice).unwrap();
        state.forget_session().unwrap();
        drop(state);
        check(alice, "http://localhost:2").unwrap();
        drop(create("http://localhost:2").unwrap());
        // The part before the colon means the same user where the server has that name.
        let error = check("alice", "http://localhost:1").unwrap_err();
        assert!(matches!(error, LocalStateError::OtherHomeserver { .. }));
    }
}

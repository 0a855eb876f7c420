//! Authentication: who makes a request, and whether they may confirm it.
//!
//! `state` holds what all of it works with. An access token (`token`) becomes a session (`bearer`); a
//! login, a registration (`account`) and a refresh make new ones (`new_session`). Requests that matter
//! ask once more (`confirmation`, with the open questions in `interactive`), mostly for the password
//! (`password`). `names` says who can have an account here. The tokens of `/sync` (`sync_token`) are
//! bound to their user here too.

pub(crate) mod account;
pub(crate) mod bearer;
pub(crate) mod confirmation;
pub(crate) mod interactive;
pub(crate) mod names;
pub(crate) mod new_session;
pub(crate) mod password;
pub(crate) mod state;
pub(crate) mod sync_token;
pub(crate) mod token;

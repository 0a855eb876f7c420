//! Authentication: who makes a request, and whether they may confirm it.
//!
//! An access token (`token`) becomes a session (`bearer`). Requests that matter ask once more
//! (`interactive`), mostly for the password (`password`). The tokens of `/sync` (`sync_token`) are
//! bound to their user here too.

pub(crate) mod bearer;
pub(crate) mod interactive;
pub(crate) mod password;
pub(crate) mod sync_token;
pub(crate) mod token;

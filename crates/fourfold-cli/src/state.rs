//! Where the state of accounts is kept on this machine, and whose it is.

use std::ops::Not as _;
use std::path::{Path, PathBuf};

use fourfold_client::LocalState;

use crate::error::{Error, Result};
use crate::options::Global;

/// Where the state of accounts is kept.
pub(crate) fn folder(global: &Global) -> Result<PathBuf> {
    if let Some(folder) = &global.state {
        return Ok(folder.clone());
    }
    let from = |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty());
    from("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| from("HOME").map(|home| PathBuf::from(home).join(".local/state")))
        .map(|folder| folder.join("fourfold"))
        .ok_or_else(|| Error::usage("there is no home folder").hint("use --state DIR"))
}

/// The account of `--account`, or the only one there is.
pub(crate) fn user_id(global: &Global, folder: &Path) -> Result<String> {
    match &global.account {
        Some(user_id) => Ok(user_id.clone()),
        None => only_account(logged_in(folder)?),
    }
}

fn only_account(accounts: Vec<String>) -> Result<String> {
    match accounts.as_slice() {
        [] => Err(not_logged_in()),
        [only] => Ok(only.clone()),
        several => Err(Error::usage("there are several accounts; use --account")
            .hint(format!("one of: {}", several.join(", ")))),
    }
}

/// The accounts that have a session, or may have one because another process uses them.
fn logged_in(folder: &Path) -> Result<Vec<String>> {
    let accounts = LocalState::accounts(folder)?;
    if accounts.len() < 2 {
        return Ok(accounts);
    }
    let has_session = |user_id: &String| {
        LocalState::open(folder, user_id)
            .is_ok_and(|state| matches!(state.session(), Ok(None)))
            .not()
    };
    Ok(accounts.into_iter().filter(has_session).collect())
}

pub(crate) fn not_logged_in() -> Error {
    Error::usage("not logged in").hint("log in: fourfold login @user:server")
}

//! The passwords and the new passphrases that this process has met, none of which may become the
//! other: [`LoginPasswords`].

use std::sync::Mutex;

use fourfold::LoginPasswords;

use crate::error::Result;

/// Remembers the password of the account until the process ends. Refused when it is the passphrase
/// that was chosen for a new key before.
pub(crate) fn remember(password: &str) -> Result<()> {
    Ok(with_seen(|seen| seen.password(password))?)
}

/// Refuses a passphrase for a new key that is the password of the account.
pub(crate) fn refuse_as_passphrase(passphrase: &str) -> Result<()> {
    Ok(with_seen(|seen| seen.new_passphrase(passphrase))?)
}

static SEEN: Mutex<LoginPasswords> = Mutex::new(LoginPasswords::new());

fn with_seen<T>(work: impl FnOnce(&mut LoginPasswords) -> T) -> T {
    let mut seen = SEEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    work(&mut seen)
}

//! The password of the account never opens its secrets too: with it the homeserver, which sees it
//! at every log-in, could read everything.
//!
//! The two are compared in whatever process knows both, and nowhere else. Nothing of a password is
//! kept on disk: a verifier there could be guessed against.

use std::sync::Mutex;

use fourfold::passphrase::Passphrase;
use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};

/// Remembers the password of the account until the process ends. Refused when it is the passphrase
/// that was chosen for a new key before.
pub(crate) fn remember(password: &str) -> Result<()> {
    with_seen(|seen| seen.password(password))
}

/// Refuses a passphrase for a new key that is the password of the account.
pub(crate) fn refuse_as_passphrase(passphrase: &str) -> Result<()> {
    with_seen(|seen| seen.passphrase(passphrase))
}

static SEEN: Mutex<Seen> = Mutex::new(Seen {
    passwords: Vec::new(),
    passphrases: Vec::new(),
});

#[derive(Default)]
struct Seen {
    passwords: Vec<Zeroizing<String>>,
    passphrases: Vec<Passphrase>,
}

impl Seen {
    fn password(&mut self, password: &str) -> Result<()> {
        let is_it = |passphrase: &Passphrase| passphrase.is_one_of([password]);
        if self.passphrases.iter().any(is_it) {
            return Err(reused());
        }
        self.passwords.push(Zeroizing::new(password.to_owned()));
        Ok(())
    }

    fn passphrase(&mut self, text: &str) -> Result<()> {
        let passphrase = Passphrase::new(text);
        if passphrase.is_one_of(self.passwords.iter().map(|password| password.as_str())) {
            return Err(reused());
        }
        self.passphrases.push(passphrase);
        Ok(())
    }
}

fn with_seen<T>(work: impl FnOnce(&mut Seen) -> T) -> T {
    let mut seen = SEEN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    work(&mut seen)
}

fn reused() -> Error {
    Error::new(
        Exit::Policy,
        "the new passphrase is the password of the account, which the homeserver sees",
    )
    .hint("choose another one, or --generate-passphrase")
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: KEY-12
    #[test]
    fn the_password_of_the_account_is_refused_whichever_is_known_first() {
        let mut seen = Seen::default();
        seen.password("seven lanterns under the old bridge")
            .unwrap();
        seen.passphrase("seven lanterns under the old bridg")
            .unwrap();
        let error = seen.passphrase("seven lanterns under the old bridge");
        assert_eq!(error.unwrap_err().exit, Exit::Policy);

        let mut seen = Seen::default();
        seen.passphrase("seven lanterns under the old bridge")
            .unwrap();
        let error = seen.password("seven lanterns under the old bridge");
        assert!(
            error
                .unwrap_err()
                .message
                .contains("which the homeserver sees")
        );
    }
}

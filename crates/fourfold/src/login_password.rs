//! The password of the account never opens its secrets too.

use std::fmt;

use zeroize::Zeroizing;

use crate::passphrase::Passphrase;

/// The passwords of an account and the new passphrases that a process has met, so that none becomes
/// the other, whichever is known first: with the password the homeserver, which sees it at every
/// log-in, could read everything.
///
/// They are compared in whatever process knows both, and nowhere else. Nothing of a password is to be
/// kept on disk: a verifier there could be guessed against.
///
/// ```
/// use fourfold::LoginPasswords;
/// let mut seen = LoginPasswords::new();
/// seen.password("wombat plumage")?;
/// assert!(seen.new_passphrase("wombat plumage").is_err());
/// assert!(seen.new_passphrase("hubcap").is_ok());
/// # Ok::<(), fourfold::IsLoginPassword>(())
/// ```
#[derive(Default)]
pub struct LoginPasswords {
    passwords: Vec<Zeroizing<String>>,
    passphrases: Vec<Passphrase>,
}

impl LoginPasswords {
    /// Nothing was met.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            passwords: Vec::new(),
            passphrases: Vec::new(),
        }
    }

    /// Remembers a password of the account.
    ///
    /// # Errors
    ///
    /// [`IsLoginPassword`] when it was chosen as a passphrase before.
    pub fn password(&mut self, password: &str) -> Result<(), IsLoginPassword> {
        let is_it = |passphrase: &Passphrase| passphrase.is_one_of([password]);
        if self.passphrases.iter().any(is_it) {
            return Err(IsLoginPassword);
        }
        self.passwords.push(Zeroizing::new(password.to_owned()));
        Ok(())
    }

    /// Remembers a passphrase that is chosen for a new key.
    ///
    /// # Errors
    ///
    /// [`IsLoginPassword`] when it is a password of the account.
    pub fn new_passphrase(&mut self, text: &str) -> Result<(), IsLoginPassword> {
        let passphrase = Passphrase::new(text);
        if passphrase.is_one_of(self.passwords.iter().map(|password| password.as_str())) {
            return Err(IsLoginPassword);
        }
        self.passphrases.push(passphrase);
        Ok(())
    }
}

impl fmt::Debug for LoginPasswords {
    /// Leaves all of them out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginPasswords").finish_non_exhaustive()
    }
}

/// The passphrase of a new key is the password of the account.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the new passphrase is the password of the account, which the homeserver sees")]
#[non_exhaustive]
pub struct IsLoginPassword;

crate::error_code::error_codes! {
    IsLoginPassword:
    Self { .. } => "is_login_password",
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: KEY-12
    #[test]
    fn the_password_of_the_account_is_refused_whichever_is_known_first() {
        const TEXT: &str = "seven lanterns under the old bridge";
        let mut seen = LoginPasswords::new();
        seen.password(TEXT).unwrap();
        let other = TEXT.strip_suffix('e').unwrap();
        assert_eq!(seen.new_passphrase(other), Ok(()));
        assert_eq!(seen.new_passphrase(TEXT), Err(IsLoginPassword));

        let mut seen = LoginPasswords::new();
        seen.new_passphrase(TEXT).unwrap();
        assert_eq!(seen.password(TEXT), Err(IsLoginPassword));
        assert_eq!(seen.password(other), Ok(()));
    }

    #[test]
    fn what_was_met_is_not_printed() {
        let mut seen = LoginPasswords::new();
        seen.password("parrot").unwrap();
        seen.new_passphrase("walrus").unwrap();
        let shown = format!("{seen:?}");
        assert!(!shown.contains("parrot") && !shown.contains("walrus"));
    }
}

//! Sessions: who is logged in where, and the access token and the password.

use std::fmt;

use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// The token that acts for the user. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Takes the token as it is.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(Zeroizing::new(token.into()))
    }

    /// The token itself.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// `Bearer …`, marked so that it is not printed.
    pub(crate) fn header(&self) -> Result<HeaderValue, Error> {
        let text = Zeroizing::new(format!("Bearer {}", self.expose_secret()));
        let mut header =
            HeaderValue::from_str(&text).map_err(|_| Error::from(ErrorKind::InvalidToken))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// The password of an account. Wiped when dropped, never printed.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the password as it is: no trimming, no normalisation.
    #[must_use]
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    /// The password itself.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A log-in: enough to act for the user until it is logged out.
///
/// ```
/// use fourfold_client::{AccessToken, Session};
/// let session = Session::new(
///     "https://matrix.example.org",
///     "@alice:example.org",
///     Some("LAPTOP".to_owned()),
///     AccessToken::new("syt_secret"),
/// );
/// assert!(!format!("{session:?}").contains("syt_secret"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Session {
    /// The address of the homeserver, such as `https://matrix.example.org`.
    pub homeserver: String,
    /// The user, such as `@alice:example.org`.
    pub user_id: String,
    /// The device; `None` for a token that belongs to no device.
    pub device_id: Option<String>,
    access_token: AccessToken,
}

impl Session {
    /// Puts together a session that was made elsewhere.
    #[must_use]
    pub fn new(
        homeserver: impl Into<String>,
        user_id: impl Into<String>,
        device_id: Option<String>,
        access_token: AccessToken,
    ) -> Self {
        Self {
            homeserver: homeserver.into(),
            user_id: user_id.into(),
            device_id,
            access_token,
        }
    }

    /// The token that acts for the user.
    #[must_use]
    pub fn access_token(&self) -> &AccessToken {
        &self.access_token
    }
}

/// Whom an access token belongs to, as the server says.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct WhoAmI {
    /// The user.
    pub user_id: String,
    /// The device; `None` when the token belongs to no device, or the server does not say.
    pub device_id: Option<String>,
    /// Returns `true` if it is a guest account.
    pub is_guest: bool,
}

/// Returns `true` if a text that a server sent can be the ID of a user.
pub(crate) fn is_user_id(text: &str) -> bool {
    text.starts_with('@')
        && text.contains(':')
        && text.len() <= 255
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_is_redacted() {
        let token = AccessToken::new("syt_canary");
        let session = Session::new("https://h", "@a:h", Some("D".to_owned()), token.clone());
        assert_eq!(format!("{token:?}"), "AccessToken(..)");
        assert_eq!(format!("{:?}", Password::new("canary")), "Password(..)");
        assert_eq!(
            format!("{session:?}"),
            "Session { homeserver: \"https://h\", user_id: \"@a:h\", device_id: Some(\"D\"), \
             access_token: AccessToken(..) }"
        );
        assert_eq!(format!("{:?}", token.header().unwrap()), "Sensitive");
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_without_being_named() {
        let error = AccessToken::new("syt_canary\r\nX: y").header().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::InvalidToken));
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

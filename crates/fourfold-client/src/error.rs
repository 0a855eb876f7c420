//! What can go wrong between a client and a homeserver.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::escape_untrusted;

/// A call to a homeserver that did not succeed. The text says what to do about it; it never holds
/// the access token or a password, and what the server wrote is escaped.
///
/// ```
/// use fourfold_client::{ErrorKind, Homeserver, Options};
/// let error = Homeserver::new("http://example.org", &Options::default()).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::InsecureUrl));
/// ```
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    server: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// The problem.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The homeserver that it is about.
    #[must_use]
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Returns `true` if the session is over, so that the user has to log in again.
    #[must_use]
    pub fn is_logged_out(&self) -> bool {
        matches!(self.kind, ErrorKind::LoggedOut { .. })
    }

    /// Returns `true` if the server answered, and would answer the same again.
    pub(crate) fn is_final_answer(&self) -> bool {
        match self.kind {
            ErrorKind::Malformed { .. }
            | ErrorKind::TooLarge { .. }
            | ErrorKind::TooManyEvents { .. } => true,
            ErrorKind::Matrix { status, .. } => (400..500).contains(&status) && status != 408,
            _ => false,
        }
    }

    /// Whether the server answered, and the answer is of no use: another request may be answered well.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Malformed { .. }
                | ErrorKind::Matrix { .. }
                | ErrorKind::NotAHomeserver { .. }
                | ErrorKind::Server { .. }
                | ErrorKind::TooLarge { .. }
        )
    }

    /// Whether it may be over after a while: the server could not be reached, or is not well.
    pub(crate) fn may_pass(&self) -> bool {
        match self.kind {
            ErrorKind::RateLimited { .. }
            | ErrorKind::Server { .. }
            | ErrorKind::Timeout
            | ErrorKind::Unreachable => true,
            ErrorKind::Matrix { status, .. } => status >= 500 || status == 408,
            _ => false,
        }
    }

    /// Whether the server wants the user to be there, and was not satisfied.
    pub(crate) fn is_about_authentication(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::NeedsPassword | ErrorKind::WrongPassword | ErrorKind::NeedsOther { .. }
        )
    }

    /// Returns `true` if the request may have been carried out anyway.
    pub(crate) fn is_uncertain(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Server { .. }
        ) || matches!(self.kind, ErrorKind::Matrix { status, .. } if status >= 500)
    }

    pub(crate) fn at(mut self, server: &str) -> Self {
        self.server = Some(escape_untrusted(server));
        self
    }

    pub(crate) fn because(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }
}

/// The kind of an error in a call to a homeserver.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not the address of a homeserver, nor a server name, nor a user ID.
    #[error("{input} is not the address of a homeserver: write it like https://example.org")]
    InvalidUrl {
        /// The given text, escaped.
        input: String,
    },
    /// Not a user ID, nor the part of one before the colon.
    #[error("{input} is not the ID of a user: write it like @alice:example.org")]
    InvalidUser {
        /// The given text, escaped.
        input: String,
    },
    /// Plain HTTP to another machine.
    #[error(
        "passwords and tokens would cross the network unencrypted: use an address that starts \
         with https"
    )]
    InsecureUrl,
    /// A name that cannot be part of a URL: empty, `.`, `..`, longer than 255 bytes, or with
    /// control characters.
    #[error("a name is empty, too long or has characters that a server could misread")]
    InvalidSegment,
    /// The access token has characters that cannot be sent.
    #[error("the access token has characters that no access token has: copy it again")]
    InvalidToken,
    /// The session belongs to another homeserver; its token is not sent.
    #[error("the session belongs to another homeserver: log in here")]
    OtherHomeserver,
    /// The server answered for another user than was asked for.
    #[error("the server answered for another user, {user_id}: check the address")]
    OtherUser {
        /// The user that it answered for, escaped.
        user_id: String,
    },
    /// The server answered for another device than was asked for.
    #[error("the server answered for another device, {device_id}: check the address")]
    OtherDevice {
        /// The device that it answered for, escaped.
        device_id: String,
    },
    /// No connection, or it broke before the answer was complete.
    #[error("it cannot be reached, or the connection was lost: check the address and the network")]
    Unreachable,
    /// No complete answer in time.
    #[error("it did not answer in time: try again later")]
    Timeout,
    /// The server's certificate cannot be verified, or it does not speak TLS.
    #[error(
        "no secure connection: check the address, and the clock and the trusted certificates of \
         this machine"
    )]
    Tls,
    /// An answer that no homeserver would give, such as the HTML page of a proxy.
    #[error(
        "it does not answer like a Matrix homeserver (HTTP status {status}): check the address"
    )]
    NotAHomeserver {
        /// The HTTP status.
        status: u16,
    },
    /// The server points elsewhere; redirects are not followed.
    #[error("it redirects to {location}: use that address if you trust it")]
    Redirected {
        /// Where to, escaped.
        location: String,
    },
    /// The server has a problem of its own.
    #[error("it has an internal problem (HTTP status {status}): try again later")]
    Server {
        /// The HTTP status.
        status: u16,
    },
    /// The server said no, in the words of Matrix.
    #[error("it refused: {message} ({errcode}){}", advice(errcode))]
    Matrix {
        /// The code, such as `M_FORBIDDEN`, escaped.
        errcode: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, escaped and cut.
        message: String,
    },
    /// The answer is larger than what is read.
    #[error("it sent more than {limit} bytes, more than is accepted: ask its administrator")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The account has more events of account data than are read.
    #[error(
        "it sent more than {limit} events of account data, more than is accepted: find out which \
         client writes them, or ask the administrator"
    )]
    TooManyEvents {
        /// The limit.
        limit: usize,
    },
    /// The server allows fewer requests than the timeout leaves time for.
    #[error("it accepts no more requests for now: try again in {} seconds", retry_after.as_secs())]
    RateLimited {
        /// The time to wait, between 1 s and 1 h.
        retry_after: Duration,
    },
    /// The access token is not valid any more.
    #[error("it no longer accepts the session: log in again")]
    LoggedOut {
        /// Whether the server keeps the device, so that logging in with its ID continues it.
        soft: bool,
    },
    /// An answer that is not what the specification says.
    #[error("its answer to {to} cannot be understood: ask its administrator")]
    Malformed {
        /// The request.
        to: &'static str,
    },
    /// The server wants a way of registering that needs a browser, an e-mail address or a token.
    #[error("it asks for {stages} to register: register with another client and log in")]
    RegistrationNeeds {
        /// The stages that it asks for, escaped.
        stages: String,
    },
    /// The server asks for the password before it does this, and none was given.
    #[error("it asks for the password of the account: give it")]
    NeedsPassword,
    /// The password is not the one of the account.
    #[error("it does not accept the password of the account: check it")]
    WrongPassword,
    /// The server asks for something that needs a browser before it does this.
    #[error("it asks for {stages} first{}", browser(url.as_deref()))]
    NeedsOther {
        /// The stages that it asks for, escaped.
        stages: String,
        /// Where the user can do that in a browser, escaped.
        url: Option<String>,
    },
}

/// The body of an error of the Matrix API.
#[derive(Deserialize)]
pub(crate) struct MatrixErrorBody {
    errcode: String,
    #[serde(default)]
    error: Option<serde_json::Value>,
    #[serde(default)]
    soft_logout: Option<serde_json::Value>,
    #[serde(default)]
    pub(crate) retry_after_ms: Option<serde_json::Value>,
}

impl MatrixErrorBody {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(crate) fn is(&self, errcode: &str) -> bool {
        self.errcode == errcode
    }

    pub(crate) fn kind(&self, status: u16) -> ErrorKind {
        if status == 401 && (self.is("M_UNKNOWN_TOKEN") || self.is("M_MISSING_TOKEN")) {
            let soft = self
                .soft_logout
                .as_ref()
                .and_then(serde_json::Value::as_bool);
            return ErrorKind::LoggedOut {
                soft: soft.unwrap_or(false),
            };
        }
        let message = self.error.as_ref().and_then(serde_json::Value::as_str);
        ErrorKind::Matrix {
            errcode: escape_untrusted(&self.errcode),
            status,
            message: escape_untrusted(message.unwrap_or("no reason given")),
        }
    }
}

/// Advice about the errors that users meet.
fn advice(errcode: &str) -> &'static str {
    match errcode {
        "M_FORBIDDEN" => ": check the user name and the password, and what the server allows",
        "M_USER_IN_USE" => ": choose another name, or log in",
        "M_USER_DEACTIVATED" | "M_USER_LOCKED" | "M_USER_SUSPENDED" => {
            ": ask the administrator of the server"
        }
        "M_TOO_LARGE" => ": the server stores only smaller values",
        "M_UNRECOGNIZED" => ": the server does not support this",
        _ => "",
    }
}

fn browser(url: Option<&str>) -> String {
    match url {
        Some(url) => format!(": allow it in a browser at {url} and try again"),
        None => ", which only another client can do: do it there".to_owned(),
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self {
            kind,
            server: None,
            source: None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(server) = &self.server {
            write!(f, "{server}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_server_are_escaped() {
        let body =
            MatrixErrorBody::read(br#"{"errcode":"M_\u001b[2J","error":"\u202eno"}"#).unwrap();
        assert_eq!(
            body.kind(403).to_string(),
            r"it refused: \u{202e}no (M_\u{1b}[2J)"
        );
    }

    #[test]
    fn odd_error_bodies_are_read() {
        for body in [
            r#"{"errcode":"M_X"}"#,
            r#"{"errcode":"M_X","error":7,"retry_after_ms":"soon","soft_logout":"yes"}"#,
        ] {
            assert!(
                MatrixErrorBody::read(body.as_bytes()).unwrap().is("M_X"),
                "{body}"
            );
        }
        assert!(MatrixErrorBody::read(b"<html>").is_none());
        assert!(MatrixErrorBody::read(br#"{"error":"no code"}"#).is_none());
    }

    #[test]
    fn an_unknown_token_means_logged_out() {
        let body =
            MatrixErrorBody::read(br#"{"errcode":"M_UNKNOWN_TOKEN","soft_logout":true}"#).unwrap();
        assert_eq!(body.kind(401), ErrorKind::LoggedOut { soft: true });
        assert!(matches!(body.kind(403), ErrorKind::Matrix { .. }));
    }
}

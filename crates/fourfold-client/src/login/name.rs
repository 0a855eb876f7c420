//! Who somebody wants to be, and whether an answer is about them.

use std::fmt;

use serde::Deserialize;

use super::session::is_user_id;
use crate::error::{Error, ErrorKind};
use crate::{Homeserver, escape_untrusted};

/// The user to log in as, or to register: a whole user ID, or the part before the colon.
///
/// A session is only made when the server's answer is about this user. With the first part alone,
/// the rest has to be the name of the server that was asked: the authority of its address, or of
/// the address whose well-known file led there. A server that has another name needs the whole ID.
///
/// ```
/// use fourfold_client::LoginName;
/// let whole = LoginName::new("@alice:example.org")?;
/// assert_eq!(whole.server_name(), Some("example.org"));
/// assert_eq!(LoginName::new("alice")?.server_name(), None);
/// assert!(LoginName::new("alice@example.org").is_err());
/// # Ok::<(), fourfold_client::Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoginName(String);

impl LoginName {
    /// Takes a name as somebody typed it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUser`] for what is neither. Nothing can be said about the answer to an
    /// e-mail address or a telephone number, so these are refused.
    pub fn new(name: &str) -> Result<Self, Error> {
        let localpart = name.strip_prefix('@').unwrap_or(name);
        let is_part = !localpart.is_empty()
            && localpart.len() < 255
            && !localpart.contains(['@', ':'])
            && !localpart.chars().any(char::is_control);
        let is_whole = is_user_id(name);
        if is_whole || (is_part && !name.starts_with('@')) {
            Ok(Self(name.to_owned()))
        } else {
            let input = escape_untrusted(name);
            Err(ErrorKind::InvalidUser { input }.into())
        }
    }

    /// The name, as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the user's server, when it was typed.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, server_name)| server_name)
    }

    /// The part before the colon.
    pub(crate) fn localpart(&self) -> &str {
        let whole = self.0.strip_prefix('@').unwrap_or(&self.0);
        whole
            .split_once(':')
            .map_or(whole, |(localpart, _)| localpart)
    }

    /// Returns `true` if a user ID is what this name means at a homeserver. Servers may take what
    /// was typed in upper case for lower case, and never the other way round.
    pub(crate) fn means(&self, user_id: &str, homeserver: &Homeserver) -> bool {
        let is = |typed: &str, said: &str| said == typed || said == typed.to_ascii_lowercase();
        if self.server_name().is_some() {
            return is(&self.0, user_id);
        }
        let said = user_id.strip_prefix('@').unwrap_or_default();
        said.split_once(':').is_some_and(|(localpart, server)| {
            is(&self.0, localpart) && homeserver.is_called(server)
        })
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_untrusted(&self.0))
    }
}

/// The user that an answer names. That is nobody's ID before it was compared with whom the question
/// was about: no session, no file and no socket is chosen by it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct ClaimedUser(String);

impl ClaimedUser {
    /// The user ID, if it is the one that was asked for.
    pub(crate) fn asked_for(
        self,
        name: &LoginName,
        homeserver: &Homeserver,
        to: &'static str,
    ) -> Result<String, ErrorKind> {
        self.if_it(|user_id| name.means(user_id, homeserver), to)
    }

    /// The user ID, if it is that of a session.
    pub(crate) fn known_as(self, known: &str, to: &'static str) -> Result<String, ErrorKind> {
        self.if_it(|user_id| user_id == known, to)
    }

    fn if_it(
        self,
        is_meant: impl FnOnce(&str) -> bool,
        to: &'static str,
    ) -> Result<String, ErrorKind> {
        if !is_user_id(&self.0) {
            return Err(ErrorKind::Malformed { to });
        }
        if is_meant(&self.0) {
            return Ok(self.0);
        }
        let user_id = escape_untrusted(&self.0);
        Err(ErrorKind::OtherUser { user_id })
    }
}

/// The device that an answer names.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct ClaimedDevice(String);

impl ClaimedDevice {
    /// The device ID, if it can be one and, where one was asked for, is that.
    pub(crate) fn asked_for(
        self,
        asked: Option<&str>,
        to: &'static str,
    ) -> Result<String, ErrorKind> {
        let is_id =
            !self.0.is_empty() && self.0.len() <= 255 && !self.0.chars().any(char::is_control);
        if !is_id {
            return Err(ErrorKind::Malformed { to });
        }
        if asked.is_none_or(|asked| asked == self.0) {
            return Ok(self.0);
        }
        let device_id = escape_untrusted(&self.0);
        Err(ErrorKind::OtherDevice { device_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn at(base_url: &str, discovered_from: Option<&str>) -> Homeserver {
        let mut homeserver = Homeserver::new(base_url, &Options::default()).unwrap();
        homeserver.discovered_from = discovered_from.map(str::to_owned);
        homeserver
    }

    #[test]
    fn a_name_is_a_whole_id_or_its_first_part() {
        for name in ["alice", "@alice:h", "@Alice:h:8448", "@:h", "älice"] {
            assert_eq!(LoginName::new(name).unwrap().as_str(), name);
        }
        let name = LoginName::new("@alice:example.org:8448").unwrap();
        assert_eq!(name.localpart(), "alice");
        assert_eq!(name.server_name(), Some("example.org:8448"));
        for name in [
            "",
            "@",
            "@alice",
            "alice:example.org",
            "alice@example.org",
            "a\u{1b}b",
            "@a\n:b",
            &"a".repeat(255),
        ] {
            let error = LoginName::new(name).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::InvalidUser { .. }),
                "{name}"
            );
        }
    }

    #[test]
    fn only_the_user_who_was_asked_for_is_confirmed() {
        let direct = at("https://matrix.example.org", None);
        let found = at("https://matrix.example.org", Some("https://example.org"));
        let local = at("http://127.0.0.1:8008", None);
        for (name, homeserver, said, is_meant) in [
            ("@alice:example.org", &direct, "@alice:example.org", true),
            ("@Alice:Example.org", &direct, "@alice:example.org", true),
            ("@alice:example.org", &direct, "@Alice:example.org", false),
            ("@alice:example.org", &direct, "@bob:example.org", false),
            (
                "@alice:example.org",
                &direct,
                "@alice:honest.example",
                false,
            ),
            (
                "@alice:example.org",
                &direct,
                "@alice:example.org:443",
                false,
            ),
            ("alice", &direct, "@alice:matrix.example.org", true),
            ("ALICE", &direct, "@alice:matrix.example.org", true),
            ("alice", &direct, "@alice:matrix.example.org:443", true),
            ("alice", &direct, "@ALICE:matrix.example.org", false),
            ("alice", &direct, "@alice:example.org", false),
            ("alice", &direct, "@bob:matrix.example.org", false),
            ("alice", &direct, "@bob:honest.example", false),
            ("alice", &direct, "@alice:honest.example", false),
            ("alice", &direct, "@alice:", false),
            ("alice", &found, "@alice:example.org", true),
            ("alice", &found, "@alice:matrix.example.org", true),
            ("alice", &found, "@alice:honest.example", false),
            ("alice", &local, "@alice:127.0.0.1:8008", true),
            ("alice", &local, "@alice:127.0.0.1", false),
            ("alice", &local, "@alice:localhost", false),
        ] {
            let user = ClaimedUser(said.to_owned());
            let name = LoginName::new(name).unwrap();
            let confirmed = user.asked_for(&name, homeserver, "/login");
            assert_eq!(confirmed.is_ok(), is_meant, "{name:?} {said}");
        }
    }

    #[test]
    fn a_device_is_the_one_that_was_asked_for() {
        let device = |said: &str, asked| ClaimedDevice(said.to_owned()).asked_for(asked, "/login");
        device("D", None).unwrap();
        device("D", Some("D")).unwrap();
        let other = ErrorKind::OtherDevice {
            device_id: r"E\u{202e}".to_owned(),
        };
        assert_eq!(device("E\u{202e}", Some("D")), Err(other));
        for said in ["", "\u{1b}]0;owned\u{7}", "\u{9b}2J", &"D".repeat(256)] {
            let malformed = ErrorKind::Malformed { to: "/login" };
            assert_eq!(device(said, None), Err(malformed), "{said:?}");
        }
    }
}

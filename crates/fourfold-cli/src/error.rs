//! Errors, with the exit code that scripts rely on and a hint for people.

use std::fmt;
use std::path::Path;

/// The exit code of a command that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Not found, or refused by the user or by a rule that keeps secrets readable.
    Refused = 1,
    /// Used wrongly, or in an environment where it cannot work.
    Usage = 2,
    /// The key does not fit.
    WrongKey = 3,
    /// The network or the server.
    Network = 4,
    /// Somebody else changed something, or the server shows an older state than before.
    Conflict = 5,
    /// A rule that protects secrets forbids it.
    Policy = 6,
    /// Data on the server or on disk is damaged.
    Corrupt = 7,
    /// A secret is not what the published keys say.
    NotVerified = 8,
    /// The account was examined, and something is wrong with it.
    Unhealthy = 9,
}

impl Exit {
    /// Of an exit code; what is none is a fault of whoever sent it.
    pub(crate) fn from_code(code: u8) -> Self {
        let all = [
            Self::Refused,
            Self::Usage,
            Self::WrongKey,
            Self::Network,
            Self::Conflict,
            Self::Policy,
            Self::Corrupt,
            Self::NotVerified,
            Self::Unhealthy,
        ];
        let found = all.into_iter().find(|exit| *exit as u8 == code);
        found.unwrap_or(Self::Network)
    }

    /// The name in `--json` output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Usage => "usage",
            Self::WrongKey => "wrong_key",
            Self::Network => "network",
            Self::Conflict => "conflict",
            Self::Policy => "policy",
            Self::Corrupt => "corrupt",
            Self::NotVerified => "not_verified",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// An error as the user sees it: lower case, no full stop, no secrets.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self {
            exit,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &Path, error: impl fmt::Display) -> Self {
        Self::usage(format_args!("{}: {error}", path.display()))
    }

    pub(crate) fn refused(message: impl fmt::Display) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// The user was told: by another process of this command, or by the data that it printed. Only
    /// the exit code is left to give.
    pub(crate) fn said_already(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts rely on each of these.
    // shows: CLI-04
    #[test]
    fn exit_codes_and_their_names_do_not_change() {
        for (code, exit, name) in [
            (1, Exit::Refused, "refused"),
            (2, Exit::Usage, "usage"),
            (3, Exit::WrongKey, "wrong_key"),
            (4, Exit::Network, "network"),
            (5, Exit::Conflict, "conflict"),
            (6, Exit::Policy, "policy"),
            (7, Exit::Corrupt, "corrupt"),
            (8, Exit::NotVerified, "not_verified"),
            (9, Exit::Unhealthy, "unhealthy"),
        ] {
            assert_eq!(exit as u8, code, "{name}");
            assert_eq!(exit.name(), name);
            assert_eq!(Exit::from_code(code), exit);
        }
    }
}

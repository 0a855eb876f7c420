//! Something that was seen: where, what, and how this machine came to know it.

use serde::{Deserialize, Serialize};

use super::{Fingerprint, Reading};

/// The place of a sighting: a whole event, or one reading of one entry of a secret.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The type of the event, untrusted text.
    pub event_type: String,
    /// The key ID of the entry, untrusted text; empty for the whole event.
    pub key_id: String,
    /// How it is read.
    pub reading: Reading,
}

/// Something that was seen at a [`Place`].
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(clippy::exhaustive_structs, reason = "it is a row of what is kept")]
pub struct Sighting {
    /// The place in the order of all sightings: the highest is the newest.
    pub counter: u64,
    /// The way in which this machine learned of it.
    pub origin: Origin,
    /// The content that was seen; `None` if there was none.
    pub seen: Option<Fingerprint>,
}

/// The way in which this machine learned of what it saw. Later variants take precedence.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "it is a column of what is kept")]
pub enum Origin {
    /// The server showed it. Anybody can make a server show anything.
    Read,
    /// It opened under a key of the user.
    Opened,
    /// This machine wrote it, or replaced it.
    Written,
}

impl Origin {
    /// Its name where it is kept.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Opened => "opened",
            Self::Written => "written",
        }
    }

    /// The origin of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Read, Self::Opened, Self::Written];
        all.into_iter().find(|origin| origin.name() == name)
    }
}

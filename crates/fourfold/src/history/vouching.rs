//! What vouches for a value that was opened.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Origin;
use crate::{Authenticity, Verdict};

/// The evidence for a value that was opened, the strongest first.
///
/// The MAC of an entry covers its ciphertext and not its IV. Anyone who stores the entry can change
/// the IV, so that another text comes out although the MAC verifies.
///
/// ```
/// use fourfold::{Authenticity, Verdict, history::{Origin, Vouched}};
/// let vouched = |origin| Vouched::of(Authenticity::Authenticated, &Verdict::Untyped, origin);
/// assert_eq!(vouched(None), Vouched::MacOnly);
/// assert_eq!(vouched(Some(Origin::Written)), Vouched::WrittenHere);
/// assert!(vouched(Some(Origin::Written)).is_iv_authenticated());
/// ```
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Vouched {
    /// It belongs to the published public key, which also proves the IV.
    PublishedKey,
    /// The entry, its IV included, is the one that this machine wrote.
    WrittenHere,
    /// The entry, its IV included, is one that this machine opened before: nobody changed it since.
    /// That it was right then, nobody knows.
    OpenedBefore,
    /// Somebody who has the key wrote the ciphertext. Whether the IV is theirs, nobody knows.
    MacOnly,
    /// Anybody may have written it.
    Nothing,
}

impl Vouched {
    /// Judges by who can have written the entry, by what the value was compared with, and by how this
    /// machine came to know the entry before it opened it now.
    #[must_use]
    pub fn of(authenticity: Authenticity, verdict: &Verdict, known: Option<Origin>) -> Self {
        let has_mac = matches!(authenticity, Authenticity::Authenticated);
        match (verdict, known) {
            (Verdict::Matches { .. }, _) => Self::PublishedKey,
            (_, Some(Origin::Written)) => Self::WrittenHere,
            (_, Some(Origin::Opened)) if has_mac => Self::OpenedBefore,
            _ if has_mac => Self::MacOnly,
            _ => Self::Nothing,
        }
    }

    /// Returns `true` if it is certain that the IV is the one that the value was encrypted with.
    #[must_use]
    pub fn is_iv_authenticated(self) -> bool {
        matches!(self, Self::PublishedKey | Self::WrittenHere)
    }
}

impl fmt::Display for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublishedKey => "it belongs to the published key",
            Self::WrittenHere => "it is unchanged since this machine wrote it",
            Self::OpenedBefore => "it is unchanged since this machine first opened it",
            Self::MacOnly => {
                "only its MAC vouches for it: the homeserver may have changed the IV, and thereby \
                 the text"
            }
            Self::Nothing => "nothing vouches for it: anyone may have written it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithm::curve25519_aes_sha2::MacMode;

    #[test]
    fn who_vouches() {
        let matches = Verdict::Matches {
            public_key: "K".to_owned(),
        };
        let derived = Verdict::NothingToCompare {
            derived: "K".to_owned(),
        };
        let (mac, none) = (
            Authenticity::Authenticated,
            Authenticity::Unauthenticated(MacMode::Libolm),
        );
        for (authenticity, verdict, known, vouched) in [
            (mac, &matches, None, Vouched::PublishedKey),
            (none, &matches, None, Vouched::PublishedKey),
            (mac, &Verdict::Untyped, None, Vouched::MacOnly),
            (mac, &derived, Some(Origin::Read), Vouched::MacOnly),
            (mac, &derived, Some(Origin::Opened), Vouched::OpenedBefore),
            (mac, &derived, Some(Origin::Written), Vouched::WrittenHere),
            (none, &derived, Some(Origin::Written), Vouched::WrittenHere),
            (none, &derived, Some(Origin::Opened), Vouched::Nothing),
            (none, &Verdict::Untyped, None, Vouched::Nothing),
        ] {
            assert_eq!(Vouched::of(authenticity, verdict, known), vouched);
        }
        assert!(Vouched::PublishedKey.is_iv_authenticated());
        for doubtful in [Vouched::OpenedBefore, Vouched::MacOnly, Vouched::Nothing] {
            assert!(!doubtful.is_iv_authenticated());
        }
    }

    #[test]
    fn each_says_in_words_what_vouches() {
        let all = [
            Vouched::PublishedKey,
            Vouched::WrittenHere,
            Vouched::OpenedBefore,
            Vouched::MacOnly,
            Vouched::Nothing,
        ];
        let words = std::collections::BTreeSet::from(all.map(|one| one.to_string()));
        assert_eq!(words.len(), all.len());
        assert!(Vouched::MacOnly.to_string().contains("changed the IV"));
    }
}

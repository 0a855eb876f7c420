//! What was seen before, what differs now, and what vouches for a value that was opened.
//!
//! A server can show older account data than it has shown before, describe a key in another way, or
//! move the default key. Nothing in secret storage tells that by itself: it takes a memory. A
//! [`History`] is that memory as a value: anyone who uses this crate keeps its rows somewhere and
//! gives them back. [`compare`](History::compare) says what [changed](Change), and
//! [`Change::is_suspicious`] and [`Change::forbids_opening`] what follows from it.
//!
//! Everything is compared by what it says, not by how it is written: entries by their decoded
//! members ([`Fingerprint`]), key descriptions by what makes the key, the default key by the ID that
//! it names. A member that nobody reads, other white space or another way to write base64 makes
//! nothing new.
//!
//! What was merely read can be forged at will. It is remembered up to a number, and pushes nothing out:
//! what goes beyond that number is [told](Change::TooManyVersions) until the user accepts it. What this
//! machine has written or opened can only be pushed out by more of the same ([`Origin`]).
//!
//! ```
//! use fourfold::{
//!     AccountData,
//!     history::{Change, History},
//! };
//! let (mut history, mut account_data) = (History::default(), AccountData::default());
//! let entry = |iv| format!(r#"{{"encrypted":{{"a":{{"iv":"{iv}","ciphertext":"AA","mac":"AA"}}}}}}"#);
//! account_data.insert_json("org.example", entry("old"))?;
//! history.saw(&account_data);
//! account_data.insert_json("org.example", entry("new"))?;
//! assert!(!history.compare(&account_data)[0].is_suspicious());
//! history.saw(&account_data);
//!
//! account_data.insert_json("org.example", entry("old"))?;
//! assert!(matches!(history.compare(&account_data)[..], [Change::RolledBack { .. }]));
//! # Ok::<(), fourfold::ContentError>(())
//! ```

mod change;
mod changes;
mod comparison;
mod description;
mod fingerprint;
mod progress;
mod record;
mod room;
mod sighting;
mod succession;
mod vouching;

use std::collections::BTreeMap;

pub use change::Change;
pub use changes::{Changes, Suspicious};
pub use description::DescriptionChange;
pub use fingerprint::{Fingerprint, Reading};
pub use sighting::{Origin, Place, Sighting};
pub use succession::Succession;
pub use vouching::Vouched;

use crate::{Content, KeyId};

/// The history of the account data of one user, as remembered on this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Whether all account data was ever looked at: before that, nothing is new.
    is_begun: bool,
    /// The oldest first.
    sightings: BTreeMap<Place, Vec<Sighting>>,
    /// The highest counter of a sighting.
    newest: u64,
    descriptions: BTreeMap<KeyId, Description>,
    /// The outer `None`: never seen.
    default_key: Option<Option<KeyId>>,
}

/// The description of a key, as it was accepted.
#[derive(Clone, Debug)]
struct Description(Content);

impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_json() == other.0.to_json()
    }
}

impl History {
    /// Puts together what was kept. The sightings of a place need no order.
    #[must_use]
    pub fn restore(
        is_begun: bool,
        sightings: impl IntoIterator<Item = (Place, Sighting)>,
        descriptions: impl IntoIterator<Item = (KeyId, Content)>,
        default_key: Option<Option<KeyId>>,
    ) -> Self {
        let mut history = Self {
            is_begun,
            descriptions: descriptions
                .into_iter()
                .map(|(id, content)| (id, Description(content)))
                .collect(),
            default_key,
            ..Self::default()
        };
        for (place, sighting) in sightings {
            history.newest = history.newest.max(sighting.counter);
            history.sightings.entry(place).or_default().push(sighting);
        }
        for sightings in history.sightings.values_mut() {
            sightings.sort_by_key(|sighting| sighting.counter);
        }
        history
    }

    /// Returns `true` if all account data was ever looked at.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Everything that was seen, to be kept.
    pub fn sightings(&self) -> impl Iterator<Item = (&Place, &Sighting)> {
        self.sightings
            .iter()
            .flat_map(|(place, all)| all.iter().map(move |one| (place, one)))
    }

    /// The descriptions of keys that were accepted, to be kept.
    pub fn descriptions(&self) -> impl Iterator<Item = (&KeyId, &Content)> {
        self.descriptions.iter().map(|(id, one)| (id, &one.0))
    }

    /// The key that the default key named last, to be kept; the outer `None` before there was any.
    #[must_use]
    pub fn default_key(&self) -> Option<Option<&KeyId>> {
        self.default_key.as_ref().map(Option::as_ref)
    }
}

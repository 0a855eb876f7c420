//! What is remembered, and for how long.

use std::collections::BTreeSet;

use super::fingerprint::{Event, named_key};
use super::{Description, Fingerprint, History, Origin, Place, Reading, Sighting};
use crate::{AccountData, Content, DefaultKey, KeyDescription, KeyId, SecretName, SecretState};

impl History {
    /// The maximum number of sightings kept for a place that were merely read.
    ///
    /// A server that shows as many forged versions of an entry could otherwise push out the true ones
    /// and then show an older one of these, or one with another IV, as if it were new. So a further
    /// version of an entry is a [`TooManyVersions`](super::Change::TooManyVersions) until the user
    /// accepts it, and only then the older half of them goes. For whole events the newest are kept:
    /// what matters of them is in the entries, in the descriptions of keys and in the default key.
    pub const MAX_READ: usize = 32;
    /// The maximum number of sightings kept for a place that this machine opened or wrote.
    pub const MAX_OWN: usize = 256;

    /// Accepts everything that the server shows: later comparisons are with this.
    pub fn saw(&mut self, account_data: &AccountData) {
        self.saw_except(account_data, &BTreeSet::new());
    }

    /// As [`saw`](Self::saw), except for events of these types, which stay as they are remembered.
    pub fn saw_except(&mut self, account_data: &AccountData, not_these: &BTreeSet<String>) {
        let mut event_types = self.event_types(account_data);
        event_types.retain(|event_type| !not_these.contains(event_type));
        // Last, so that every key that is there with it came before it was accepted.
        let default = event_types.take(DefaultKey::EVENT_TYPE);
        for event_type in event_types.into_iter().chain(default) {
            self.record(&event_type, account_data.raw(&event_type), Origin::Read);
        }
        self.make_room();
        self.is_begun = true;
    }

    /// Remembers that an entry opened under its key: nothing that the server shows can make this
    /// machine forget it.
    pub fn opened(&mut self, account_data: &AccountData, name: &SecretName, key_id: &KeyId) {
        let event = Event::of(name.as_str(), account_data.raw(name.as_str()));
        for (of, reading, fingerprint) in event.entries {
            if of == key_id.as_str() {
                let place = Place {
                    event_type: name.as_str().to_owned(),
                    key_id: of,
                    reading,
                };
                self.see(place, Some(fingerprint), Origin::Opened);
            }
        }
    }

    /// Remembers the description of a key that was proven for the first time. One that is remembered
    /// already stays, so that a later one is still compared with it.
    pub fn proved(&mut self, description: &KeyDescription) {
        self.descriptions
            .entry(description.id().clone())
            .or_insert_with(|| Description(description.content().clone()));
    }

    /// How this machine came to know this very entry, its IV included; `None` when it has not seen
    /// it.
    #[must_use]
    pub fn origin_of(
        &self,
        account_data: &AccountData,
        name: &SecretName,
        key_id: &KeyId,
    ) -> Option<Origin> {
        let event = Event::of(name.as_str(), account_data.raw(name.as_str()));
        let readings = event.entries.into_iter();
        let readings = readings.filter(|(of, ..)| of == key_id.as_str());
        let origins = readings.map(|(of, reading, now)| {
            let place = Place {
                event_type: name.as_str().to_owned(),
                key_id: of,
                reading,
            };
            let is_it = |one: &&Sighting| one.seen.as_ref() == Some(&now);
            let sightings = self.sightings.get(&place)?;
            sightings.iter().filter(is_it).map(|one| one.origin).max()
        });
        // An entry that can be read in two ways counts as its weaker reading.
        origins.min().flatten()
    }

    /// The types of all events that secret storage is about, and of those that were.
    pub(super) fn event_types(&self, account_data: &AccountData) -> BTreeSet<String> {
        let mut event_types = relevant(account_data);
        event_types.extend(self.sightings.keys().map(|place| place.event_type.clone()));
        event_types.extend(self.descriptions.keys().map(KeyId::event_type));
        event_types
    }

    pub(super) fn record(&mut self, event_type: &str, json: Option<&str>, origin: Origin) {
        let event = Event::of(event_type, json);
        let place = |key_id: &str, reading| Place {
            event_type: event_type.to_owned(),
            key_id: key_id.to_owned(),
            reading,
        };
        self.see(place("", Reading::Whole), event.whole, origin);
        let mut there = BTreeSet::new();
        for (key_id, reading, fingerprint) in event.entries {
            let place = place(&key_id, reading);
            there.insert(place.clone());
            self.see(place, Some(fingerprint), origin);
        }
        let gone: Vec<_> = self
            .sightings
            .range(place("", FIRST)..)
            .map(|(place, _)| place)
            .take_while(|place| place.event_type == event_type)
            .filter(|place| !place.key_id.is_empty() && !there.contains(*place))
            .cloned()
            .collect();
        for place in gone {
            self.see(place, None, origin);
        }
        if event_type == DefaultKey::EVENT_TYPE {
            self.default_key = Some(named_key(json));
        }
        if let Some(id) = KeyId::from_event_type(event_type)
            && let Some(content) = json.and_then(|json| Content::from_json(json).ok())
            && !content.is_empty()
            && self.has_room_for(&id, content.to_json().len(), origin)
        {
            self.descriptions.insert(id, Description(content));
        }
    }

    /// Returns `true` if nothing more is remembered of a place that is merely read.
    pub(super) fn is_full(&self, place: &Place) -> bool {
        let sightings = self.sightings.get(place).into_iter().flatten();
        sightings.filter(|one| one.origin == Origin::Read).count() >= Self::MAX_READ
    }

    fn see(&mut self, place: Place, seen: Option<Fingerprint>, origin: Origin) {
        let is_entry = !place.key_id.is_empty();
        let sightings = self.sightings.entry(place).or_default();
        match sightings.last_mut() {
            Some(last) if last.seen == seen => last.origin = last.origin.max(origin),
            _ => {
                self.newest += 1;
                sightings.push(Sighting {
                    counter: self.newest,
                    origin,
                    seen,
                });
            }
        }
        let is_read = |origin| origin == Origin::Read;
        let number = sightings.iter().filter(|one| is_read(one.origin)).count();
        // Accepted: there is room again for the next ones.
        let is_accepted = is_entry && number > Self::MAX_READ;
        let most = Self::MAX_READ / if is_accepted { 2 } else { 1 };
        keep_newest(sightings, most, is_read);
        keep_newest(sightings, Self::MAX_OWN, |origin| origin != Origin::Read);
    }
}

/// The first in order.
const FIRST: Reading = Reading::Whole;

/// Removes the oldest of these until there are no more than that.
fn keep_newest(sightings: &mut Vec<Sighting>, most: usize, is_one: impl Fn(Origin) -> bool) {
    let number = sightings.iter().filter(|one| is_one(one.origin)).count();
    let mut too_many = number.saturating_sub(most);
    sightings.retain(|one| {
        let goes = too_many > 0 && is_one(one.origin);
        too_many -= usize::from(goes);
        !goes
    });
}

/// The types of the events that secret storage is about.
fn relevant(account_data: &AccountData) -> BTreeSet<String> {
    let is_secret = |json: &str| match SecretState::from_json(json) {
        SecretState::Encrypted(_) | SecretState::Emptied => true,
        SecretState::Malformed(_) => {
            Content::from_json(json).is_ok_and(|content| content.raw("encrypted").is_some())
        }
        _ => false,
    };
    account_data
        .event_types()
        .filter(|event_type| {
            let is_its_own = event_type.starts_with("m.secret_storage.");
            event_type.len() <= MAX_EVENT_TYPE_BYTES
                && (is_its_own || account_data.raw(event_type).is_some_and(is_secret))
        })
        .map(str::to_owned)
        .collect()
}

/// The longest type that an event can have in Matrix.
const MAX_EVENT_TYPE_BYTES: usize = 255;

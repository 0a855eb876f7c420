//! Comparing what the server holds with what it was seen to hold.

use super::fingerprint::{Event, named_key};
use super::{Change, Fingerprint, History, Place, Reading, description};
use crate::{AccountData, DefaultKey, KeyId};

impl History {
    /// The changes since it was last accepted, in the order of event types. Before anything was
    /// seen there is nothing to compare with, and nothing is reported.
    #[must_use]
    pub fn compare(&self, account_data: &AccountData) -> Vec<Change> {
        let mut changes = Vec::new();
        for event_type in self.event_types(account_data) {
            let comparison = Comparison::of(self, &event_type, account_data.raw(&event_type));
            comparison.run(&mut changes);
        }
        changes
    }

    /// The change of an event with this content since it was last read.
    pub(super) fn last_whole(&self, event_type: &str, json: Option<&str>) -> Last {
        Comparison::of(self, event_type, json).last_whole()
    }

    /// The outer `None`: never seen.
    fn last(&self, place: &Place) -> Option<Option<Fingerprint>> {
        self.sightings.get(place)?.last().map(|last| last.seen)
    }

    fn was_seen(&self, place: &Place, seen: Fingerprint) -> bool {
        self.seen(place).any(|one| one == seen)
    }

    fn seen(&self, place: &Place) -> impl Iterator<Item = Fingerprint> {
        let sightings = self.sightings.get(place);
        sightings.into_iter().flatten().filter_map(|one| one.seen)
    }
}

/// The comparison of one event.
struct Comparison<'a> {
    history: &'a History,
    event_type: &'a str,
    json: Option<&'a str>,
    now: Event,
    as_text: Event,
}

impl<'a> Comparison<'a> {
    fn of(history: &'a History, event_type: &'a str, json: Option<&'a str>) -> Self {
        Self {
            history,
            event_type,
            json,
            now: Event::of(event_type, json),
            as_text: Event::as_text(json),
        }
    }

    fn run(&self, changes: &mut Vec<Change>) {
        let event_type = || self.event_type.to_owned();
        let last = self.last_whole();
        let key_id = KeyId::from_event_type(self.event_type);
        let described = key_id
            .as_ref()
            .and_then(|id| self.history.descriptions.get(id));
        let Some(now) = self.now.whole else {
            // A description that was remembered on its own counts as seen.
            if last == Last::There || (last == Last::Never && described.is_some()) {
                changes.push(Change::Disappeared {
                    event_type: event_type(),
                });
            }
            return;
        };
        if let (Some(key_id), Some(described)) = (key_id, described) {
            let change = description::difference(&described.0, self.json);
            if last != Last::Same && self.was_whole(now) {
                changes.push(Change::RolledBack {
                    event_type: event_type(),
                });
            }
            changes.extend(change.map(|(kind, what)| Change::KeyDescriptionChanged {
                key_id,
                kind,
                what,
            }));
            return;
        }
        if last == Last::Same {
            return;
        }
        let count = changes.len();
        self.check_ivs(changes);
        if self.was_whole(now) || self.has_older_entry() {
            changes.push(Change::RolledBack {
                event_type: event_type(),
            });
        }
        if changes.len() == count && self.is_beyond_memory() {
            changes.push(Change::TooManyVersions { name: event_type() });
        }
        let is_suspicious = changes.len() > count;
        if self.event_type == DefaultKey::EVENT_TYPE && last != Last::Never {
            let from = self.history.default_key.clone().flatten();
            let to = named_key(self.json);
            if from != to {
                changes.push(Change::DefaultKeyChanged { from, to });
            }
        } else if !is_suspicious && last == Last::There {
            changes.push(Change::SecretChanged { name: event_type() });
        } else if !is_suspicious && self.history.is_begun {
            changes.push(Change::Added {
                event_type: event_type(),
            });
        }
    }

    /// What the whole event was last, by its latest sighting; one of an earlier version counts until
    /// there is a newer one.
    fn last_whole(&self) -> Last {
        let (last, now) = match self.history.last(&self.place("", Reading::Whole)) {
            Some(last) => (last, self.now.whole),
            None => match self.history.last(&self.place("", Reading::Text)) {
                Some(last) => (last, self.as_text.whole),
                None => return Last::Never,
            },
        };
        match last {
            None => Last::Gone,
            last if last == now => Last::Same,
            Some(_) => Last::There,
        }
    }

    fn was_whole(&self, now: Fingerprint) -> bool {
        self.history.was_seen(&self.place("", Reading::Whole), now)
            || self
                .as_text
                .whole
                .is_some_and(|text| self.history.was_seen(&self.place("", Reading::Text), text))
    }

    /// Returns `true` if an entry is an older one that had been replaced.
    fn has_older_entry(&self) -> bool {
        let is_older = |(key_id, reading, now): &(String, Reading, Fingerprint)| {
            let place = self.place(key_id, *reading);
            let last = self.history.last(&place);
            if last == Some(Some(*now)) {
                return false;
            }
            self.history.was_seen(&place, *now) || self.was_older_text(key_id, last.is_some())
        };
        self.now.entries.iter().any(is_older)
    }

    /// Returns `true` if an entry is a further one where no more are remembered. What was forgotten
    /// could not be told from it.
    fn is_beyond_memory(&self) -> bool {
        let is_further = |(key_id, reading, now): &(String, Reading, Fingerprint)| {
            let place = self.place(key_id, *reading);
            self.history.last(&place) != Some(Some(*now)) && self.history.is_full(&place)
        };
        self.now.entries.iter().any(is_further)
    }

    /// Returns `true` if an earlier version saw the entry. Its last sighting is the one before,
    /// until there is a newer one.
    fn was_older_text(&self, key_id: &str, is_followed: bool) -> bool {
        let place = self.place(key_id, Reading::Text);
        let last = self.history.last(&place).flatten();
        let texts = self.as_text.entries.iter();
        let texts = || texts.clone().filter(|(of, ..)| of == key_id);
        let is_known = texts().any(|(_, _, text)| self.history.was_seen(&place, *text));
        let is_last = texts().any(|(_, _, text)| last == Some(*text));
        is_known && (is_followed || !is_last)
    }

    /// No client encrypts to the same ciphertext twice.
    fn check_ivs(&self, changes: &mut Vec<Change>) {
        for (key_id, reading, now) in &self.now.entries {
            let place = self.place(key_id, *reading);
            if now.iv.is_none() || self.history.last(&place) == Some(Some(*now)) {
                continue;
            }
            let mut seen = self.history.seen(&place);
            if seen.any(|one| one.body == now.body && one.iv != now.iv)
                && let Ok(key_id) = KeyId::new(key_id)
            {
                changes.push(Change::IvChanged {
                    name: self.event_type.to_owned(),
                    key_id,
                });
            }
        }
    }

    fn place(&self, key_id: &str, reading: Reading) -> Place {
        Place {
            event_type: self.event_type.to_owned(),
            key_id: key_id.to_owned(),
            reading,
        }
    }
}

/// The content of an event when it was last read.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Last {
    Never,
    /// It was gone.
    Gone,
    /// It was something else.
    There,
    /// It was what it is now.
    Same,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Origin, Sighting};

    fn account_data(content: &str) -> AccountData {
        let mut data = AccountData::default();
        data.insert_json("org.example.wallet", content).unwrap();
        data
    }

    /// A secret under two keys, of which one entry is of no algorithm that is known.
    fn secret(ciphertext: &str, more: &str) -> String {
        let (iv, mac) = ("A".repeat(22), "A".repeat(43));
        with_entry(ciphertext, &iv, &mac, more)
    }

    fn with_entry(ciphertext: &str, iv: &str, mac: &str, more: &str) -> String {
        let entry = format!(r#"{{"ciphertext":"{ciphertext}","iv":"{iv}","mac":"{mac}"}}"#);
        format!(r#"{{"encrypted":{{"a":{entry},"b":{{"other":1}}}}{more}}}"#)
    }

    /// What an earlier version kept that saw these, one after the other: their texts.
    fn by_text(contents: &[String]) -> History {
        let mut rows = Vec::new();
        for content in contents {
            let mut event = Event::as_text(Some(content));
            // Of the texts of an entry the one that it has.
            event.entries.dedup_by(|next, one| next.0 == one.0);
            let whole = event.whole.map(|one| (String::new(), Reading::Text, one));
            for (key_id, reading, seen) in whole.into_iter().chain(event.entries) {
                let place = Place {
                    event_type: "org.example.wallet".to_owned(),
                    key_id,
                    reading,
                };
                let sighting = Sighting {
                    counter: rows.len() as u64 + 1,
                    origin: Origin::Read,
                    seen: Some(seen),
                };
                rows.push((place, sighting));
            }
        }
        History::restore(true, rows, [], None)
    }

    // shows: STO-07
    #[test]
    fn an_entry_that_an_earlier_version_saw_replaced_is_rolled_back_in_other_company_too() {
        let rolled_back = Change::RolledBack {
            event_type: "org.example.wallet".to_owned(),
        };
        let old = account_data(&secret("AAAA", r#","x":1"#));
        let history = by_text(&[secret("AAAA", ""), secret("AAAB", "")]);
        assert!(history.compare(&old).contains(&rolled_back));
        // Also when there is a newer sighting, of this version.
        let mut followed = history.clone();
        followed.saw(&account_data(&secret("AAAB", "")));
        assert!(followed.compare(&old).contains(&rolled_back));
        // What it saw last is not an older one, and what it never saw neither.
        for now in ["AAAB", "AAAC"] {
            let now = account_data(&secret(now, r#","x":1"#));
            assert!(!history.compare(&now).contains(&rolled_back), "{now:?}");
        }
    }

    // shows: STO-07
    #[test]
    fn an_entry_that_an_earlier_version_saw_with_padding_is_known_without() {
        let rolled_back = Change::RolledBack {
            event_type: "org.example.wallet".to_owned(),
        };
        let (iv, mac) = ("A".repeat(22), "A".repeat(43));
        let padded = with_entry("AAA=", &(iv.clone() + "=="), &(mac.clone() + "="), "");
        let history = by_text(&[padded, secret("AAAB", "")]);
        let old = account_data(&with_entry("AAA", &iv, &mac, ""));
        assert!(history.compare(&old).contains(&rolled_back));
    }
}

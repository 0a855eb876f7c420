//! How much is remembered of what a server merely showed: it can show as much as it likes.

use std::cmp::Reverse;

use super::{History, Origin, Sighting};
use crate::{DefaultKey, KeyId, SecretKind, SecretName};

impl History {
    /// How many sightings are kept in all that were merely read. Beyond it places go of which nothing
    /// was opened or written here, those that came last first: what a server adds never pushes out
    /// what was there before.
    pub const MAX_READ_IN_ALL: usize = 20_000;
    /// How many descriptions of keys are remembered that were merely read. What was proven or written
    /// here comes on top.
    pub const MAX_DESCRIPTIONS: usize = 256;
    /// The largest description that is remembered when it was merely read.
    pub const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;

    /// Returns `true` if the description of a key is remembered that came like this.
    pub(super) fn has_room_for(&self, id: &KeyId, bytes: usize, origin: Origin) -> bool {
        origin != Origin::Read
            || self.descriptions.contains_key(id)
            || (self.descriptions.len() < Self::MAX_DESCRIPTIONS
                && bytes <= Self::MAX_DESCRIPTION_BYTES)
    }

    /// Forgets what is too much.
    pub(super) fn make_room(&mut self) {
        let number = self.read().count();
        if number <= Self::MAX_READ_IN_ALL {
            return;
        }
        let mut excess = number.saturating_sub(Self::MAX_READ_IN_ALL);
        let mut places: Vec<_> = self
            .sightings
            .iter()
            .filter(|(_, all)| all.iter().all(|one| one.origin == Origin::Read))
            .map(|(place, all)| {
                let first = all.first().map_or(u64::MAX, |one| one.counter);
                (
                    self.is_kept(&place.event_type),
                    Reverse(first),
                    place.clone(),
                    all.len(),
                )
            })
            .collect();
        places.sort_unstable();
        for (_, _, place, number) in places {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(number);
            self.sightings.remove(&place);
        }
    }

    /// The events that every account has, and the remembered keys.
    fn is_kept(&self, event_type: &str) -> bool {
        event_type == DefaultKey::EVENT_TYPE
            || KeyId::from_event_type(event_type)
                .is_some_and(|id| self.descriptions.contains_key(&id))
            || SecretName::new(event_type)
                .is_ok_and(|name| SecretKind::of(&name) != SecretKind::Other)
    }

    fn read(&self) -> impl Iterator<Item = &Sighting> {
        let all = self.sightings.values().flatten();
        all.filter(|one| one.origin == Origin::Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccountData;

    fn shown(prefix: &str, number: usize) -> AccountData {
        let mut data = AccountData::default();
        for number in 0..number {
            let content = r#"{"encrypted":{"key":{"iv":"AA","ciphertext":"AA","mac":"AA"}}}"#;
            let event_type = format!("org.example.{prefix}.{number}");
            data.insert_json(event_type, content).unwrap();
        }
        data
    }

    fn knows(history: &History, event_type: &str) -> bool {
        history
            .sightings
            .keys()
            .any(|place| place.event_type == event_type)
    }

    // shows: LIB-22
    #[test]
    fn what_a_server_invents_is_bounded_and_pushes_out_nothing() {
        let mut history = History::default();
        let mut first = shown("first", 10);
        first
            .insert_json("m.megolm_backup.v1", r#"{"encrypted":{"key":{}}}"#)
            .unwrap();
        history.saw(&first);
        for round in 0..4 {
            let mut data = shown(&format!("round{round}"), 19_000);
            for event_type in first.event_types() {
                data.insert_json(event_type, first.raw(event_type).unwrap())
                    .unwrap();
            }
            history.saw(&data);
            assert!(history.read().count() <= History::MAX_READ_IN_ALL);
        }
        for event_type in first.event_types() {
            assert!(knows(&history, event_type), "{event_type}");
        }
        assert!(!knows(&history, "org.example.round3.18999"));
    }

    // shows: STO-07
    #[test]
    fn versions_that_a_server_invents_push_no_older_version_out() {
        let version = |number: usize| {
            let ciphertext = crate::base64::encode(number.to_le_bytes());
            let content = format!(
                r#"{{"encrypted":{{"key":{{"iv":"AAAAAAAAAAAAAAAAAAAAAA","ciphertext":"{ciphertext}","mac":"{}"}}}}}}"#,
                "A".repeat(43)
            );
            let mut data = AccountData::default();
            data.insert_json("org.example.wallet", content).unwrap();
            data
        };
        let mut history = History::default();
        history.saw(&version(0));
        history.saw(&version(1));
        let before = history.compare(&version(0));
        for round in 0..3 {
            let mut data = shown(&format!("round{round}"), 19_000);
            let wallet = version(1);
            let wallet = wallet.raw("org.example.wallet").unwrap();
            data.insert_json("org.example.wallet", wallet).unwrap();
            history.saw(&data);
        }
        assert_eq!(history.compare(&version(0))[0], before[0]);
        let changes = history.compare(&version(0));
        assert!(changes.contains(&super::super::Change::RolledBack {
            event_type: "org.example.wallet".to_owned(),
        }));
    }

    /// With what is there of one secret, and what another account data adds.
    fn with_mine(ciphertext: &str, mut others: AccountData) -> AccountData {
        let entry = format!(r#"{{"iv":"AA","ciphertext":"{ciphertext}","mac":"AA"}}"#);
        let content = format!(r#"{{"encrypted":{{"key":{entry}}}}}"#);
        others.insert_json("org.example.mine", content).unwrap();
        others
    }

    fn origin(history: &History, data: &AccountData) -> Option<Origin> {
        let name = SecretName::new("org.example.mine").unwrap();
        history.origin_of(data, &name, &KeyId::new("key").unwrap())
    }

    fn opened(history: &mut History, data: &AccountData) {
        let name = SecretName::new("org.example.mine").unwrap();
        history.saw(data);
        history.opened(data, &name, &KeyId::new("key").unwrap());
    }

    // shows: LIB-22, STO-07
    #[test]
    fn no_room_is_made_of_what_was_opened() {
        let mut history = History::default();
        let data = shown("first", 9_999);
        history.saw(&data);
        let old = with_mine("old", data.clone());
        opened(&mut history, &old);
        let mut data = with_mine("new", data);
        history.saw(&data);
        // It came last of all that may go, and now what is kept takes more room.
        for number in 0..100 {
            let event_type = format!("m.secret_storage.key.{number}");
            data.insert_json(event_type, r#"{"algorithm":"a"}"#)
                .unwrap();
        }
        history.saw(&data);
        assert!(!knows(&history, "org.example.first.9998"));
        assert_eq!(origin(&history, &old), Some(Origin::Opened));
    }

    // shows: LIB-22
    #[test]
    fn descriptions_that_a_server_invents_are_bounded() {
        let mut history = History::default();
        let mut data = AccountData::default();
        for number in 0..1000 {
            let event_type = format!("m.secret_storage.key.key{number:04}");
            data.insert_json(event_type, r#"{"algorithm":"a"}"#)
                .unwrap();
        }
        history.saw(&data);
        assert_eq!(history.descriptions.len(), History::MAX_DESCRIPTIONS);
    }

    // shows: LIB-22
    #[test]
    fn a_description_that_is_known_or_was_written_here_has_room_when_no_other_has() {
        let mut history = History::default();
        let mut see = |key_id: &str, name: &str, origin| {
            let event_type = KeyId::new(key_id).unwrap().event_type();
            let content = format!(r#"{{"algorithm":"a","name":"{name}"}}"#);
            history.record(&event_type, Some(&content), origin);
            let found = history.descriptions.get(&KeyId::new(key_id).unwrap());
            found.is_some_and(|found| found.0.to_json() == content)
        };
        for number in 0..History::MAX_DESCRIPTIONS {
            assert!(see(&format!("key{number}"), "first", Origin::Read));
        }
        assert!(!see("another", "first", Origin::Read));
        assert!(see("another", "first", Origin::Written));
        // Accepted by the user, however large.
        assert!(see("key7", &"a".repeat(20_000), Origin::Read));
        assert!(see("another", "second", Origin::Read));
    }

    // shows: LIB-22
    #[test]
    fn a_description_of_more_than_16_kib_is_not_remembered() {
        for (bytes, is_remembered) in [(16 * 1024, true), (16 * 1024 + 1, false)] {
            let name = "a".repeat(bytes - r#"{"name":""}"#.len());
            let mut data = AccountData::default();
            let content = format!(r#"{{"name":"{name}"}}"#);
            data.insert_json("m.secret_storage.key.a", content).unwrap();
            let mut history = History::default();
            history.saw(&data);
            let id = KeyId::new("a").unwrap();
            assert_eq!(history.descriptions.contains_key(&id), is_remembered);
        }
    }
}

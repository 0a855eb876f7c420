//! Keys that took the place of others elsewhere: what a key must show before this machine follows.
//!
//! A server can name any key as the default and hide any description. It cannot encrypt under a key
//! of the user. So a new default key is believed once the user has given it and it opens, with a MAC
//! that verifies, everything that this machine knows under the key before. A key that this machine
//! knew before it accepted the present default is never the next one: that is what going back looks
//! like.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fingerprint::named_key;
use super::{Change, History, Origin, Place, Reading};
use crate::{
    AccountData, Algorithm, DefaultKey, KeyCheckOutcome, KeyId, SecretName, SecretState,
    SecretStorage, SecretStorageKey,
};

/// A suspicious change that is settled by a key which the user gives: another default key, or a
/// description of a key that is gone.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::history::History;
/// use fourfold::plan::{self, Destination};
/// use fourfold::{AccountData, NewKey, SecretStorage};
/// let (old, new) = (NewKey::random(None, &mut rng), NewKey::random(None, &mut rng));
/// let (mut history, mut account_data) = (History::default(), AccountData::default());
/// plan::set_up(&SecretStorage::new(&account_data), &old)?.apply_to(&mut account_data);
/// history.saw(&account_data);
/// // On another device of the user:
/// let (storage, to) = (SecretStorage::new(&account_data), Destination::New(&new));
/// let rotation = plan::rotate(&storage, old.key().key(), to, &Default::default(), &mut rng)?;
/// rotation.apply_to(&mut account_data);
///
/// let changes = history.compare(&account_data);
/// let successions = history.successions(&account_data, &changes);
/// let storage = SecretStorage::new(&account_data);
/// assert!(!successions.is_empty());
/// assert!(successions.iter().all(|one| one.is_settled_by(&storage, new.key().key())));
/// assert!(!successions.iter().all(|one| one.is_settled_by(&storage, old.key().key())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Succession {
    change: Change,
    /// The keys that settle it, each with the secrets that it must open.
    by: BTreeMap<KeyId, BTreeSet<SecretName>>,
}

impl Succession {
    /// The change.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Whether this key settles the change: it is one of those that can, it is the right one, and it
    /// opens everything that it must.
    ///
    /// A key of 2019 settles nothing, because anybody can encrypt under it, and neither does one that
    /// is easy to guess.
    #[must_use]
    pub fn is_settled_by(&self, storage: &SecretStorage<'_>, key: &SecretStorageKey) -> bool {
        let Some(names) = self.by.get(key.id()) else {
            return false;
        };
        key.algorithm() == Algorithm::AesHmacSha2
            && !key.is_weak()
            && storage.check(key) == KeyCheckOutcome::Verified
            && names
                .iter()
                .all(|name| storage.open_entry(name, key).is_ok())
    }
}

impl History {
    /// Those of these changes that a key of the user settles.
    ///
    /// Another default key is settled by that key, if it came after the one before it was accepted
    /// here, and opens everything that was ever seen under that one and is still there. A description
    /// that is gone is settled by the key itself, or by the default key if that opens everything that
    /// was seen under it.
    #[must_use]
    pub fn successions(&self, account_data: &AccountData, changes: &[Change]) -> Vec<Succession> {
        let named = named_key(account_data.raw(DefaultKey::EVENT_TYPE));
        let went_back = changes.iter().any(|change| {
            matches!(change, Change::RolledBack { event_type } if event_type == DefaultKey::EVENT_TYPE)
        });
        let mut successions = Vec::new();
        for change in changes {
            let by = match change {
                Change::DefaultKeyChanged {
                    from: Some(from),
                    to: Some(to),
                } if !went_back && self.came_later(to) => {
                    BTreeMap::from([(to.clone(), self.known_under(from, account_data))])
                }
                Change::Disappeared { event_type } => {
                    let Some(gone) = KeyId::from_event_type(event_type) else {
                        continue;
                    };
                    let mut by = BTreeMap::new();
                    if let Some(named) = &named {
                        by.insert(named.clone(), self.known_under(&gone, account_data));
                    }
                    // That it is the right key is all that its description was needed for.
                    by.insert(gone, BTreeSet::new());
                    by
                }
                _ => continue,
            };
            let change = change.clone();
            successions.push(Succession { change, by });
        }
        successions
    }

    /// Accepts what the server shows of events of these types.
    pub fn saw_these<'a>(
        &mut self,
        account_data: &AccountData,
        event_types: impl IntoIterator<Item = &'a str>,
    ) {
        for event_type in event_types {
            self.record(event_type, account_data.raw(event_type), Origin::Read);
        }
    }

    /// Whether a key was first seen after the present default key was accepted. Where the first
    /// sighting may have been forgotten, it was not.
    fn came_later(&self, id: &KeyId) -> bool {
        let whole = |event_type: String| Place {
            event_type,
            key_id: String::new(),
            reading: Reading::Whole,
        };
        let default = whole(DefaultKey::EVENT_TYPE.to_owned());
        let default = self.sightings.get(&default).and_then(|all| all.last());
        let Some(default) = default else {
            return false;
        };
        let Some(seen) = self.sightings.get(&whole(id.event_type())) else {
            return !self.descriptions.contains_key(id);
        };
        seen.len() < Self::MAX_READ
            && seen
                .first()
                .is_some_and(|first| first.counter > default.counter)
    }

    /// The secrets that were ever seen under a key, of those that are there.
    fn known_under(&self, id: &KeyId, account_data: &AccountData) -> BTreeSet<SecretName> {
        let places = self.sightings.iter();
        let under = places.filter(|(place, all)| {
            place.key_id == id.as_str() && all.iter().any(|one| one.seen.is_some())
        });
        let names = under.filter_map(|(place, _)| SecretName::new(&place.event_type).ok());
        names
            .filter(|name| {
                let json = account_data.raw(name.as_str());
                json.is_some_and(|json| {
                    matches!(
                        SecretState::from_json(json),
                        SecretState::Encrypted(_) | SecretState::Malformed(_)
                    )
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Destination, WritingKey};
    use crate::testing::{Fixed, rng};
    use crate::{Content, NewKey, Secret};

    /// An account with two secrets, as this machine saw it, and what became of it.
    struct Account {
        old: NewKey,
        new: NewKey,
        history: History,
        now: AccountData,
        rng: Fixed,
    }

    impl Account {
        fn new() -> Self {
            let mut rng = rng();
            let [old, new] = [(); 2].map(|()| NewKey::random(None, &mut rng));
            let mut now = AccountData::default();
            let set_up = plan::set_up(&SecretStorage::new(&now), &old).unwrap();
            set_up.apply_to(&mut now);
            let history = History::default();
            let mut account = Self {
                old,
                new,
                history,
                now,
                rng,
            };
            account.store("org.example.a");
            account.store("org.example.b");
            account.history.saw(&account.now);
            account
        }

        fn store(&mut self, name: &str) {
            let plan = plan::store(
                &SecretStorage::new(&self.now),
                &SecretName::new(name).unwrap(),
                &Secret::new("four folds of paper"),
                &[WritingKey::Proven(self.old.key())],
                &Default::default(),
                &mut self.rng,
            );
            plan.unwrap().apply_to(&mut self.now);
        }

        fn rotate(&mut self) {
            let (storage, to) = (SecretStorage::new(&self.now), Destination::New(&self.new));
            let old = self.old.key().key();
            let plan = plan::rotate(&storage, old, to, &Default::default(), &mut self.rng);
            plan.unwrap().apply_to(&mut self.now);
        }

        fn put(&mut self, event_type: &str, json: &str) {
            self.now.insert_json(event_type, json).unwrap();
        }

        /// Whether every suspicious change is settled by a key.
        fn is_settled_by(&self, key: &NewKey) -> bool {
            let mut changes = self.history.compare(&self.now);
            let successions = self.history.successions(&self.now, &changes);
            changes.retain(Change::is_suspicious);
            assert!(!changes.is_empty());
            let storage = SecretStorage::new(&self.now);
            changes.iter().all(|change| {
                successions.iter().any(|one| {
                    one.change() == change && one.is_settled_by(&storage, key.key().key())
                })
            })
        }

        /// What `follow` of the local state does: what is not suspicious is remembered.
        fn look(&mut self) {
            let changes = self.history.compare(&self.now);
            let suspicious = changes.iter().filter(|change| change.is_suspicious());
            let types = suspicious.map(Change::event_type).collect();
            self.history.saw_except(&self.now, &types);
        }
    }

    // shows: STO-05
    #[test]
    fn a_new_default_key_that_opens_everything_is_progress() {
        let mut account = Account::new();
        account.rotate();
        for _ in 0..2 {
            assert!(account.is_settled_by(&account.new));
            assert!(!account.is_settled_by(&account.old));
            account.look();
        }
        let types = [
            DefaultKey::EVENT_TYPE.to_owned(),
            account.old.key().id().event_type(),
        ];
        let types = types.iter().map(String::as_str);
        account.history.saw_these(&account.now, types);
        let changes = account.history.compare(&account.now);
        assert!(!changes.iter().any(Change::is_suspicious), "{changes:?}");
    }

    // shows: STO-05
    #[test]
    fn a_new_default_key_that_does_not_open_everything_is_not() {
        // One secret is still under the old key alone, or what is there is not from the new one.
        for entry in [
            "{}",
            r#"{"iv":"AAAAAAAAAAAAAAAAAAAAAA","ciphertext":"AA","mac":"AA"}"#,
        ] {
            let mut account = Account::new();
            let before = account.now.clone();
            account.rotate();
            let id = account.new.key().id().as_str().to_owned();
            let forged = format!(r#"{{"encrypted":{{"{id}":{entry}}}}}"#);
            account.put("org.example.a", &forged);
            assert!(!account.is_settled_by(&account.new));
            account.put("org.example.a", before.raw("org.example.a").unwrap());
            assert!(!account.is_settled_by(&account.new));
        }
        // A secret that is gone is a change of its own, which no key settles.
        let mut account = Account::new();
        account.rotate();
        account.put("org.example.a", "{}");
        assert!(!account.is_settled_by(&account.new));
    }

    // shows: STO-05, STO-07
    #[test]
    fn a_key_that_was_there_before_is_never_the_next_default() {
        // It was described from the beginning.
        let mut account = Account::new();
        let description = account.new.description().clone();
        account
            .now
            .insert(description.id().event_type(), description.content());
        account.history = History::default();
        account.history.saw(&account.now);
        account.rotate();
        assert!(!account.is_settled_by(&account.new));

        // It was the default before: the server goes back to what was there before a rotation.
        let mut account = Account::new();
        let before = account.now.clone();
        account.rotate();
        account.history.saw(&account.now);
        account.now = before;
        assert!(!account.is_settled_by(&account.old));

        // The same with contents that this machine has not seen.
        let old = account.old.key().id().as_str().to_owned();
        account.put(
            DefaultKey::EVENT_TYPE,
            &format!(r#"{{"key":"{old}","x":1}}"#),
        );
        assert!(!account.is_settled_by(&account.old));

        // Descriptions that differ push the first sighting out.
        let mut account = Account::new();
        let description = account.new.description().clone();
        let event_type = description.id().event_type();
        account.now.insert(&event_type, description.content());
        account.history = History::default();
        account.history.saw(&account.now);
        for number in 0..=2 * History::MAX_READ {
            let mut content: Content = description.content().clone();
            content.insert("name", &number);
            account.now.insert(&event_type, &content);
            account.look();
        }
        account.now.insert(&event_type, description.content());
        account.rotate();
        assert!(!account.is_settled_by(&account.new));
    }

    #[test]
    fn a_description_that_is_gone_is_settled_by_the_key_itself() {
        let mut account = Account::new();
        account.put(&account.old.key().id().event_type(), "{}");
        assert!(account.is_settled_by(&account.old));
        assert!(!account.is_settled_by(&account.new));
        // And by no other that has its ID.
        let id = account.old.key().id().clone();
        let bytes = zeroize::Zeroizing::new([7; 32]);
        let other = SecretStorageKey::from_bytes(id, Algorithm::AesHmacSha2, bytes);
        let changes = account.history.compare(&account.now);
        let successions = account.history.successions(&account.now, &changes);
        let storage = SecretStorage::new(&account.now);
        assert!(
            !successions
                .iter()
                .any(|one| one.is_settled_by(&storage, &other))
        );
    }
}

//! Pins: what the server was last seen to hold, so that a rollback is noticed.

use std::collections::BTreeSet;

use fourfold::{
    AccountData, Content, DefaultKey, EventState, KeyDescription, KeyId, Plan, SecretState,
    SecretStorage, Snapshot, canonical_json,
};
use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::{LocalState, LocalStateError, description};
use crate::Change;

impl LocalState {
    /// What changed on the server since it was last pinned, in the order of event types. Before
    /// anything was pinned there is nothing to compare with, and nothing is reported.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and the errors of the file system.
    pub fn compare(&self, snapshot: &Snapshot) -> Result<Vec<Change>, LocalStateError> {
        self.changes(&snapshot.account_data)
            .map_err(|error| self.database(error))
    }

    /// Accepts what the server holds now: later comparisons are with this.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn pin(&mut self, snapshot: &Snapshot) -> Result<(), LocalStateError> {
        self.change(|pins| pins.whole(&snapshot.account_data))
    }

    /// Remembers the description of a key when the key was proven for the first time. One that is
    /// remembered already stays, so that a later one is still compared with it.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn pin_key_description(
        &mut self,
        description: &KeyDescription,
    ) -> Result<(), LocalStateError> {
        let content = description.content().to_json();
        self.change(|pins| {
            pins.connection.execute(
                "INSERT OR IGNORE INTO key_description (key_id, content) VALUES (?1, ?2)",
                (description.id().as_str(), content),
            )?;
            Ok(())
        })
    }

    /// Changes pins, all or nothing.
    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut Pins<'_>) -> Result<(), rusqlite::Error>,
    ) -> Result<(), LocalStateError> {
        let path = self.path.clone();
        let database = |error| LocalStateError::database(&path, error);
        let transaction = self.connection.transaction().map_err(database)?;
        let counter: i64 = transaction
            .query_row("SELECT coalesce(max(counter), 0) FROM seen", [], |row| {
                row.get(0)
            })
            .map_err(database)?;
        let mut pins = Pins {
            connection: &transaction,
            counter,
        };
        change(&mut pins).map_err(database)?;
        transaction.commit().map_err(database)
    }

    fn changes(&self, account_data: &AccountData) -> Result<Vec<Change>, rusqlite::Error> {
        let is_pinned: bool =
            self.connection
                .query_row("SELECT is_pinned FROM account", [], |row| row.get(0))?;
        let mut event_types = relevant(account_data);
        let mut pinned = self.connection.prepare(
            "SELECT event_type FROM seen UNION
             SELECT 'm.secret_storage.key.' || key_id FROM key_description",
        )?;
        for event_type in pinned.query_map([], |row| row.get::<_, String>(0))? {
            event_types.insert(event_type?);
        }
        let mut changes = Vec::new();
        for event_type in event_types {
            let comparison = Comparison {
                connection: &self.connection,
                account_data,
                is_pinned,
                event_type: &event_type,
            };
            comparison.run(&mut changes)?;
        }
        Ok(changes)
    }
}

/// The pins, while they are changed.
pub(super) struct Pins<'a> {
    connection: &'a Connection,
    counter: i64,
}

impl Pins<'_> {
    /// Remembers what a plan found and what it wrote.
    pub(super) fn written(&mut self, plan: &Plan) -> Result<(), rusqlite::Error> {
        for step in &plan.steps {
            if last_seen(self.connection, &step.event_type, WHOLE)?.is_none()
                && step.expects().is_some()
            {
                self.event(&step.event_type, step.expects())?;
            }
            self.event(&step.event_type, Some(&step.content.to_json()))?;
        }
        Ok(())
    }

    pub(super) fn clear_journal(&mut self) -> Result<(), rusqlite::Error> {
        self.connection.execute("DELETE FROM journal", [])?;
        Ok(())
    }

    fn whole(&mut self, account_data: &AccountData) -> Result<(), rusqlite::Error> {
        let mut event_types = relevant(account_data);
        let mut pinned = self
            .connection
            .prepare("SELECT DISTINCT event_type FROM seen")?;
        for event_type in pinned.query_map([], |row| row.get::<_, String>(0))? {
            event_types.insert(event_type?);
        }
        for event_type in event_types {
            self.event(&event_type, account_data.raw(&event_type))?;
        }
        self.connection
            .execute("UPDATE account SET is_pinned = 1", [])?;
        Ok(())
    }

    fn event(&mut self, event_type: &str, json: Option<&str>) -> Result<(), rusqlite::Error> {
        self.see(event_type, WHOLE, hash_of_event(json))?;
        let entries = entries(json);
        for (id, hash) in &entries {
            self.see(event_type, id, Some(*hash))?;
        }
        let mut pinned = self
            .connection
            .prepare("SELECT DISTINCT entry FROM seen WHERE event_type = ?1 AND entry <> ''")?;
        let pinned: Vec<String> = pinned
            .query_map([event_type], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for id in pinned {
            if !entries.iter().any(|(entry, _)| *entry == id) {
                self.see(event_type, &id, None)?;
            }
        }
        if event_type == DefaultKey::EVENT_TYPE {
            self.connection.execute(
                "INSERT OR REPLACE INTO default_key (id, key_id) VALUES (1, ?1)",
                [named_key(json).as_ref().map(KeyId::as_str)],
            )?;
        }
        if let Some(id) = KeyId::from_event_type(event_type)
            && let Some(content) = description_content(json)
        {
            self.connection.execute(
                "INSERT OR REPLACE INTO key_description (key_id, content) VALUES (?1, ?2)",
                (id.as_str(), content.to_json()),
            )?;
        }
        Ok(())
    }

    fn see(&mut self, event_type: &str, entry: &str, hash: Seen) -> Result<(), rusqlite::Error> {
        if last_seen(self.connection, event_type, entry)? == Some(hash) {
            return Ok(());
        }
        self.counter += 1;
        self.connection.execute(
            "INSERT INTO seen (event_type, entry, counter, hash) VALUES (?1, ?2, ?3, ?4)",
            (event_type, entry, self.counter, hash),
        )?;
        self.connection.execute(
            "DELETE FROM seen WHERE event_type = ?1 AND entry = ?2 AND counter NOT IN (
                 SELECT counter FROM seen WHERE event_type = ?1 AND entry = ?2
                 ORDER BY counter DESC LIMIT ?3)",
            (event_type, entry, HISTORY),
        )?;
        Ok(())
    }
}

/// The comparison of one event.
struct Comparison<'a> {
    connection: &'a Connection,
    account_data: &'a AccountData,
    is_pinned: bool,
    event_type: &'a str,
}

impl Comparison<'_> {
    fn run(&self, changes: &mut Vec<Change>) -> Result<(), rusqlite::Error> {
        let event_type = || self.event_type.to_owned();
        let json = self.account_data.raw(self.event_type);
        let now = hash_of_event(json);
        let last = last_seen(self.connection, self.event_type, WHOLE)?;
        let key_id = KeyId::from_event_type(self.event_type);
        let described = match &key_id {
            Some(id) => self.pinned_description(id)?,
            None => None,
        };
        if now.is_none() {
            // A description that was pinned on its own counts as seen.
            if last.unwrap_or_default().is_some() || (last.is_none() && described.is_some()) {
                changes.push(Change::Disappeared {
                    event_type: event_type(),
                });
            }
            return Ok(());
        }
        if last == Some(now) {
            return Ok(());
        }
        let is_rolled_back = self.is_rolled_back(json, now)?;
        if is_rolled_back {
            changes.push(Change::RolledBack {
                event_type: event_type(),
            });
        }
        let change = if let (Some(key_id), Some(described)) = (key_id, described) {
            description::difference(&described, json).map(|(weakened, what)| {
                Change::KeyDescriptionChanged {
                    key_id,
                    weakened,
                    what,
                }
            })
        } else if self.event_type == DefaultKey::EVENT_TYPE && last.is_some() {
            let from = self.pinned_default()?;
            let to = named_key(json);
            (from != to).then_some(Change::DefaultKeyChanged { from, to })
        } else if last.flatten().is_some() {
            (!is_rolled_back).then(|| Change::SecretChanged { name: event_type() })
        } else {
            (self.is_pinned && !is_rolled_back).then(|| Change::Added {
                event_type: event_type(),
            })
        };
        changes.extend(change);
        Ok(())
    }

    /// Whether the content, or an entry in it, is an older one.
    fn is_rolled_back(&self, json: Option<&str>, now: Seen) -> Result<bool, rusqlite::Error> {
        if self.was_seen(WHOLE, now)? {
            return Ok(true);
        }
        for (id, hash) in entries(json) {
            let last = last_seen(self.connection, self.event_type, &id)?;
            if last != Some(Some(hash)) && self.was_seen(&id, Some(hash))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn was_seen(&self, entry: &str, hash: Seen) -> Result<bool, rusqlite::Error> {
        self.connection
            .prepare("SELECT 1 FROM seen WHERE event_type = ?1 AND entry = ?2 AND hash = ?3")?
            .exists((self.event_type, entry, hash))
    }

    fn pinned_description(&self, id: &KeyId) -> Result<Option<Content>, rusqlite::Error> {
        let json: Option<String> = self
            .connection
            .prepare("SELECT content FROM key_description WHERE key_id = ?1")?
            .query_row([id.as_str()], |row| row.get(0))
            .optional()?;
        Ok(json.and_then(|json| Content::from_json(&json).ok()))
    }

    fn pinned_default(&self) -> Result<Option<KeyId>, rusqlite::Error> {
        let id: Option<Option<String>> = self
            .connection
            .query_row("SELECT key_id FROM default_key", [], |row| row.get(0))
            .optional()?;
        Ok(id.flatten().and_then(|id| KeyId::new(id).ok()))
    }
}

/// The hash of what was there; `None` when nothing was.
type Seen = Option<[u8; 32]>;

/// In the place of a key ID: the whole content.
const WHOLE: &str = "";

/// How many older states are remembered, the newest included.
const HISTORY: i64 = 16;

/// The outer `None`: never seen.
fn last_seen(
    connection: &Connection,
    event_type: &str,
    entry: &str,
) -> Result<Option<Seen>, rusqlite::Error> {
    connection
        .prepare(
            "SELECT hash FROM seen WHERE event_type = ?1 AND entry = ?2
             ORDER BY counter DESC LIMIT 1",
        )?
        .query_row((event_type, entry), |row| row.get(0))
        .optional()
}

/// The types of the events that secret storage is about.
fn relevant(account_data: &AccountData) -> BTreeSet<String> {
    let storage = SecretStorage::new(account_data);
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
            event_type.starts_with("m.secret_storage.")
                || account_data.raw(event_type).is_some_and(is_secret)
        })
        .map(str::to_owned)
        .chain(storage.secrets().map(|(name, _)| name.as_str().to_owned()))
        .collect()
}

/// Nothing, `{}` and `null` are ways of being gone.
fn hash_of_event(json: Option<&str>) -> Seen {
    let json = json?;
    let mut account_data = AccountData::default();
    let _ = account_data.insert_json("", json);
    match account_data.state("") {
        EventState::Absent | EventState::Deleted | EventState::Null => None,
        EventState::Content(_) | EventState::Malformed(_) => Some(hash(json)),
    }
}

/// The same for two texts with the same value; for JSON that has no canonical form, for two texts
/// that are equal.
fn hash(json: &str) -> [u8; 32] {
    let normalised = canonical_json::from_json(json);
    Sha256::digest(normalised.as_deref().unwrap_or(json)).into()
}

/// The entries of a secret, each with its hash.
fn entries(json: Option<&str>) -> Vec<(String, [u8; 32])> {
    let Some(SecretState::Encrypted(secret)) = json.map(SecretState::from_json) else {
        return Vec::new();
    };
    secret
        .key_ids()
        .filter_map(|id| match secret.entry(id)? {
            Ok(entry) => Some((id.as_str().to_owned(), hash(&entry.to_json()))),
            Err(_) => None,
        })
        .collect()
}

/// The key that the content of the default key names, whether there is one or not.
fn named_key(json: Option<&str>) -> Option<KeyId> {
    Content::from_json(json?).ok()?.get("key")?.ok()
}

fn description_content(json: Option<&str>) -> Option<Content> {
    Content::from_json(json?)
        .ok()
        .filter(|content| !content.is_empty())
}

//! Comparing what the server holds with what it was seen to hold.

use fourfold::{AccountData, Content, DefaultKey, KeyId, Snapshot};
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    LocalState, LocalStateError, description,
    seen::{Seen, WHOLE, entries, hash_of_event, last_seen, named_key, relevant},
};
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

//! Pins: remembering what the server was seen to hold.

use fourfold::{AccountData, DefaultKey, KeyDescription, KeyId, Plan, Snapshot};
use rusqlite::Connection;

use super::{
    LocalState, LocalStateError,
    seen::{
        HISTORY, Seen, WHOLE, description_content, entries, hash_of_event, last_seen, named_key,
        relevant,
    },
};

impl LocalState {
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
}

/// The pins, while they are changed.
pub(super) struct Pins<'a> {
    connection: &'a Connection,
    counter: i64,
}

impl Pins<'_> {
    /// Remembers what a plan found and what it wrote.
    pub(super) fn written(&mut self, plan: &Plan) -> Result<(), rusqlite::Error> {
        for put in plan.account_data() {
            if put.expects().is_some() {
                self.event(&put.event_type, put.expects())?;
            }
            self.event(&put.event_type, Some(&put.content.to_json()))?;
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

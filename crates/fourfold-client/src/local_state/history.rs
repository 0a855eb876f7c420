//! The rows of what was seen. What follows from them is said by [`fourfold::history`].

use std::collections::BTreeSet;

use fourfold::history::{Change, Fingerprint, History, Origin, Place, Reading, Sighting};
use fourfold::judged::Compared;
use fourfold::{AccountData, Content, KeyId, SecretName, SecretStorageKey, Snapshot};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::{LocalState, LocalStateError};

impl LocalState {
    /// The history of the account on this machine.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn history(&self) -> Result<History, LocalStateError> {
        load(&self.connection).map_err(|error| self.database(error))
    }

    /// The changes on the server since it was last pinned, in the order of event types. Before
    /// anything was pinned there is nothing to compare with, and nothing is reported. What a plan has
    /// done that was begun and not finished is no change.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn compare(&self, snapshot: &Snapshot) -> Result<Vec<Change>, LocalStateError> {
        let mut history = self.history()?;
        if let Some(plan) = self.journal()? {
            history.catch_up(&plan, &snapshot.account_data);
        }
        Ok(history.compare(&snapshot.account_data))
    }

    /// Accepts what the server holds now: later comparisons are with this.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn pin(&mut self, snapshot: &Snapshot) -> Result<(), LocalStateError> {
        self.catch_up(snapshot)?;
        self.change(|history| history.saw(&snapshot.account_data), |_| Ok(()))
    }

    /// As [`compare`](Self::compare), and accepts everything that is not suspicious, so that it is
    /// told once. What is there the first time is what later states are compared with.
    ///
    /// # Errors
    ///
    /// As [`compare`](Self::compare).
    pub fn follow(&mut self, snapshot: &Snapshot) -> Result<Vec<Change>, LocalStateError> {
        self.catch_up(snapshot)?;
        let changes = self.compare(snapshot)?;
        let suspicious = changes.iter().filter(|change| change.is_suspicious());
        let suspicious: BTreeSet<_> = suspicious.map(Change::event_type).collect();
        if suspicious.len() < changes.len() || !self.history()?.is_begun() {
            let saw = |history: &mut History| {
                history.saw_except(&snapshot.account_data, &suspicious);
            };
            self.change(saw, |_| Ok(()))?;
        }
        Ok(changes)
    }

    /// As [`follow`](Self::follow), as a judgement of what may be done with the account. What is
    /// suspicious is remembered too when the user accepts it.
    ///
    /// # Errors
    ///
    /// As [`compare`](Self::compare).
    pub fn judge(
        &mut self,
        snapshot: &Snapshot,
        is_accepted: bool,
    ) -> Result<Compared, LocalStateError> {
        let changes = self.follow(snapshot)?;
        let compared = Compared::by(&self.history()?, changes, snapshot, is_accepted);
        if is_accepted && compared.is_suspicious() {
            self.pin(snapshot)?;
        }
        Ok(compared)
    }

    /// Accepts the suspicious changes that this key settles, which the user gave: a rotation on another
    /// device, a description that is gone. Nothing is accepted, and the answer is `false`, unless it
    /// settles all of them.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn settle(
        &mut self,
        snapshot: &Snapshot,
        compared: &Compared,
        key: &SecretStorageKey,
    ) -> Result<bool, LocalStateError> {
        if !compared.is_settled_by(snapshot, key) {
            return Ok(false);
        }
        let successions = compared.to_settle();
        let types: Vec<_> = successions
            .iter()
            .map(|one| one.change().event_type())
            .collect();
        let saw = |history: &mut History| {
            history.saw_these(&snapshot.account_data, types.iter().map(String::as_str));
        };
        self.change(saw, |_| Ok(()))?;
        Ok(true)
    }

    /// The same for what the server does not show now, such as a file, and for who must not change
    /// anything: nothing is remembered, and only what is suspicious is told.
    ///
    /// # Errors
    ///
    /// As [`compare`](Self::compare).
    pub fn look(
        &self,
        snapshot: &Snapshot,
        is_accepted: bool,
    ) -> Result<Compared, LocalStateError> {
        let mut changes = self.compare(snapshot)?;
        changes.retain(Change::is_suspicious);
        let history = self.history()?;
        Ok(Compared::by(&history, changes, snapshot, is_accepted))
    }

    /// Remembers that a key opened a secret, and says how this machine came to know the entry before:
    /// what that vouches for ([`JudgedSecret::known_before`](fourfold::storage::JudgedSecret::known_before)).
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn opened_one(
        &mut self,
        account_data: &AccountData,
        name: &SecretName,
        key_id: &KeyId,
    ) -> Result<Option<Origin>, LocalStateError> {
        let known = self.history()?.origin_of(account_data, name, key_id);
        self.opened(account_data, [name], key_id)?;
        Ok(known)
    }

    /// Remembers that a key opened these secrets: nothing that the server shows makes this machine
    /// forget it.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn opened<'a>(
        &mut self,
        account_data: &AccountData,
        names: impl IntoIterator<Item = &'a SecretName>,
        key_id: &KeyId,
    ) -> Result<(), LocalStateError> {
        let opened = |history: &mut History| {
            for name in names {
                history.opened(account_data, name, key_id);
            }
        };
        self.change(opened, |_| Ok(()))
    }

    /// Remembers what is there of the plan in the journal as written here.
    fn catch_up(&mut self, snapshot: &Snapshot) -> Result<(), LocalStateError> {
        let Some(plan) = self.journal()? else {
            return Ok(());
        };
        self.change(
            |history| history.catch_up(&plan, &snapshot.account_data),
            |_| Ok(()),
        )
    }

    /// Changes what is remembered, and something else with it, all or nothing.
    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut History),
        and: impl FnOnce(&Connection) -> Result<(), rusqlite::Error>,
    ) -> Result<(), LocalStateError> {
        let path = self.path().to_owned();
        let database = |error| LocalStateError::database(&path, error);
        let transaction = self.connection.transaction().map_err(database)?;
        let before = load(&transaction).map_err(database)?;
        let mut after = before.clone();
        change(&mut after);
        save(&transaction, &before, &after).map_err(database)?;
        and(&transaction).map_err(database)?;
        transaction.commit().map_err(database)
    }
}

fn load(connection: &Connection) -> Result<History, rusqlite::Error> {
    let is_begun = connection.query_row("SELECT is_pinned FROM account", [], |row| row.get(0))?;
    let sightings = connection
        .prepare_cached(
            "SELECT event_type, key_id, reading, counter, origin, body, iv FROM sighting",
        )?
        .query_map([], sighting)?
        .collect::<Result<Vec<_>, _>>()?;
    let descriptions = connection
        .prepare_cached("SELECT key_id, content FROM key_description")?
        .query_map([], |row| {
            let id = KeyId::new(row.get::<_, String>(0)?).map_err(|_| invalid(0))?;
            let content = row.get::<_, String>(1)?;
            Ok((id, Content::from_json(&content).map_err(|_| invalid(1))?))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let default_key = connection
        .query_row("SELECT key_id FROM default_key", [], |row| {
            row.get::<_, Option<String>>(0)
        })
        .optional()?
        .map(|id| id.and_then(|id| KeyId::new(id).ok()));
    Ok(History::restore(
        is_begun,
        sightings,
        descriptions,
        default_key,
    ))
}

fn sighting(row: &Row<'_>) -> Result<(Place, Sighting), rusqlite::Error> {
    let reading: String = row.get(2)?;
    let origin: String = row.get(4)?;
    let body: Option<[u8; 32]> = row.get(5)?;
    let iv = row.get(6)?;
    let place = Place {
        event_type: row.get(0)?,
        key_id: row.get(1)?,
        reading: Reading::from_name(&reading).ok_or_else(|| invalid(2))?,
    };
    let sighting = Sighting {
        counter: row.get::<_, i64>(3)?.try_into().map_err(|_| invalid(3))?,
        origin: Origin::from_name(&origin).ok_or_else(|| invalid(4))?,
        seen: body.map(|body| Fingerprint { body, iv }),
    };
    Ok((place, sighting))
}

/// A value that this program did not write.
fn invalid(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, String::new(), Type::Text)
}

/// Writes what is different.
fn save(connection: &Connection, before: &History, after: &History) -> Result<(), rusqlite::Error> {
    let rows = |history: &History| -> BTreeSet<(Place, Sighting)> {
        let sightings = history.sightings();
        sightings
            .map(|(place, sighting)| (place.clone(), sighting.clone()))
            .collect()
    };
    let (old, new) = (rows(before), rows(after));
    for (place, sighting) in old.difference(&new) {
        connection
            .prepare_cached(
                "DELETE FROM sighting
                 WHERE event_type = ?1 AND key_id = ?2 AND reading = ?3 AND counter = ?4",
            )?
            .execute((
                &place.event_type,
                &place.key_id,
                place.reading.name(),
                counter(sighting),
            ))?;
    }
    for (place, sighting) in new.difference(&old) {
        let seen = sighting.seen.as_ref();
        connection
            .prepare_cached(
                "INSERT INTO sighting (event_type, key_id, reading, counter, origin, body, iv)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                &place.event_type,
                &place.key_id,
                place.reading.name(),
                counter(sighting),
                sighting.origin.name(),
                seen.map(|seen| seen.body),
                seen.and_then(|seen| seen.iv),
            ))?;
    }
    for (id, content) in after.descriptions() {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO key_description (key_id, content) VALUES (?1, ?2)",
            )?
            .execute((id.as_str(), content.to_json()))?;
    }
    if let Some(id) = after.default_key() {
        connection.execute(
            "INSERT OR REPLACE INTO default_key (id, key_id) VALUES (1, ?1)",
            [id.map(KeyId::as_str)],
        )?;
    }
    connection.execute("UPDATE account SET is_pinned = ?1", [after.is_begun()])?;
    Ok(())
}

fn counter(sighting: &Sighting) -> i64 {
    i64::try_from(sighting.counter).unwrap_or(i64::MAX)
}

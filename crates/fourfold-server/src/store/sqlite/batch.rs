//! The transaction in which the queued writes run, and its counters and effects until it ends.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::cache::{Cache, Effect};
use super::errors::WriteError;
use super::integers::{integer, unsigned};
use super::unseen::Locked;
use crate::store::rules::account_data::Totals;
use crate::store::rules::history::Usage;
use crate::store::rules::wakes::Change;
use crate::store::{Position, StoreError, Timestamp, UserId};

/// The transaction in which the queued writes run.
pub(super) struct Batch<'a> {
    connection: &'a Connection,
    counters: HashMap<UserId, Counters>,
    effects: Vec<Effect>,
    wake: HashSet<UserId>,
    cache: &'a Cache,
    unseen: Option<Locked<'a>>,
}

/// The counters in the row of a user; kept while the transaction lasts and written once at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    pub(super) position: Position,
    pub(super) device_list_position: Position,
    pub(super) account_data: Totals,
    pub(super) history: Usage,
    /// When the contents that are too old were last deleted.
    pub(super) history_swept_at: Timestamp,
}

/// The work after the commit: the cache applies the effects, then the watchers are woken.
pub(super) struct Committed {
    pub(super) effects: Vec<Effect>,
    pub(super) wake: HashSet<UserId>,
}

impl<'a> Batch<'a> {
    /// A transaction that has begun, for about so many writes.
    pub(super) fn new(connection: &'a Connection, cache: &'a Cache, writes: usize) -> Self {
        Self {
            connection,
            counters: HashMap::new(),
            effects: Vec::with_capacity(writes),
            wake: HashSet::new(),
            cache,
            unseen: None,
        }
    }

    /// The connection, inside its transaction. Statements come from its cache.
    pub(super) fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The counters of a user, to be read and changed; refused when there is no such user.
    pub(super) fn counters(&mut self, user: &UserId) -> Result<&mut Counters, WriteError> {
        if !self.counters.contains_key(user) {
            let counters = self
                .connection
                .prepare_cached(
                    "SELECT position, device_list_position, account_data_types,
                        account_data_bytes, history_entries, history_bytes, history_swept_at
                     FROM users WHERE user_id = ?1",
                )?
                .query_row([user.as_str()], |row| {
                    Ok(Counters {
                        position: Position(unsigned(row.get(0)?)),
                        device_list_position: Position(unsigned(row.get(1)?)),
                        account_data: Totals {
                            types: unsigned(row.get(2)?),
                            bytes: unsigned(row.get(3)?),
                        },
                        history: Usage {
                            entries: unsigned(row.get(4)?),
                            bytes: unsigned(row.get(5)?),
                        },
                        history_swept_at: Timestamp(unsigned(row.get(6)?)),
                    })
                })
                .optional()?
                .ok_or(WriteError::Refused(StoreError::NoSuchUser))?;
            self.counters.insert(user.clone(), counters);
        }
        self.counters
            .get_mut(user)
            .ok_or(WriteError::Refused(StoreError::NoSuchUser))
    }

    /// Takes the next number of the user's stream for a change of the devices.
    pub(super) fn move_device_list(&mut self, user: &UserId) -> Result<(), WriteError> {
        let counters = self.counters(user)?;
        counters.position = Position(counters.position.0 + 1);
        counters.device_list_position = counters.position;
        self.reload(user, Change::DeviceList);
        Ok(())
    }

    /// After the commit, the cache takes this in, and the watchers are woken if the rules say so.
    pub(super) fn effect(&mut self, effect: Effect, change: Change<'_>) {
        if change.wakes() && !self.wake.contains(effect.user()) {
            self.wake.insert(effect.user().clone());
        }
        self.effects.push(effect);
    }

    /// After the commit, the cache loads the user again when next asked.
    pub(super) fn reload(&mut self, user: &UserId, change: Change<'_>) {
        self.effect(Effect::Reload(user.clone()), change);
    }

    /// What no device can have seen. From the first call to the end of the transaction, nobody begins
    /// to read an inbox.
    pub(super) fn unseen(&mut self) -> &mut Locked<'a> {
        let cache = self.cache;
        self.unseen.get_or_insert_with(|| cache.unseen.lock())
    }

    /// Writes what the rows of the users count: the last statement before the commit.
    pub(super) fn write_counters(&mut self) -> Result<(), rusqlite::Error> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE users SET position = ?2, device_list_position = ?3,
                account_data_types = ?4, account_data_bytes = ?5, history_entries = ?6,
                history_bytes = ?7, history_swept_at = ?8 WHERE user_id = ?1",
        )?;
        for (user, counters) in &self.counters {
            statement.execute(params![
                user.as_str(),
                integer(counters.position.0),
                integer(counters.device_list_position.0),
                integer(counters.account_data.types),
                integer(counters.account_data.bytes),
                integer(counters.history.entries),
                integer(counters.history.bytes),
                integer(counters.history_swept_at.0),
            ])?;
        }
        Ok(())
    }

    /// The work that remains once the transaction is committed.
    pub(super) fn committed(self) -> Committed {
        Committed {
            effects: self.effects,
            wake: self.wake,
        }
    }
}

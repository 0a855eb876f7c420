//! The journal: a plan that was begun and not finished.

use fourfold::Plan;
use rusqlite::{Connection, OptionalExtension as _};

use super::{LocalState, LocalStateError};

impl LocalState {
    /// A plan that was begun and not finished.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn journal(&self) -> Result<Option<Plan>, LocalStateError> {
        match self.journaled()? {
            None => Ok(None),
            Some(json) => json
                .parse()
                .map(Some)
                .map_err(|_| LocalStateError::Corrupt {
                    path: self.path().to_owned(),
                }),
        }
    }

    /// Notes that a plan is being carried out. When this returns, the note survives a power
    /// failure. A plan that was begun already stays begun.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Unfinished`] when another plan was begun, and errors of reading or
    /// writing the local state.
    pub fn begin(&mut self, plan: &Plan) -> Result<(), LocalStateError> {
        // A plan is made of strings and of JSON: writing it cannot fail.
        let json = serde_json::to_string(plan).unwrap_or_default();
        match self.journaled()? {
            Some(begun) if begun == json => return Ok(()),
            Some(_) => return Err(LocalStateError::Unfinished),
            None => {}
        }
        self.connection
            .execute("INSERT INTO journal (id, plan) VALUES (1, ?1)", [json])
            .map_err(|error| self.database(error))?;
        Ok(())
    }

    /// Notes that the plan has been carried out, and remembers what it wrote as seen.
    ///
    /// # Errors
    ///
    /// [`LocalStateError::Corrupt`] and errors of reading or writing the local state.
    pub fn finish(&mut self) -> Result<(), LocalStateError> {
        let Some(plan) = self.journal()? else {
            return Ok(());
        };
        self.change(|history| history.wrote(&plan), clear_journal)
    }

    /// Forgets the plan without carrying out the rest of it. What has been written stays written:
    /// the account is usable, but perhaps not tidy.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn abandon(&mut self) -> Result<(), LocalStateError> {
        clear_journal(&self.connection).map_err(|error| self.database(error))
    }

    fn journaled(&self) -> Result<Option<String>, LocalStateError> {
        self.connection
            .query_row("SELECT plan FROM journal", [], |row| row.get(0))
            .optional()
            .map_err(|error| self.database(error))
    }
}

fn clear_journal(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute("DELETE FROM journal", [])?;
    Ok(())
}

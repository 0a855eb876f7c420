//! The account data of one user, in memory: of a large account only where its contents are.
//!
//! A user may store more than memory has room for, and many users may. So the contents of an account
//! that is larger than [`MAX_WHOLE`] stay in the file, but for the small ones that lie in their rows, and
//! are read when they are asked for.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::store::{AccountDataEvent, Position, Scope, Stored};

/// The rows of account data.
#[derive(Default)]
pub(super) struct AccountDataRows {
    global: HashMap<Arc<str>, Row>,
    rooms: HashMap<(Scope, Arc<str>), Row>,
    /// The size of the contents in the file.
    length: usize,
    /// Whether contents are left in the file.
    is_large: bool,
}

/// The knowledge about one content.
struct Row {
    position: Position,
    length: usize,
    /// `None`: it is in the file.
    content: Option<Bytes>,
}

/// The result of looking up one content.
pub(super) enum Found {
    /// There is none.
    Nothing,
    /// It is in memory.
    Here(Stored),
    /// It has to be read from the file.
    InFile,
}

/// The effect of a write on the memory of the account.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Growth {
    /// It grew by so much at most.
    By(usize),
    /// It is too large to be held whole now.
    TooLarge,
}

impl AccountDataRows {
    /// Rows that take so many bytes in the file.
    pub(super) fn of_length(length: u64) -> Self {
        Self {
            is_large: length > MAX_WHOLE,
            ..Self::default()
        }
    }

    /// Whether contents stay in the file.
    pub(super) fn is_large(&self) -> bool {
        self.is_large
    }

    /// Takes in a row that was read, without its content when that does not lie in the row.
    pub(super) fn load(
        &mut self,
        (scope, event_type): (Scope, Arc<str>),
        position: Position,
        length: usize,
        content: Option<Bytes>,
    ) {
        let row = Row {
            position,
            length,
            content,
        };
        self.length += length;
        if scope.is_global() {
            self.global.insert(event_type, row);
        } else {
            self.rooms.insert((scope, event_type), row);
        }
    }

    /// Takes in a content that did not lie in its row.
    pub(super) fn load_content(&mut self, (scope, event_type): (Scope, Arc<str>), content: Bytes) {
        let row = if scope.is_global() {
            self.global.get_mut(&event_type)
        } else {
            self.rooms.get_mut(&(scope, event_type))
        };
        if let Some(row) = row {
            row.content = Some(content);
        }
    }

    /// Takes in one write. A write that is here already, or a newer one, changes nothing.
    pub(super) fn put(
        &mut self,
        scope: &Scope,
        event_type: &Arc<str>,
        content: &Bytes,
        position: Position,
    ) -> Growth {
        let length = content.len();
        let content = (!self.is_large || length <= MAX_SMALL).then(|| content.clone());
        let held = content.as_ref().map_or(0, Bytes::len);
        let slot = if scope.is_global() {
            self.global.get_mut(event_type)
        } else {
            self.rooms.get_mut(&(scope.clone(), Arc::clone(event_type)))
        };
        let grown = match slot {
            Some(slot) if slot.position < position => {
                let grown = held.saturating_sub(slot.content.as_ref().map_or(0, Bytes::len));
                self.length = self.length.saturating_sub(slot.length) + length;
                *slot = Row {
                    position,
                    length,
                    content,
                };
                grown
            }
            Some(_) => 0,
            None => {
                let (scope, event_type) = (scope.clone(), Arc::clone(event_type));
                let grown = event_type.len() + held + ROW_OVERHEAD;
                self.load((scope, event_type), position, length, content);
                grown
            }
        };
        let is_too_large =
            !self.is_large && u64::try_from(self.length).is_ok_and(|it| it > MAX_WHOLE);
        if is_too_large {
            Growth::TooLarge
        } else {
            Growth::By(grown)
        }
    }

    pub(super) fn find(&self, scope: &Scope, event_type: &str) -> Found {
        let row = if scope.is_global() {
            self.global.get(event_type)
        } else {
            self.rooms.get(&(scope.clone(), event_type.into()))
        };
        let Some(row) = row else {
            return Found::Nothing;
        };
        match &row.content {
            Some(content) => Found::Here(Stored {
                position: row.position,
                content: content.clone(),
            }),
            None => Found::InFile,
        }
    }

    /// The global events that changed after `after`, in the order of the changes.
    pub(super) fn changed_after(&self, after: Position) -> Vec<AccountDataEvent> {
        let changed = self.global.iter().filter(|(_, row)| row.position > after);
        let mut changed: Vec<_> = changed.collect();
        changed.sort_unstable_by_key(|(_, row)| row.position);
        let event = |(event_type, row): (&Arc<str>, &Row)| AccountDataEvent {
            event_type: Arc::clone(event_type),
            length: row.length,
            content: row.content.clone(),
        };
        changed.into_iter().map(event).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.global.len() + self.rooms.len()
    }

    /// About how many bytes the texts take.
    pub(super) fn weight(&self) -> usize {
        let weigh = |key: &str, row: &Row| key.len() + row.content.as_ref().map_or(0, Bytes::len);
        let global = self.global.iter().map(|(key, row)| weigh(key, row));
        let rooms = self.rooms.iter().map(|((_, key), row)| weigh(key, row));
        global.chain(rooms).sum()
    }
}

/// Bytes of account data up to which an account is held whole.
pub(super) const MAX_WHOLE: u64 = 1024 * 1024;

/// Bytes of a content that lies in its row; the schema's step `LARGE_CONTENTS` has the same.
pub(super) const MAX_SMALL: usize = 1024;

/// The overhead of a row beside its text: keys, pointers, hash map slots. A high estimate.
pub(super) const ROW_OVERHEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn put(rows: &mut AccountDataRows, event_type: &str, length: usize, position: u64) -> Growth {
        let content = Bytes::from(vec![b'x'; length]);
        rows.put(
            &Scope::global(),
            &event_type.into(),
            &content,
            Position(position),
        )
    }

    #[test]
    fn an_account_is_whole_up_to_a_size() {
        let whole = usize::try_from(MAX_WHOLE).unwrap();
        let mut rows = AccountDataRows::of_length(0);
        assert_eq!(
            put(&mut rows, "a", whole, 1),
            Growth::By(whole + 1 + ROW_OVERHEAD)
        );
        assert!(matches!(rows.find(&Scope::global(), "a"), Found::Here(_)));
        assert_eq!(put(&mut rows, "b", 1, 2), Growth::TooLarge);
        // What is replaced does not count any more, and what is known already changes nothing.
        assert_eq!(put(&mut rows, "a", 10, 3), Growth::By(0));
        assert_eq!(put(&mut rows, "a", whole, 1), Growth::By(0));
        assert_eq!(rows.length, 11);
    }

    // shows: SRV-10
    #[test]
    fn the_contents_of_a_large_account_are_not_held() {
        let mut rows = AccountDataRows::of_length(MAX_WHOLE + 1);
        assert_eq!(
            put(&mut rows, "small", MAX_SMALL, 200),
            Growth::By(MAX_SMALL + 5 + ROW_OVERHEAD)
        );
        assert_eq!(put(&mut rows, "small", MAX_SMALL + 1, 201), Growth::By(0));
        for number in 0..100 {
            let grown = put(&mut rows, &format!("m.{number}"), 100_000, number + 1);
            assert!(matches!(grown, Growth::By(..1_000)));
        }
        assert!(rows.weight() < 1_000);
        assert!(matches!(rows.find(&Scope::global(), "m.1"), Found::InFile));
        assert!(matches!(rows.find(&Scope::global(), "m.x"), Found::Nothing));
        let changed = rows.changed_after(Position(98));
        let types: Vec<_> = changed.iter().map(|event| &*event.event_type).collect();
        assert_eq!(types, ["m.98", "m.99", "small"]);
        assert!(changed.iter().all(|event| event.content.is_none()));
    }
}

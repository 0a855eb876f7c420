//! Rows that nobody can read, swap or write by halves.

use tempfile::TempDir;

use super::*;
use crate::testing::{USER, session};

fn state() -> (TempDir, LocalState) {
    let parent = tempfile::tempdir().unwrap();
    let state = LocalState::create(&parent.path().join("f"), &session("https://h")).unwrap();
    (parent, state)
}

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes(&[byte; 32])
}

fn begin(state: &LocalState) -> SealedRows {
    let mut rows = state.new_sealed_rows(&key(1), &[]).unwrap();
    rows.commit().unwrap();
    rows
}

fn get(rows: &SealedRows, row: &str) -> Option<String> {
    rows.get(Table::Account, row).unwrap()
}

#[test]
fn rows_are_on_disk_after_the_commit_and_not_before() {
    let (_parent, state) = state();
    let mut rows = begin(&state);
    rows.put(Table::Account, "a", &"one").unwrap();
    rows.put(Table::Account, "ab", &"two").unwrap();
    assert_eq!(get(&rows, "a").unwrap(), "one");
    let other = state.sealed_rows(&key(1)).unwrap().unwrap();
    assert_eq!(get(&other, "a"), None);
    rows.commit().unwrap();
    assert_eq!(get(&other, "a").unwrap(), "one");

    rows.delete(Table::Account, "a");
    rows.put(Table::Account, "b", &"three").unwrap();
    assert_eq!(rows.names(Table::Account, "").unwrap(), ["ab", "b"]);
    assert_eq!(rows.names(Table::Account, "a").unwrap(), ["ab"]);
    rows.discard();
    assert_eq!(rows.names(Table::Account, "").unwrap(), ["a", "ab"]);
}

#[test]
fn a_failed_commit_leaves_everything_as_it_was() {
    let (_parent, state) = state();
    let mut rows = begin(&state);
    rows.put(Table::Account, "a", &"one").unwrap();
    rows.commit().unwrap();
    rows.connection
        .execute_batch(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON sealed WHEN new.row = 'z'
             BEGIN SELECT raise(ABORT, 'full'); END",
        )
        .unwrap();
    rows.put(Table::Account, "a", &"two").unwrap();
    rows.put(Table::Account, "z", &"three").unwrap();
    rows.commit().unwrap_err();
    assert_eq!(get(&rows, "a").unwrap(), "one");
    rows.commit().unwrap();
    assert_eq!(get(&rows, "a").unwrap(), "one");
}

// shows: AGT-10
#[test]
fn nothing_that_is_sealed_can_be_read_or_put_elsewhere() {
    let (parent, state) = state();
    let mut rows = begin(&state);
    rows.put(Table::Account, "a", &"sealed text").unwrap();
    rows.put(Table::Account, "b", &"other").unwrap();
    rows.commit().unwrap();
    let file = parent.path().join("f/%40alice%3Aexample.org.sqlite");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"sealed text"));

    let swap = "UPDATE sealed SET row = CASE row WHEN 'a' THEN 'c' ELSE 'a' END WHERE row <> ''";
    rows.connection.execute_batch(swap).unwrap();
    for row in ["a", "c"] {
        assert!(matches!(
            rows.get::<String>(Table::Account, row),
            Err(SealedError::Unreadable)
        ));
    }
    // Not even into the file of another user, under the same key.
    let mut other = state.new_sealed_rows(&key(1), &[]).unwrap();
    other.user_id = USER.replace("alice", "bob");
    assert!(matches!(
        other.bytes(Table::Account, "b"),
        Ok(None) | Err(SealedError::Unreadable)
    ));
    assert_ne!(
        other.place(Table::Account, "b"),
        rows.place(Table::Account, "b")
    );
}

#[test]
fn another_key_is_told_from_damage() {
    let (_parent, state) = state();
    assert!(state.sealed_rows(&key(1)).unwrap().is_none());
    assert!(!state.has_sealed_rows().unwrap());
    let rows = begin(&state);
    assert!(matches!(
        state.sealed_rows(&key(2)),
        Err(SealedError::WrongKey)
    ));
    rows.connection
        .execute("INSERT INTO sealed VALUES ('account', 'x', x'00')", [])
        .unwrap();
    assert!(matches!(
        rows.get::<String>(Table::Account, "x"),
        Err(SealedError::Unreadable)
    ));
    // Beginning again leaves nothing of it.
    let mut rows = state.new_sealed_rows(&key(2), &[]).unwrap();
    rows.commit().unwrap();
    assert!(rows.names(Table::Account, "").unwrap().is_empty());
    assert!(state.sealed_rows(&key(2)).unwrap().is_some());
}

//! Files, locks and damage; then what a server can be caught at.

mod earlier_version;

use std::fs;

use fourfold::history::{Change, DescriptionChange};
use fourfold::{AccountData, KeyId, Snapshot};
use tempfile::TempDir;

use super::*;
use crate::testing::{TOKEN, USER, session};

/// A folder for local state that goes with the test.
struct Folder {
    _parent: TempDir,
    path: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/fourfold");
        Self {
            _parent: parent,
            path,
        }
    }

    fn create(&self) -> LocalState {
        LocalState::create(&self.path, &session("https://h")).unwrap()
    }

    fn open(&self) -> Result<LocalState, LocalStateError> {
        LocalState::open(&self.path, USER)
    }

    fn file(&self) -> PathBuf {
        self.path.join("%40alice%3Aexample.org.sqlite")
    }
}

fn snapshot(events: &[(&str, &str)]) -> Snapshot {
    let mut account_data = AccountData::default();
    for (event_type, content) in events {
        account_data.insert_json(*event_type, *content).unwrap();
    }
    Snapshot::new(USER, account_data, None, None).unwrap()
}

/// The access token is the one secret that stands here as it is.
#[test]
fn what_is_forgotten_is_overwritten_on_disk_and_in_memory() {
    let folder = Folder::new();
    let session = session("https://h");
    let states = [folder.create(), LocalState::in_memory(&session).unwrap()];
    for state in states {
        for connection in [&state.connection, &state.another().unwrap().connection] {
            let secure_delete: i64 = connection
                .pragma_query_value(None, "secure_delete", |row| row.get(0))
                .unwrap();
            assert_eq!(secure_delete, 1, "{}", state.path().display());
        }
    }
}

#[test]
fn a_session_is_kept_and_forgotten() {
    let folder = Folder::new();
    assert!(LocalState::accounts(&folder.path).unwrap().is_empty());
    assert!(matches!(
        folder.open(),
        Err(LocalStateError::NoState { .. })
    ));
    drop(folder.create());
    let mut state = folder.open().unwrap();
    let kept = state.session().unwrap().unwrap();
    assert_eq!(
        (
            kept.homeserver.as_str(),
            kept.user_id.as_str(),
            kept.device_id.as_deref()
        ),
        ("https://h", USER, Some("DEVICE"))
    );
    assert_eq!(kept.access_token().expose_secret(), TOKEN);
    assert!(!format!("{state:?}").contains(TOKEN));
    state.forget_session().unwrap();
    drop(state);
    assert!(folder.open().unwrap().session().unwrap().is_none());
    // The token is not even left in free space, nor anywhere else.
    for entry in fs::read_dir(&folder.path).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes
                .windows(TOKEN.len())
                .any(|window| window == TOKEN.as_bytes())
        );
    }
    assert_eq!(LocalState::accounts(&folder.path).unwrap(), [USER]);
}

#[test]
fn logging_in_again_keeps_what_was_seen() {
    let folder = Folder::new();
    let mut state = folder.create();
    state
        .pin(&snapshot(&[(
            "m.secret_storage.default_key",
            r#"{"key":"a"}"#,
        )]))
        .unwrap();
    drop(state);
    let elsewhere = || LocalState::create(&folder.path, &session("https://other"));
    // Not before the session is forgotten.
    let error = elsewhere().unwrap_err();
    assert!(matches!(error, LocalStateError::OtherHomeserver { .. }));
    let mut state = folder.open().unwrap();
    state.forget_session().unwrap();
    drop(state);
    let state = elsewhere().unwrap();
    assert_eq!(
        state.session().unwrap().unwrap().homeserver,
        "https://other"
    );
    assert_eq!(state.compare(&snapshot(&[])).unwrap().len(), 1);
}

// shows: AGT-12
#[test]
fn one_process_at_a_time() {
    let folder = Folder::new();
    let state = folder.create();
    let other = Session::new("https://h", "@bob:h", None, AccessToken::new("t"));
    assert!(matches!(folder.open(), Err(LocalStateError::Locked { .. })));
    let again = LocalState::create(&folder.path, &session("https://h"));
    assert!(matches!(again, Err(LocalStateError::Locked { .. })));
    // Another account is another matter.
    drop(LocalState::create(&folder.path, &other).unwrap());
    drop(state);
    folder.open().unwrap();
    assert_eq!(
        LocalState::accounts(&folder.path).unwrap(),
        [USER, "@bob:h"]
    );
}

#[cfg(unix)]
// shows: CLI-09
#[test]
fn files_are_private_or_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    drop(folder.create());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    assert_eq!(mode(&folder.path), 0o700);
    for entry in fs::read_dir(&folder.path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let lock = folder.file().with_extension("lock");
    for (path, private) in [
        (&folder.path, 0o700),
        (&folder.file(), 0o600),
        (&lock, 0o600),
    ] {
        for public in [0o644, 0o604, 0o620, 0o777].map(|bits| bits | private) {
            set(path, public).unwrap();
            for result in [
                folder.open(),
                LocalState::create(&folder.path, &session("https://h")),
            ] {
                let error = result.unwrap_err();
                let LocalStateError::Permissions { path: found, mode } = &error else {
                    panic!("{error}");
                };
                assert_eq!((found, *mode), (path, public));
                assert!(error.to_string().contains("chmod go="), "{error}");
            }
        }
        set(path, private).unwrap();
    }
    folder.open().unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_is_not_followed() {
    let folder = Folder::new();
    drop(folder.create());
    let elsewhere = folder.path.join("elsewhere");
    fs::rename(folder.file(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.file()).unwrap();
    assert!(matches!(
        folder.open(),
        Err(LocalStateError::NotOrdinary { .. })
    ));
}

#[test]
fn damage_is_told_and_never_overwritten() {
    let folder = Folder::new();
    let mut state = folder.create();
    state
        .pin(&snapshot(&[(
            "m.secret_storage.default_key",
            r#"{"key":"a"}"#,
        )]))
        .unwrap();
    drop(state);
    let whole = fs::read(folder.file()).unwrap();
    let mut header = whole.clone();
    header[..16].fill(b'x');
    let mut pages = whole.clone();
    pages[4096..].fill(0xA5);
    let other = folder.path.join("other");
    let no_tables = Connection::open(&other).unwrap();
    no_tables.execute_batch("CREATE TABLE a (b)").unwrap();
    drop(no_tables);
    let no_tables = fs::read(other).unwrap();
    for bytes in [
        Vec::new(),
        b"not a database at all, but long enough to be taken for one, or so it seems.........\
          .................................................................................."
            .to_vec(),
        whole[..whole.len() / 2].to_vec(),
        header,
        pages,
        no_tables,
    ] {
        fs::write(folder.file(), &bytes).unwrap();
        for result in [
            folder.open(),
            LocalState::create(&folder.path, &session("https://h")),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, LocalStateError::Corrupt { .. }), "{error}");
        }
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
    fs::write(folder.file(), &whole).unwrap();
    folder.open().unwrap();
}

#[test]
fn the_file_of_another_account_or_of_a_newer_version_is_not_used() {
    let folder = Folder::new();
    let other = Session::new("https://h", "@bob:h", None, AccessToken::new("t"));
    drop(LocalState::create(&folder.path, &other).unwrap());
    fs::rename(folder.path.join("%40bob%3Ah.sqlite"), folder.file()).unwrap();
    assert!(matches!(
        folder.open(),
        Err(LocalStateError::Corrupt { .. })
    ));
    fs::remove_file(folder.file()).unwrap();

    let state = folder.create();
    state
        .connection
        .pragma_update(None, "user_version", 99)
        .unwrap();
    drop(state);
    assert!(matches!(folder.open(), Err(LocalStateError::TooNew { .. })));
}

#[test]
fn a_crash_while_the_file_is_made_does_no_harm() {
    let folder = Folder::new();
    drop(folder.create());
    fs::remove_file(folder.file()).unwrap();
    fs::write(folder.file().with_extension("new"), "half of it").unwrap();
    assert!(LocalState::accounts(&folder.path).unwrap().is_empty());
    assert!(folder.create().session().unwrap().is_some());
    folder.open().unwrap();
}

#[test]
fn a_damaged_journal_is_told_and_can_be_given_up() {
    let folder = Folder::new();
    let mut state = folder.create();
    state
        .connection
        .execute("INSERT INTO journal VALUES (1, 'x')", [])
        .unwrap();
    assert!(matches!(
        state.journal(),
        Err(LocalStateError::Corrupt { .. })
    ));
    state.abandon().unwrap();
    assert!(state.journal().unwrap().is_none());
}

// --- What a server can be caught at -----------------------------------------------------------

const SECRET: &str = "org.example.token";
const DEFAULT: &str = "m.secret_storage.default_key";
const KEY: &str = "m.secret_storage.key.a";
const DESCRIPTION: &str = r#"{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","iv":"I","mac":"M",
    "passphrase":{"algorithm":"m.pbkdf2","salt":"saltsalt","iterations":500000}}"#;

fn encrypted(entries: &[(&str, u32)]) -> String {
    let entries: Vec<_> = entries
        .iter()
        .map(|(id, value)| format!(r#""{id}":{{"ciphertext":"{value}"}}"#))
        .collect();
    format!(r#"{{"encrypted":{{{}}}}}"#, entries.join(","))
}

/// What is reported when an event has these contents, one after the other, and all but the last
/// are accepted; beside it there is always a default key.
fn changes(event_type: &str, contents: &[Option<&str>]) -> Vec<Change> {
    let folder = Folder::new();
    let mut state = folder.create();
    let mut changes = Vec::new();
    for content in contents {
        let mut events = vec![("m.secret_storage.key.other", "{\"algorithm\":\"x\"}")];
        events.extend(content.map(|content| (event_type, content)));
        let snapshot = snapshot(&events);
        changes = state.compare(&snapshot).unwrap();
        state.pin(&snapshot).unwrap();
        assert!(state.compare(&snapshot).unwrap().is_empty());
    }
    changes
}

fn rolled_back(event_type: &str) -> Change {
    Change::RolledBack {
        event_type: event_type.to_owned(),
    }
}

fn disappeared(event_type: &str) -> Change {
    Change::Disappeared {
        event_type: event_type.to_owned(),
    }
}

fn added(event_type: &str) -> Change {
    Change::Added {
        event_type: event_type.to_owned(),
    }
}

fn secret_changed() -> Change {
    Change::SecretChanged {
        name: SECRET.to_owned(),
    }
}

#[test]
fn the_first_look_has_nothing_to_compare_with() {
    let one = encrypted(&[("a", 1)]);
    assert_eq!(changes(SECRET, &[Some(&one)]), []);
}

#[test]
fn an_older_content_is_a_rollback() {
    let [one, two, three] = [1, 2, 3].map(|value| encrypted(&[("a", value)]));
    assert_eq!(
        changes(SECRET, &[Some(&one), Some(&two)]),
        [secret_changed()]
    );
    let changed = changes(SECRET, &[Some(&one), Some(&two), Some(&one)]);
    assert_eq!(changed, [rolled_back(SECRET)]);
    assert!(changed[0].is_suspicious());
    let changed = changes(SECRET, &[Some(&one), Some(&two), Some(&three), Some(&two)]);
    assert_eq!(changed, [rolled_back(SECRET)]);
    // Taken away and brought back in the old form.
    let changed = changes(SECRET, &[Some(&one), Some(&two), Some("{}"), Some(&one)]);
    assert_eq!(changed, [rolled_back(SECRET)]);
}

#[test]
fn an_older_entry_in_a_new_content_is_a_rollback() {
    let before = encrypted(&[("a", 1)]);
    let both = encrypted(&[("a", 1), ("b", 2)]);
    let after = encrypted(&[("b", 2)]);
    let mixed = encrypted(&[("a", 1), ("b", 3)]);
    let history = [Some(before.as_str()), Some(&both), Some(&after)];
    assert_eq!(changes(SECRET, &history), [secret_changed()]);
    let history = [
        Some(before.as_str()),
        Some(&both),
        Some(&after),
        Some(&mixed),
    ];
    assert_eq!(changes(SECRET, &history), [rolled_back(SECRET)]);
}

#[test]
fn the_history_is_long_and_not_endless() {
    let contents: Vec<_> = (0..33).map(|value| encrypted(&[("a", value)])).collect();
    let history = |versions: usize, back_to: usize| {
        let mut history: Vec<_> = contents
            .iter()
            .take(versions)
            .map(|content| Some(content.as_str()))
            .collect();
        history.push(Some(&contents[back_to]));
        changes(SECRET, &history)
    };
    assert_eq!(history(32, 0), [rolled_back(SECRET)]);
    // One more, which was accepted.
    assert_eq!(history(33, 1), [rolled_back(SECRET)]);
    assert_eq!(history(33, 0), [secret_changed()]);
}

#[test]
fn the_order_and_the_form_of_json_do_not_matter() {
    let one = encrypted(&[("a", 1), ("b", 2)]);
    let other =
        "{ \"encrypted\" : {\"b\":{\"ciphertext\":\"\\u0032\"}, \"a\":{\"ciphertext\":\"1\"}}}";
    assert_eq!(changes(SECRET, &[Some(&one), Some(other)]), []);
}

#[test]
fn what_was_there_and_is_gone_is_told() {
    let one = encrypted(&[("a", 1)]);
    for (event_type, content) in [
        (SECRET, one.as_str()),
        (KEY, DESCRIPTION),
        (DEFAULT, r#"{"key":"a"}"#),
    ] {
        for gone in [None, Some("{}"), Some("null")] {
            let changed = changes(event_type, &[Some(content), gone]);
            assert_eq!(changed, [disappeared(event_type)]);
            assert!(changed[0].is_suspicious());
            // Once that is accepted, one way of being gone is as good as another.
            for still_gone in [None, Some("{}"), Some("null")] {
                assert_eq!(changes(event_type, &[Some(content), gone, still_gone]), []);
            }
        }
    }
}

#[test]
fn what_is_new_is_told_and_not_suspicious() {
    let one = encrypted(&[("a", 1)]);
    for (event_type, content) in [
        (SECRET, one.as_str()),
        (KEY, DESCRIPTION),
        (DEFAULT, r#"{"key":"a"}"#),
    ] {
        let changed = changes(event_type, &[None, Some(content)]);
        assert_eq!(changed, [added(event_type)]);
        assert!(!changed[0].is_suspicious());
    }
    assert_eq!(
        changes("m.direct", &[None, Some(r#"{"@a:b":[]}"#), Some("7"), None]),
        []
    );
}

#[test]
fn another_default_key_is_told() {
    let id = |id: &str| Some(KeyId::new(id).unwrap());
    let (a, b) = (r#"{"key":"a"}"#, r#"{"key":"b"}"#);
    let change = |from, to| Change::DefaultKeyChanged { from, to };
    assert_eq!(
        changes(DEFAULT, &[Some(a), Some(b)]),
        [change(id("a"), id("b"))]
    );
    assert_eq!(
        changes(DEFAULT, &[Some(a), Some(b), Some(a)]),
        [rolled_back(DEFAULT), change(id("b"), id("a"))]
    );
    for malformed in [r#"{"key":7}"#, r#"{"other":1}"#, "7"] {
        let changed = changes(DEFAULT, &[Some(a), Some(malformed)]);
        assert_eq!(changed, [change(id("a"), None)]);
    }
    assert_eq!(
        changes(DEFAULT, &[Some("{}"), Some(a)]),
        [change(None, id("a"))]
    );
}

#[test]
fn a_weakened_or_replaced_key_description_is_suspicious() {
    use DescriptionChange::{Replaced, Weakened};
    for (from, to, expected) in [
        ("500000", "1", Weakened),
        ("saltsalt", "pepperpepper", Weakened),
        (r#""iv":"I","mac":"M","#, "", Weakened),
        ("500000", "600000", Replaced),
        ("\"I\"", "\"J\"", Replaced),
    ] {
        let now = DESCRIPTION.replace(from, to);
        let changed = changes(KEY, &[Some(DESCRIPTION), Some(&now)]);
        let [Change::KeyDescriptionChanged { key_id, kind, .. }] = changed.as_slice() else {
            panic!("{changed:?}");
        };
        assert_eq!((key_id.as_str(), *kind), ("a", expected));
        assert!(changed[0].is_suspicious());
    }
    // Taken away, accepted, and brought back weaker.
    let now = DESCRIPTION.replace("500000", "1");
    let changed = changes(KEY, &[Some(DESCRIPTION), None, Some(&now)]);
    assert!(changed.iter().any(Change::is_suspicious), "{changed:?}");
}

#[test]
fn the_first_description_stays_until_another_one_is_accepted() {
    let folder = Folder::new();
    let mut state = folder.create();
    let weak = DESCRIPTION.replace("500000", "1");
    let follow = |state: &mut LocalState, events: &[(&str, &str)]| {
        let changes = state.follow(&snapshot(events)).unwrap();
        changes.iter().any(Change::is_suspicious)
    };
    assert!(!follow(&mut state, &[(KEY, DESCRIPTION)]));
    for _ in 0..2 {
        assert!(follow(&mut state, &[(KEY, &weak)]));
        assert!(follow(&mut state, &[]));
    }
    state.pin(&snapshot(&[(KEY, &weak)])).unwrap();
    assert!(!follow(&mut state, &[(KEY, &weak)]));
}

#[test]
fn what_is_not_suspicious_is_told_once_whatever_else_is() {
    let folder = Folder::new();
    let mut state = folder.create();
    let events = |value, default| snapshot(&[(SECRET, value), (DEFAULT, default)]);
    let (one, two) = (encrypted(&[("a", 1)]), encrypted(&[("a", 2)]));
    state.pin(&events(&one, r#"{"key":"a"}"#)).unwrap();
    let now = events(&two, r#"{"key":"b"}"#);
    let default_changed = Change::DefaultKeyChanged {
        from: Some(KeyId::new("a").unwrap()),
        to: Some(KeyId::new("b").unwrap()),
    };
    let changes = [default_changed.clone(), secret_changed()];
    assert_eq!(state.follow(&now).unwrap(), changes);
    assert_eq!(state.follow(&now).unwrap(), [default_changed]);
    state.pin(&now).unwrap();
    assert_eq!(state.follow(&now).unwrap(), []);
}

#[test]
fn a_second_hold_sees_the_same_and_keeps_the_lock() {
    let folder = Folder::new();
    let mut state = folder.create();
    let another = state.another().unwrap();
    let default = snapshot(&[(DEFAULT, r#"{"key":"a"}"#)]);
    state.pin(&default).unwrap();
    assert_eq!(another.compare(&snapshot(&[])).unwrap().len(), 1);
    drop(state);
    assert!(matches!(folder.open(), Err(LocalStateError::Locked { .. })));
    drop(another);
    folder.open().unwrap();
}

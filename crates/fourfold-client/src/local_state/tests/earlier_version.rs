//! What a version of yesterday wrote down.

use fourfold::Content;

use super::*;

/// What another client stored, as clients write it.
fn real_entry(byte: u8, padding: &str) -> String {
    let (iv, ciphertext) = ([byte; 16], [byte; 4]);
    let base64 = |bytes: &[u8]| fourfold::base64::encode(bytes);
    format!(
        r#"{{"encrypted":{{"a":{{"iv":"{}{padding}","ciphertext":"{}{padding}","mac":"{}{}"}}}}}}"#,
        base64(&iv),
        base64(&ciphertext),
        base64(&[byte; 32]),
        if padding.is_empty() { "" } else { "=" },
    )
}

/// A state of the version before decoded contents were compared.
fn older_state(folder: &Folder) -> LocalState {
    let hash = |json: &str| -> [u8; 32] {
        use sha2::Digest as _;
        let canonical = fourfold::canonical_json::from_json(json).unwrap();
        sha2::Sha256::digest(canonical).into()
    };
    let state = folder.create();
    let earlier = "DROP TABLE sighting;
        CREATE TABLE seen (event_type TEXT NOT NULL, entry TEXT NOT NULL, counter INTEGER NOT NULL,
            hash BLOB, PRIMARY KEY (event_type, entry, counter)) STRICT, WITHOUT ROWID;
        UPDATE account SET is_pinned = 1;
        PRAGMA user_version = 2;";
    state.connection.execute_batch(earlier).unwrap();
    let mut counter = 0;
    for byte in [1, 2] {
        let json = real_entry(byte, "");
        let content = Content::from_json(&json).unwrap();
        let encrypted = content.object("encrypted").unwrap().unwrap();
        for (entry, json) in [("", json.as_str()), ("a", encrypted.raw("a").unwrap())] {
            counter += 1;
            state
                .connection
                .execute(
                    "INSERT INTO seen VALUES (?1, ?2, ?3, ?4)",
                    (SECRET, entry, counter, hash(json)),
                )
                .unwrap();
        }
    }
    drop(state);
    folder.open().unwrap()
}

// shows: STO-07
#[test]
fn what_an_earlier_version_saw_still_counts() {
    let folder = Folder::new();
    let mut state = older_state(&folder);
    let compare = |state: &LocalState, json: &str| state.compare(&snapshot(&[(SECRET, json)]));
    assert_eq!(compare(&state, &real_entry(2, "")).unwrap(), []);
    assert_eq!(
        compare(&state, &real_entry(3, "")).unwrap(),
        [secret_changed()]
    );
    // However the old entry is written, before and after this version looked for the first time.
    let replays = [
        real_entry(1, ""),
        real_entry(1, "=="),
        real_entry(1, "").replace("\"iv\"", "\"x\":1,\"iv\""),
    ];
    for replay in &replays {
        assert_eq!(compare(&state, replay).unwrap(), [rolled_back(SECRET)]);
    }
    let now = real_entry(3, "");
    state.pin(&snapshot(&[(SECRET, &now)])).unwrap();
    assert_eq!(compare(&state, &now).unwrap(), []);
    for replay in replays.iter().chain([&real_entry(2, "==")]) {
        assert_eq!(compare(&state, replay).unwrap(), [rolled_back(SECRET)]);
    }
    // Nothing that is merely read pushes it out.
    for byte in 4..100 {
        let forged = real_entry(byte, "");
        state.pin(&snapshot(&[(SECRET, &forged)])).unwrap();
    }
    drop(state);
    let state = folder.open().unwrap();
    assert_eq!(
        compare(&state, &real_entry(2, "")).unwrap(),
        [rolled_back(SECRET)]
    );
}

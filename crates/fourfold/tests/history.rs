//! What a server can be caught at: rollback, changed IVs, and what is never forgotten.

#![expect(clippy::unwrap_used, reason = "tests")]

use fourfold::history::{Change, Fingerprint, History, Origin, Reading, Sighting};
use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{
    AccountData, Content, DefaultKey, KeyId, NewKey, Secret, SecretName, SecretStorage, base64,
};
use getrandom::SysRng;
use proptest::prelude::*;

const NAME: &str = "org.example.wallet";

fn name() -> SecretName {
    SecretName::new(NAME).unwrap()
}

fn id() -> KeyId {
    KeyId::new("a").unwrap()
}

/// An entry of today, with members that can be told apart.
#[derive(Clone, Debug)]
struct Entry {
    iv: [u8; 16],
    ciphertext: Vec<u8>,
    mac: [u8; 32],
}

impl Entry {
    fn of(byte: u8) -> Self {
        Self {
            iv: [byte; 16],
            ciphertext: vec![byte; 5],
            mac: [byte; 32],
        }
    }

    /// In unpadded base64, as it is written.
    fn content(&self) -> Content {
        let mut entry = Content::default();
        entry.insert("iv", &base64::encode(self.iv));
        entry.insert("ciphertext", &base64::encode(&self.ciphertext));
        entry.insert("mac", &base64::encode(self.mac));
        entry
    }
}

fn account_data(entry: &Content) -> AccountData {
    let mut encrypted = Content::default();
    encrypted.insert(id().as_str(), entry);
    let mut content = Content::default();
    content.insert("encrypted", &encrypted);
    let mut data = AccountData::default();
    data.insert(NAME, &content);
    data
}

/// A secret with these entries, by the IDs of their keys.
fn entries(entries: &[(&str, Entry)]) -> AccountData {
    let mut encrypted = Content::default();
    for (key_id, entry) in entries {
        encrypted.insert(*key_id, &entry.content());
    }
    let mut content = Content::default();
    content.insert("encrypted", &encrypted);
    let mut data = AccountData::default();
    data.insert(NAME, &content);
    data
}

/// A history that saw these, one after the other.
fn history(entries: &[Entry]) -> History {
    let mut history = History::default();
    for entry in entries {
        history.saw(&account_data(&entry.content()));
    }
    history
}

/// The same entry in other words.
fn rewritten(entry: &Content, how: u8) -> Content {
    let mut other = entry.clone();
    if how & 1 != 0 {
        other.insert("org.example.unknown", &how);
    }
    if how & 2 != 0 {
        for member in ["iv", "ciphertext", "mac"] {
            let mut text: String = entry.get(member).unwrap().unwrap();
            while !text.len().is_multiple_of(4) {
                text.push('=');
            }
            other.insert(member, &text);
        }
    }
    if how & 4 != 0 {
        // Today's algorithm reads no such member.
        other.insert("ephemeral", &base64::encode([how; 32]));
    }
    if how & 8 != 0 {
        // Bits that belong to no byte.
        let text: String = other.get("mac").unwrap().unwrap();
        let changed = text.replacen(|_: char| false, "", 0);
        let (head, padding) = match changed.strip_suffix('=') {
            Some(head) => (head, "="),
            None => (changed.as_str(), ""),
        };
        let last = head.chars().last().unwrap();
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let value = alphabet.find(last).unwrap() | 1;
        let head = &head[..head.len() - 1];
        other.insert(
            "mac",
            &format!("{head}{}{padding}", &alphabet[value..=value]),
        );
    }
    other
}

fn rolled_back() -> Change {
    Change::RolledBack {
        event_type: NAME.to_owned(),
    }
}

proptest! {
    // shows: STO-07
    #[test]
    fn an_old_entry_is_known_however_it_is_written(how in 0_u8..16, seen_how in 0_u8..16) {
        let (old, new) = (Entry::of(1), Entry::of(2));
        let mut history = History::default();
        history.saw(&account_data(&rewritten(&old.content(), seen_how)));
        history.saw(&account_data(&new.content()));
        let changes = history.compare(&account_data(&rewritten(&old.content(), how)));
        prop_assert!(changes.contains(&rolled_back()), "{changes:?}");
        prop_assert!(changes.iter().any(|one| one.forbids_opening(Some(&name()))));
        // And the newest one, however it is written, is no change of its value.
        let changes = history.compare(&account_data(&rewritten(&new.content(), how)));
        prop_assert!(!changes.iter().any(Change::is_suspicious), "{changes:?}");
    }

    // shows: LIB-10
    #[test]
    fn another_iv_over_a_known_ciphertext_is_told(iv in any::<[u8; 16]>(), of_old in any::<bool>()) {
        let entries = [Entry::of(1), Entry::of(2)];
        let mut changed = entries[usize::from(!of_old)].clone();
        prop_assume!(iv != changed.iv);
        changed.iv = iv;
        let changes = history(&entries).compare(&account_data(&changed.content()));
        let expected = Change::IvChanged { name: NAME.to_owned(), key_id: id() };
        prop_assert!(changes.contains(&expected), "{changes:?}");
        prop_assert!(expected.is_suspicious() && expected.forbids_opening(Some(&name())));
    }

    // shows: STO-07
    #[test]
    fn what_was_opened_or_written_is_not_pushed_out_by_reading(forged in 1_usize..200) {
        let (mine, opened) = (Entry::of(1), Entry::of(2));
        let mut history = History::default();
        let mut rng = UnwrapErr(SysRng);
        // Written here.
        let key = NewKey::random(None, &mut rng);
        let mut data = AccountData::default();
        plan::set_up(&SecretStorage::new(&data), &key).unwrap().apply_to(&mut data);
        let other = SecretName::new("org.example.written").unwrap();
        let plan = plan::store(
            &SecretStorage::new(&data), &other, &Secret::new("x"), &[WritingKey::Proven(key.key())],
            &fourfold::PublishedKeys::default(), &mut rng,
        ).unwrap();
        history.wrote(&plan);
        plan.apply_to(&mut data);
        let written = data.raw(other.as_str()).unwrap().to_owned();
        // Opened here.
        let with = |entry: &Entry, written: &str| {
            let mut data = account_data(&entry.content());
            data.insert_json(other.as_str(), written).unwrap();
            data
        };
        for entry in [&mine, &opened] {
            let data = with(entry, &written);
            history.saw(&data);
            history.opened(&data, &name(), &id());
        }
        for number in 0..forged {
            let mut entry = Entry::of(3);
            entry.mac[..8].copy_from_slice(&number.to_le_bytes());
            entry.ciphertext = number.to_le_bytes().to_vec();
            let forged = account_data(&entry.content()).raw(NAME).unwrap().to_owned();
            history.saw(&with(&entry, &forged));
        }
        let changes = history.compare(&with(&mine, &written));
        prop_assert!(changes.contains(&rolled_back()), "{changes:?}");
        let written = Change::RolledBack { event_type: other.as_str().to_owned() };
        prop_assert!(changes.contains(&written), "{changes:?}");
        // What is kept is bounded all the same.
        prop_assert!(history.sightings().count() < 200);
    }

    #[test]
    fn what_is_kept_is_the_same_history(entries in prop::collection::vec(0_u8..6, 0..40)) {
        let entries: Vec<_> = entries.into_iter().map(Entry::of).collect();
        let mut history = history(&entries);
        let mut data = AccountData::default();
        data.insert_json(DefaultKey::EVENT_TYPE, r#"{"key":"a"}"#).unwrap();
        data.insert_json("m.secret_storage.key.a", r#"{"algorithm":"x"}"#).unwrap();
        history.saw(&data);
        let rows = history.sightings().map(|(place, one)| (place.clone(), one.clone()));
        let described = history.descriptions().map(|(id, one)| (id.clone(), one.clone()));
        let default = history.default_key().map(|id| id.cloned());
        let restored = History::restore(history.is_begun(), rows, described, default);
        prop_assert_eq!(restored, history);
    }
}

// shows: STO-07
#[test]
fn what_was_merely_listed_is_pushed_out_by_nothing_that_is_not_accepted() {
    let changed = |kind: fn(String) -> Change| kind(NAME.to_owned());
    let changed_elsewhere = changed(|name| Change::SecretChanged { name });
    let too_many = changed(|name| Change::TooManyVersions { name });
    let entries: Vec<_> = (0..60).map(Entry::of).collect();
    let mut other_iv = entries[1].clone();
    other_iv.iv = [0; 16];
    // A server shows two versions, and then as many others as it likes.
    let mut history = history(&entries[..2]);
    let mut told = 0;
    for entry in &entries[2..] {
        let data = account_data(&entry.content());
        let changes = history.compare(&data);
        let full = told == History::MAX_READ - 2;
        let expected = if full { &too_many } else { &changed_elsewhere };
        assert_eq!(changes, std::slice::from_ref(expected));
        if !full {
            history.saw(&data);
            told += 1;
        }
        for earlier in &entries[..2] {
            let changes = history.compare(&account_data(&earlier.content()));
            assert_eq!(changes, [rolled_back()], "after {told}");
        }
        let changes = history.compare(&account_data(&other_iv.content()));
        assert!(matches!(changes[..], [Change::IvChanged { .. }]));
    }
    // The user accepts one. Then there is room again, and not for ever.
    history.saw(&account_data(&entries[59].content()));
    let mut further = 0;
    for number in 60..=255 {
        let data = account_data(&Entry::of(number).content());
        if history.compare(&data)[0].is_suspicious() {
            break;
        }
        history.saw(&data);
        further += 1;
    }
    assert_eq!(further, History::MAX_READ / 2);
    assert!(history.sightings().count() <= 2 * History::MAX_READ);
    // One that opens here is no reading any more.
    let last = account_data(&Entry::of(60 + further as u8 - 1).content());
    history.opened(&last, &name(), &id());
    let next = account_data(&Entry::of(200).content());
    assert_eq!(history.compare(&next), [changed_elsewhere]);
}

#[test]
fn an_empty_secret_has_no_iv_to_speak_of() {
    let mut entry = Entry::of(1);
    entry.ciphertext.clear();
    let history = history(std::slice::from_ref(&entry));
    entry.iv = [7; 16];
    assert_eq!(history.compare(&account_data(&entry.content())), []);
}

#[test]
fn the_bit_that_x25519_ignores_makes_no_new_entry() {
    let entry = |ephemeral: [u8; 32]| {
        let mut entry = Content::default();
        entry.insert("ciphertext", &base64::encode([1; 16]));
        entry.insert("ephemeral", &base64::encode(ephemeral));
        entry.insert("mac", &base64::encode([2; 8]));
        account_data(&entry)
    };
    let (mut old, mut history) = ([3; 32], History::default());
    history.saw(&entry(old));
    history.saw(&entry([4; 32]));
    old[31] |= 0x80;
    assert_eq!(history.compare(&entry(old)), [rolled_back()]);
}

#[test]
fn a_secret_without_entries_is_gone() {
    let history = history(&[Entry::of(1)]);
    let mut emptied = AccountData::default();
    emptied.insert_json(NAME, r#"{"encrypted":{}}"#).unwrap();
    let gone = Change::Disappeared {
        event_type: NAME.to_owned(),
    };
    assert_eq!(history.compare(&emptied), [gone]);
}

#[test]
fn the_origin_of_an_entry_is_that_of_this_very_entry() {
    let (old, new) = (Entry::of(1), Entry::of(2));
    let mut history = history(std::slice::from_ref(&old));
    let data = account_data(&old.content());
    let origin = |history: &History, entry: &Entry| {
        history.origin_of(&account_data(&entry.content()), &name(), &id())
    };
    assert_eq!(origin(&history, &old), Some(Origin::Read));
    history.opened(&data, &name(), &id());
    assert_eq!(origin(&history, &old), Some(Origin::Opened));
    assert_eq!(origin(&history, &new), None);
    let mut other_iv = old.clone();
    other_iv.iv = [9; 16];
    assert_eq!(origin(&history, &other_iv), None);
    // An entry that a second algorithm could read counts as what is known of that too.
    let mut ambiguous = old.content();
    ambiguous.insert("passthrough", &true);
    let data = account_data(&ambiguous);
    assert_eq!(history.origin_of(&data, &name(), &id()), None);
    // Reading it again makes it no less.
    history.saw(&account_data(&old.content()));
    assert_eq!(origin(&history, &old), Some(Origin::Opened));
}

#[test]
fn names_of_what_is_kept_are_read_back() {
    for reading in [
        Reading::Whole,
        Reading::Symmetric,
        Reading::PublicKey,
        Reading::Passthrough,
        Reading::Text,
    ] {
        assert_eq!(Reading::from_name(reading.name()), Some(reading));
    }
    for origin in [Origin::Read, Origin::Opened, Origin::Written] {
        assert_eq!(Origin::from_name(origin.name()), Some(origin));
    }
    assert_eq!(Reading::from_name(""), None);
    assert_eq!(Origin::from_name(""), None);
}

// shows: KEY-06, KEY-08, STO-05
#[test]
fn a_key_that_is_described_or_chosen_in_another_way_forbids_opening() {
    const DEFAULT: &str = DefaultKey::EVENT_TYPE;
    const KEY: &str = "m.secret_storage.key.a";
    const DESCRIPTION: &str = r#"{"algorithm":"m.secret_storage.v1.aes-hmac-sha2",
        "iv":"AAAAAAAAAAAAAAAAAAAAAA","mac":"AAAA","name":"N",
        "passphrase":{"algorithm":"m.pbkdf2","salt":"saltsalt","iterations":500000}}"#;
    let data = |description: &str, default: &str| {
        let mut data = AccountData::default();
        data.insert_json(KEY, description).unwrap();
        data.insert_json(DEFAULT, default).unwrap();
        data
    };
    let default = r#"{"key":"a"}"#;
    let mut history = History::default();
    history.saw(&data(DESCRIPTION, default));
    let forbids = |description: &str, default: &str| {
        let changes = history.compare(&data(description, default));
        let forbids = changes.iter().any(|one| one.forbids_opening(None));
        // Nothing that forbids opening allows writing.
        assert!(!forbids || changes.iter().any(Change::is_suspicious));
        forbids
    };
    for (from, to) in [
        ("aes-hmac-sha2", "curve25519-aes-sha2"),
        ("500000", "499999"),
        ("500000", "600000"),
        ("saltsalt", "saltpepper"),
        (r#""mac":"AAAA","#, ""),
        (r#""mac":"AAAA""#, r#""mac":"BBBB""#),
        (r#""iv":"AA"#, r#""iv":"BA"#),
        (r#""name""#, r#""pubkey":"AAAA","name""#),
        ("500000", r#"500000,"bits":8"#),
    ] {
        let now = DESCRIPTION.replacen(from, to, 1);
        assert_ne!(now, DESCRIPTION);
        assert!(forbids(&now, default), "{to}");
    }
    assert!(forbids(DESCRIPTION, r#"{"key":"b"}"#));
    assert!(forbids(DESCRIPTION, "7"));
    // The same in other words, and what only a person reads.
    for (from, to) in [
        ("AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAA=="),
        (r#""name":"N""#, r#""name":"O","x":1"#),
    ] {
        assert!(
            !forbids(&DESCRIPTION.replacen(from, to, 1), default),
            "{to}"
        );
    }
    assert!(!forbids(DESCRIPTION, r#"{"x":1,"key":"a"}"#));
}

// shows: LIB-10, STO-07
#[test]
fn what_was_written_here_is_known_as_that_also_after_it_was_read() {
    let mut rng = UnwrapErr(SysRng);
    let key = NewKey::random(None, &mut rng);
    let mut data = AccountData::default();
    let set_up = plan::set_up(&SecretStorage::new(&data), &key).unwrap();
    set_up.apply_to(&mut data);
    let storage = SecretStorage::new(&data);
    let (keys, published_keys) = (
        [WritingKey::Proven(key.key())],
        fourfold::PublishedKeys::default(),
    );
    let secret = Secret::new("x");
    let plan = plan::store(&storage, &name(), &secret, &keys, &published_keys, &mut rng).unwrap();
    plan.apply_to(&mut data);
    let origin = |history: &History| history.origin_of(&data, &name(), key.key().id());
    let mut history = History::default();
    history.wrote(&plan);
    assert_eq!(origin(&history), Some(Origin::Written));
    history.saw(&data);
    history.opened(&data, &name(), key.key().id());
    assert_eq!(origin(&history), Some(Origin::Written));
    // On a machine that only read it, it is what was read.
    let mut elsewhere = History::default();
    elsewhere.saw(&data);
    assert_eq!(origin(&elsewhere), Some(Origin::Read));
}

#[test]
fn sightings_are_restored_in_the_order_of_their_counters() {
    let seen = |byte, counter| Sighting {
        counter,
        origin: Origin::Read,
        seen: Some(Fingerprint {
            body: [byte; 32],
            iv: None,
        }),
    };
    let mut history = History::default();
    history.saw(&account_data(&Entry::of(1).content()));
    let place = history.sightings().next().unwrap().0.clone();
    let rows = [seen(3, 9), seen(1, 2)].map(|one| (place.clone(), one));
    let history = History::restore(true, rows, [], None);
    let counters: Vec<_> = history.sightings().map(|(_, one)| one.counter).collect();
    assert_eq!(counters, [2, 9]);
}

#[test]
fn a_history_is_another_when_it_remembers_another_description() {
    let described = |name: &str| {
        let mut data = AccountData::default();
        let content = format!(r#"{{"algorithm":"A","name":"{name}"}}"#);
        data.insert_json("m.secret_storage.key.a", content).unwrap();
        let mut history = History::default();
        assert!(!history.is_begun());
        history.saw(&data);
        assert!(history.is_begun());
        history
    };
    assert_eq!(described("one"), described("one"));
    assert_ne!(described("one"), described("another"));
}

// shows: STO-07
#[test]
fn an_iv_that_was_accepted_is_told_once_whatever_else_changes() {
    let changed = Entry {
        iv: [9; 16],
        ..Entry::of(1)
    };
    let history = history(&[Entry::of(1), changed.clone()]);
    // There is an entry of another key since.
    let data = entries(&[("a", changed), ("b", Entry::of(2))]);
    let is_iv = |change: &Change| matches!(change, Change::IvChanged { .. });
    assert!(!history.compare(&data).iter().any(is_iv));
    assert!(
        history
            .compare(&account_data(&Entry::of(1).content()))
            .iter()
            .any(is_iv)
    );
}

// shows: STO-07
#[test]
fn a_default_key_is_known_by_the_key_that_it_names() {
    let naming = |content: &str| {
        let mut data = AccountData::default();
        data.insert_json(DefaultKey::EVENT_TYPE, content).unwrap();
        data
    };
    let mut history = History::default();
    history.saw(&naming(r#"{"key":"a"}"#));
    history.saw(&naming(r#"{"key":"b"}"#));
    let back = history.compare(&naming(r#"{"key":"a","org.example.unknown":1}"#));
    let rolled_back = Change::RolledBack {
        event_type: DefaultKey::EVENT_TYPE.to_owned(),
    };
    assert!(back.contains(&rolled_back), "{back:?}");
}

// shows: STO-07
#[test]
fn an_entry_that_was_taken_away_and_comes_back_is_rolled_back() {
    let mut history = History::default();
    history.saw(&entries(&[("a", Entry::of(1)), ("b", Entry::of(2))]));
    history.saw(&entries(&[("a", Entry::of(1))]));
    // The other entry is one that was never there, so that the whole is new.
    let back = entries(&[("a", Entry::of(3)), ("b", Entry::of(2))]);
    assert!(history.compare(&back).contains(&rolled_back()));
    let new = entries(&[("a", Entry::of(3)), ("b", Entry::of(4))]);
    assert!(!history.compare(&new).contains(&rolled_back()));
}

// shows: STO-07
#[test]
fn the_first_description_that_was_proven_is_the_one_that_counts() {
    let described = |name: &str| {
        let content = format!(r#"{{"algorithm":"A","name":"{name}"}}"#);
        let mut data = AccountData::default();
        data.insert_json(id().event_type(), content).unwrap();
        data
    };
    let prove = |history: &mut History, name: &str| {
        let data = described(name);
        history.proved(&SecretStorage::new(&data).key(&id()).unwrap());
    };
    let is_changed = |history: &History, name: &str| {
        let changes = history.compare(&described(name));
        let is_it = |change: &Change| matches!(change, Change::KeyDescriptionChanged { .. });
        changes.iter().any(is_it)
    };
    let mut history = History::default();
    assert!(!is_changed(&history, "another"));
    prove(&mut history, "first");
    assert!(is_changed(&history, "another"));
    prove(&mut history, "another");
    assert!(is_changed(&history, "another") && !is_changed(&history, "first"));
}

#[test]
fn what_looks_like_a_damaged_secret_is_looked_at_and_what_is_none_is_not() {
    let with = |content: &str| {
        let mut data = AccountData::default();
        data.insert_json(NAME, content).unwrap();
        data
    };
    let mut history = History::default();
    history.saw(&AccountData::default());
    let added = Change::Added {
        event_type: NAME.to_owned(),
    };
    assert_eq!(history.compare(&with(r#"{"encrypted":7}"#)), [added]);
    for none in [r#"{"org.example":7}"#, r#"{"encrypted":{}}"#, "{}"] {
        assert_eq!(history.compare(&with(none)), [], "{none}");
    }
}

// shows: LIB-22
#[test]
fn what_was_opened_is_bounded_too_and_the_newest_stay() {
    let version = |number: usize| {
        let mut entry = Entry::of(1);
        entry.ciphertext = number.to_le_bytes().to_vec();
        account_data(&entry.content())
    };
    let mut history = History::default();
    for number in 0..History::MAX_OWN + 10 {
        history.saw(&version(number));
        history.opened(&version(number), &name(), &id());
    }
    let own = |one: &&Sighting| one.origin == Origin::Opened;
    let sightings = || history.sightings().map(|(_, one)| one);
    assert_eq!(sightings().filter(own).count(), History::MAX_OWN);
    let known = |number| history.origin_of(&version(number), &name(), &id());
    assert_eq!(known(9), None);
    assert_eq!(known(10), Some(Origin::Opened));
    // And each has its place in the order of all.
    let mut counters: Vec<_> = sightings().map(|one| one.counter).collect();
    let number = counters.len();
    counters.sort_unstable();
    counters.dedup();
    assert_eq!(counters.len(), number);
}

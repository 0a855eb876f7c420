//! Sessions: begun, chosen, replayed, reordered, restarted.

use super::*;
use crate::local_state::Table;

fn content(decrypted: &Decrypted) -> &str {
    &decrypted.content
}

#[test]
fn an_event_arrives_as_it_was_sent_and_says_from_whom() {
    let mut pair = Pair::connected();
    let event = pair.send("m.secret.send", r#"{"secret":  "s"}"#);
    assert!(!event.to_json().contains("secret"));
    let decrypted = pair.receive(&event).unwrap();
    assert_eq!(decrypted.event_type, "m.secret.send");
    assert_eq!(content(&decrypted), r#"{"secret":  "s"}"#);
    assert_eq!(decrypted.from.device_id, "ONE");
}

#[test]
fn a_replayed_message_decrypts_once() {
    let mut pair = Pair::new();
    let claimed = one_time_key(&mut pair.two);
    let to = peer(&pair.two);
    pair.one.begin_outbound(&to, &claimed).unwrap().unwrap();
    let first = pair.send("m.dummy", "{}");
    pair.receive(&first).unwrap();
    assert_eq!(pair.receive(&first).err(), Some(OlmError::Decryption));
    pair.reply();
    let normal = pair.send("m.dummy", "{}");
    pair.receive(&normal).unwrap();
    assert_eq!(pair.receive(&normal).err(), Some(OlmError::Decryption));
}

#[test]
fn a_message_that_began_a_session_begins_none_again_after_it_was_given_up() {
    let mut pair = Pair::new();
    // With the fallback key, whose private half is kept.
    let body = pair.two.prepare_upload().unwrap().unwrap();
    let fallback = body.object("fallback_keys").unwrap().unwrap();
    pair.two.uploaded(0).unwrap();
    let to = peer(&pair.two);
    pair.one.begin_outbound(&to, &fallback).unwrap().unwrap();
    let first = pair.send("m.dummy", "{}");
    pair.receive(&first).unwrap();
    for claimed in one_time_keys(&mut pair.two, 9) {
        pair.one.begin_outbound(&to, &claimed).unwrap().unwrap();
        let event = pair.send("m.dummy", "{}");
        pair.receive(&event).unwrap();
    }
    let mut sessions = Sessions::load(&pair.two.rows, &peer(&pair.one)).unwrap();
    assert_eq!(sessions.all().count(), 8);
    assert_eq!(pair.receive(&first).err(), Some(OlmError::Decryption));
}

#[test]
fn a_one_time_key_begins_one_session() {
    let mut pair = Pair::new();
    let claimed = one_time_key(&mut pair.two);
    let to = peer(&pair.two);
    pair.one.begin_outbound(&to, &claimed).unwrap().unwrap();
    let first = pair.send("m.dummy", "{}");
    assert_eq!(
        pair.one.begin_outbound(&to, &claimed).unwrap(),
        Err(OneTimeKeyError::Reused)
    );
    pair.receive(&first).unwrap();
    // The same key, used by somebody who does not remember.
    pair.one.rows.delete(Table::Peer, &to.name());
    pair.one.begin_outbound(&to, &claimed).unwrap().unwrap();
    let second = pair.send("m.dummy", "{}");
    assert_eq!(
        pair.receive(&second).err(),
        Some(OlmError::UnknownOneTimeKey)
    );
}

#[test]
fn messages_may_come_late_and_in_another_order() {
    let mut pair = Pair::connected();
    pair.reply();
    let mut events: Vec<_> = (0..30)
        .map(|number| pair.send("m.dummy", &format!(r#"{{"n":{number}}}"#)))
        .collect();
    events.reverse();
    for (index, event) in events.iter().enumerate() {
        let decrypted = pair.receive(event).unwrap();
        assert_eq!(content(&decrypted), format!(r#"{{"n":{}}}"#, 29 - index));
    }
    // Fifty that never arrive, and then one that does.
    for _ in 0..50 {
        pair.send("m.dummy", "{}");
    }
    let event = pair.send("m.dummy", "{}");
    pair.receive(&event).unwrap();
}

#[test]
fn too_large_a_gap_fails_and_the_session_recovers() {
    let mut pair = Pair::connected();
    pair.reply();
    let to = peer(&pair.two);
    let mut sessions = Sessions::load(&pair.one.rows, &to).unwrap();
    let held = sessions.for_sending(pair.one.own.run()).unwrap();
    for _ in 0..2001 {
        held.session.encrypt("lost").unwrap();
    }
    held.save(&mut pair.one.rows, &to).unwrap();
    let event = pair.send("m.dummy", "{}");
    assert_eq!(pair.receive(&event).err(), Some(OlmError::Decryption));
    pair.connect();
}

#[test]
fn the_session_is_used_that_was_received_on_last() {
    let mut pair = Pair::connected();
    let latest = |pair: &Pair| {
        let mut sessions = Sessions::load(&pair.one.rows, &peer(&pair.two)).unwrap();
        let held = sessions.for_sending(pair.one.own.run()).unwrap();
        held.session.session_id()
    };
    let first = latest(&pair);
    let on_first = send(&mut pair.two, &pair.one, "m.dummy", "{}");
    pair.connect();
    let second = latest(&pair);
    assert_ne!(first, second);
    receive(&mut pair.one, &pair.two, &on_first).unwrap();
    assert_eq!(latest(&pair), first);
}

#[test]
fn a_chain_of_an_earlier_run_is_not_continued() {
    let mut pair = Pair::connected();
    pair.restart();
    let to = peer(&pair.two);
    assert!(!pair.one.has_session(&to).unwrap());
    // Until the other side has turned the ratchet.
    pair.reply();
    assert!(pair.one.has_session(&to).unwrap());
    pair.restart();
    assert!(pair.one.has_session(&to).unwrap(), "nothing was sent in it");
    pair.send("m.dummy", "{}");
    assert!(pair.one.has_session(&to).unwrap());
    // A late message of a chain that is known turns nothing.
    let late = send(&mut pair.two, &pair.one, "m.dummy", "{}");
    let later = send(&mut pair.two, &pair.one, "m.dummy", "{}");
    receive(&mut pair.one, &pair.two, &later).unwrap();
    pair.send("m.dummy", "{}");
    pair.restart();
    receive(&mut pair.one, &pair.two, &late).unwrap();
    assert!(!pair.one.has_session(&to).unwrap());
}

// shows: AGT-11
#[test]
fn copies_of_one_state_never_encrypt_under_one_message_key() {
    // The state of a machine is put back by a backup, after messages were sent.
    let mut pair = Pair::connected();
    pair.reply();
    let file = pair.machines[0].file();
    let copy = std::fs::read(&file).unwrap();
    let first = pair.send("m.dummy", r#"{"a":1}"#);
    std::fs::write(&file, copy).unwrap();
    pair.restart();
    let second = pair.send("m.dummy", r#"{"b":2}"#);
    let ratchet_key = |event: &Content| {
        let event: serde_json::Value = serde_json::from_str(&event.to_json()).unwrap();
        let ciphertext = event["ciphertext"].as_object().unwrap();
        let message: vodozemac::olm::OlmMessage =
            serde_json::from_value(ciphertext.values().next().unwrap().clone()).unwrap();
        match message {
            vodozemac::olm::OlmMessage::Normal(message) => message.ratchet_key(),
            vodozemac::olm::OlmMessage::PreKey(message) => message.message().ratchet_key(),
        }
    };
    assert_ne!(ratchet_key(&first), ratchet_key(&second));
    pair.receive(&first).unwrap();
}

// shows: SHR-13
#[test]
fn one_time_keys_are_used_only_as_the_device_signed_them() {
    let mut pair = Pair::new();
    let mut stranger = Machine::named("https://h", "TWO");
    let stranger = Device::create(&mut stranger.state, &key(3)).unwrap();
    let to = peer(&pair.two);
    let claimed = one_time_key(&mut pair.two);
    let id = claimed.members().next().unwrap().to_owned();
    let signed = claimed.object(&id).unwrap().unwrap();
    let with = |key: &Content| {
        let mut claimed = Content::default();
        claimed.insert(&id, key);
        claimed
    };
    let mut unsigned = signed.clone();
    unsigned.remove("signatures");
    let mut foreign = unsigned.clone();
    forge_by(&stranger, &mut foreign);
    let mut changed = signed.clone();
    changed.insert("key", stranger.curve25519());
    let mut made_fallback = signed.clone();
    made_fallback.insert("fallback", &true);
    let mut other_type = Content::default();
    other_type.insert("curve25519:AAAAAQ", pair.two.curve25519());
    for (what, claimed, expected) in [
        ("unsigned", with(&unsigned), OneTimeKeyError::Signature),
        (
            "of another device",
            with(&foreign),
            OneTimeKeyError::Signature,
        ),
        ("changed", with(&changed), OneTimeKeyError::Signature),
        (
            "relabelled",
            with(&made_fallback),
            OneTimeKeyError::Signature,
        ),
        ("none", Content::default(), OneTimeKeyError::Missing),
        ("not signed at all", other_type, OneTimeKeyError::Missing),
    ] {
        let refused = pair.one.begin_outbound(&to, &claimed).unwrap();
        assert_eq!(refused, Err(expected), "{what}");
        assert!(!pair.one.has_session(&to).unwrap(), "{what}");
    }
    // Signed by the device, and still no key.
    for (text, expected) in [
        ("AAAA", OneTimeKeyError::Malformed),
        (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            OneTimeKeyError::Insecure,
        ),
        (
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            OneTimeKeyError::Insecure,
        ),
        (
            "4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA",
            OneTimeKeyError::Insecure,
        ),
    ] {
        let mut low = Content::default();
        low.insert("key", text);
        forge_by(&pair.two, &mut low);
        let refused = pair.one.begin_outbound(&to, &with(&low)).unwrap();
        assert_eq!(refused, Err(expected), "{text}");
    }
    // A good key, in an object that the device may have signed as something else.
    for member in ["public_key", "usage", "keys", "algorithm", "device_id"] {
        let mut foreign = unsigned.clone();
        foreign.insert(member, "x");
        forge_by(&pair.two, &mut foreign);
        let refused = pair.one.begin_outbound(&to, &with(&foreign)).unwrap();
        assert_eq!(refused, Err(OneTimeKeyError::Malformed), "{member}");
    }
    pair.one.begin_outbound(&to, &claimed).unwrap().unwrap();
}

// shows: SHR-21
#[test]
fn too_many_failures_of_a_device_end_the_trying() {
    let mut pair = Pair::connected();
    pair.reply();
    let good = pair.send("m.dummy", "{}");
    let bad = good.to_json();
    let position = bad.find(r#""body":""#).unwrap() + 80;
    let mut bytes = bad.into_bytes();
    bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
    let bad = String::from_utf8(bytes).unwrap();
    for _ in 0..100 {
        let error = receive_at(&mut pair.two, &pair.one, &bad, HOUR).err();
        assert_eq!(error, Some(OlmError::Decryption));
    }
    let good = good.to_json();
    let error = receive_at(&mut pair.two, &pair.one, &good, HOUR).err();
    assert_eq!(error, Some(OlmError::Exhausted));
    receive_at(&mut pair.two, &pair.one, &good, 3 * HOUR).unwrap();
}

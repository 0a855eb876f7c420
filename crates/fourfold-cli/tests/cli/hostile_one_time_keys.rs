//! A homeserver that hands out other one-time keys than those that a device signed, to an agent that
//! would share a secret with the device.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{
    hostile_devices::{Household, RULES},
    liar::BACKUP,
    peer::Peer,
    proxy::Message,
};

/// Who and what a homeserver could take a key from.
struct Others {
    /// Another verified device of the user.
    device: Peer,
    /// A device of another user.
    stranger: Peer,
    /// A key of low order, signed as it should be.
    low: Value,
}

/// A verified device with which there is no session asks, and gets a one-time key that is changed
/// like this.
#[track_caller]
fn is_not_used(change: impl Fn(&Others, &mut Value) + Send + 'static) {
    is_not_used_after(|home, others| {
        let user = home.user.clone();
        home.liar.lie("/keys/claim ", move |answer| {
            answer.with_json(|body| change(&others, &mut body["one_time_keys"][&user]))
        });
    });
}

/// The same with a lie of the table.
#[track_caller]
fn is_not_used_when(lie: &str) {
    is_not_used_after(|home, _| home.liar.play(lie));
}

#[track_caller]
fn is_not_used_after(lie: impl FnOnce(&Household, Others)) {
    let mut home = Household::new();
    let mut tablet = home.liar.phone();
    home.liar.server.register("mallory");
    let others = Others {
        device: home.liar.phone(),
        stranger: Peer::log_in(&home.liar.server.address, "mallory"),
        low: tablet.sign(json!({"key": "A".repeat(43)})),
    };
    home.liar.settle(&mut home.phone);
    let sent = home.liar.sent().len();
    lie(&home, others);
    let before = home.liar.proxy.seen().len();
    tablet.ask(&home.laptop, "early", BACKUP);
    has_claimed(&home, before);
    home.liar.settle(&mut home.phone);
    assert_eq!(home.liar.sent().len(), sent);
    // It is tried again, and with a key of the device there is an answer.
    home.liar.be_honest();
    tablet.wait_for_answer("early");
    home.liar.settle(&mut home.phone);
    assert_eq!(home.liar.sent().len(), sent + 1);
}

/// Waits until a key was asked for, since so much was seen.
fn has_claimed(home: &Household, before: usize) {
    let is_claim = |one: &(Message, Message)| one.0.head.contains("/keys/claim ");
    home.liar
        .proxy
        .wait_until(|seen| seen.iter().skip(before).any(is_claim));
}

fn keys(of_user: &mut Value) -> &mut Value {
    let device = of_user
        .as_object_mut()
        .unwrap()
        .values_mut()
        .next()
        .unwrap();
    device.as_object_mut().unwrap().values_mut().next().unwrap()
}

// The one-time key is signed by nobody.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_without_a_signature_is_not_used() {
    is_not_used_when("unsigned-one-time-key");
}

// The one-time key is another one than the one that the device signed.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_that_was_exchanged_is_not_used() {
    is_not_used(|others, of_user| {
        keys(of_user)["key"] = json!(others.device.account.curve25519_key().to_base64());
    });
}

// The one-time key is signed by another verified device of the user.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_that_another_device_signed_is_not_used() {
    is_not_used(|others, of_user| {
        let key = keys(of_user);
        *key = others.device.sign(json!({"key": key["key"]}));
    });
}

// The one-time key is one that every agreement comes out the same with.
// shows: SHR-20, MS-12
#[test]
fn a_one_time_key_of_low_order_is_not_used() {
    is_not_used(|others, of_user| *keys(of_user) = others.low.clone());
}

// The key of one device is handed out for another one.
// shows: SHR-13, MS-13
#[test]
fn a_one_time_key_of_another_device_is_not_used() {
    is_not_used(|others, of_user| {
        let key = of_user
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        *of_user = json!({&others.device.device_id: key});
    });
}

// The one-time key is signed by a device of another user, in its own name.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_that_another_user_signed_is_not_used() {
    is_not_used(|others, of_user| {
        let key = keys(of_user);
        *key = others.stranger.sign(json!({"key": key["key"]}));
    });
}

// The device is said to have no one-time keys left, and this to be its last resort.
// shows: SHR-13, MS-12
#[test]
fn a_fallback_key_without_a_signature_is_not_used() {
    is_not_used(|others, of_user| {
        let key = others.device.account.curve25519_key().to_base64();
        *keys(of_user) = json!({"key": key, "fallback": true});
    });
}

// A key that the device signed for one use is called its last resort, which may be used again.
#[test]
fn a_one_time_key_that_is_called_a_fallback_key_is_not_used() {
    is_not_used_when("fallback-that-is-none");
}

// The homeserver hands out the key once more that it handed out before.
#[test]
fn a_one_time_key_that_was_used_is_not_used_again() {
    let mut home = Household::new();
    let mut tablet = home.liar.phone();
    let first = Arc::new(Mutex::new(None));
    home.liar.lie("/keys/claim ", move |answer| {
        let mut first = first.lock().unwrap();
        first.get_or_insert(answer).clone()
    });
    tablet.ask(&home.laptop, "first", BACKUP);
    tablet.wait_for_answer("first");
    home.liar.settle(&mut home.phone);
    // After a restart a new session is begun.
    home.agent.kill();
    home.agent = home.liar.agent(&RULES);
    home.liar.settle(&mut home.phone);
    let (sent, before) = (home.liar.sent().len(), home.liar.proxy.seen().len());
    tablet.ask(&home.laptop, "second", BACKUP);
    has_claimed(&home, before);
    home.liar.settle(&mut home.phone);
    assert_eq!(home.liar.sent().len(), sent);
    home.liar.be_honest();
    tablet.wait_for_answer("second");
}

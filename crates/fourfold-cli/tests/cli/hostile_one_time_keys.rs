//! A homeserver that hands out other one-time keys than those that a device signed, to an agent that
//! would share a secret with the device.

use serde_json::{Value, json};

use crate::{hostile_devices::Household, liar::BACKUP, peer::Peer, proxy::Message};

/// A verified device with which there is no session asks, and gets a one-time key that is changed
/// like this.
#[track_caller]
fn is_not_used(change: impl Fn(&Peer, &Value, &mut Value) + Send + 'static) {
    let mut home = Household::new();
    let mut tablet = home.liar.phone();
    let other = home.liar.phone();
    home.liar.settle(&mut home.phone);
    let user = home.user.clone();
    // Of low order, and signed as it should be.
    let low = tablet.sign(json!({"key": "A".repeat(43)}));
    let sent = home.liar.sent().len();
    home.liar.lie("/keys/claim ", move |answer| {
        answer.with_json(|body| {
            change(&other, &low, &mut body["one_time_keys"][&user]);
        })
    });
    let before = home.liar.proxy.seen().len();
    tablet.ask(&home.laptop, "early", BACKUP);
    let is_claim = |one: &(Message, Message)| one.0.head.contains("/keys/claim ");
    home.liar
        .proxy
        .wait_until(|seen| seen.iter().skip(before).any(is_claim));
    home.liar.settle(&mut home.phone);
    assert_eq!(home.liar.sent().len(), sent);
    // It is tried again, and with a key of the device there is an answer.
    home.liar.be_honest();
    tablet.wait_for_answer("early");
    home.liar.settle(&mut home.phone);
    assert_eq!(home.liar.sent().len(), sent + 1);
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
#[test]
fn a_one_time_key_without_a_signature_is_not_used() {
    is_not_used(|_, _, of_user| keys(of_user)["signatures"] = json!({}));
}

// The one-time key is another one than the one that the device signed.
#[test]
fn a_one_time_key_that_was_exchanged_is_not_used() {
    is_not_used(|other, _, of_user| {
        keys(of_user)["key"] = json!(other.account.curve25519_key().to_base64());
    });
}

// The one-time key is signed by another verified device of the user.
#[test]
fn a_one_time_key_that_another_device_signed_is_not_used() {
    is_not_used(|other, _, of_user| {
        let key = keys(of_user);
        *key = other.sign(json!({"key": key["key"]}));
    });
}

// The one-time key is one that every agreement comes out the same with.
#[test]
fn a_one_time_key_of_low_order_is_not_used() {
    is_not_used(|_, low, of_user| *keys(of_user) = low.clone());
}

// The key of one device is handed out for another one.
#[test]
fn a_one_time_key_of_another_device_is_not_used() {
    is_not_used(|other, _, of_user| {
        let key = of_user
            .as_object()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        *of_user = json!({&other.device_id: key});
    });
}

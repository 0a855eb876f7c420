//! A homeserver that hands out other one-time keys than those that a device signed, to an agent that
//! would share a secret with the device.

use crate::hostile_devices::{Household, RULES};
use crate::liar::BACKUP;
use crate::proxy::Message;

/// A verified device with which there is no session asks, and gets a one-time key by this lie.
#[track_caller]
fn is_not_used_when(lie: &str) {
    let mut home = Household::new();
    let mut tablet = home.liar.phone();
    let other = home.liar.phone();
    home.liar.imitate(&tablet);
    home.liar.aim(|victim| {
        victim.other = other.device();
        victim.signers.other = Some(other.signer());
    });
    home.liar.settle(&mut home.phone);
    let sent = home.liar.sent().len();
    home.liar.play(lie);
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
    is_not_used_when("one-time-key-that-was-exchanged");
}

// The one-time key is signed by another verified device of the user, and by one that nobody verified.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_that_another_device_signed_is_not_used() {
    is_not_used_when("one-time-key-that-another-device-signed");
    is_not_used_when("one-time-key-of-an-attacker");
}

// The one-time key is one that every agreement comes out the same with.
// shows: SHR-20, MS-12
#[test]
fn a_one_time_key_of_low_order_is_not_used() {
    is_not_used_when("one-time-key-of-low-order");
}

// The key of one device is handed out for another one.
// shows: SHR-13, MS-13
#[test]
fn a_one_time_key_of_another_device_is_not_used() {
    is_not_used_when("one-time-key-of-another-device");
}

// The one-time key is signed by a device of another user, in its own name.
// shows: SHR-13, MS-12
#[test]
fn a_one_time_key_that_another_user_signed_is_not_used() {
    is_not_used_when("one-time-key-that-another-user-signed");
}

// The device is said to have no one-time keys left, and this to be its last resort.
// shows: SHR-13, MS-12
#[test]
fn a_fallback_key_without_a_signature_is_not_used() {
    is_not_used_when("fallback-without-a-signature");
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
    home.liar.play("one-time-key-that-was-used");
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

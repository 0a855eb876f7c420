//! A homeserver that says one thing about devices in one list and another in the other one, before an
//! agent that would share a secret with a verified device.

use serde_json::Value;

use crate::agents::RunningAgent;
use crate::hostile_devices::{Household, RULES};
use crate::key_endpoints::sealed;
use crate::liar::{BACKUP, Liar, received};

/// What the command has against a device.
fn problem(liar: &Liar, device_id: &str) -> Value {
    let listed = liar.laptop.call(&["device", "ls", "--json"]).run().json();
    let mut listed = listed.as_array().unwrap().iter();
    let device = listed.find(|device| device["device_id"] == device_id);
    device.unwrap()["problem"].clone()
}

/// Why the agent did not answer a device, as it wrote it down last.
fn logged(liar: &Liar, device_id: &str) -> String {
    let log = liar.log();
    let mut alerts = log.iter().rev().filter(|line| line["event"] == "alert");
    let alert = alerts.find(|line| line["device_id"] == device_id).unwrap();
    alert["reason"].as_str().unwrap().to_owned()
}

// The keys of the phone are shown as ever, and it is not among the devices that are logged in.
// shows: SHR-11, SHR-14
#[test]
fn a_device_that_is_not_logged_in_gets_nothing() {
    let mut home = Household::new();
    let device = home.phone.device_id.clone();
    assert_eq!(problem(&home.liar, &device), Value::Null);
    home.liar.play("device-that-is-not-logged-in");
    home.does_not_answer(&device);
    let said = problem(&home.liar, &device);
    assert_eq!(said, "it is not logged in");
    let logged = logged(&home.liar, &device);
    assert!(logged.ends_with(said.as_str().unwrap()), "{logged}");
    // Nothing is asked of it or verified either.
    let request = ["request", BACKUP, "--from", &device];
    home.liar
        .laptop
        .call(&request)
        .run()
        .fails(8)
        .says("it is not logged in");
    sealed(&home.liar.laptop, &["device", "verify", &device, "--json"])
        .run()
        .fails(8)
        .says("it is not logged in");
    let keys = &home.phone.device_keys()["keys"];
    let fingerprint = keys[format!("ed25519:{device}")].as_str().unwrap();
    let sign = ["device", "sign", &device, "--fingerprint", fingerprint];
    sealed(&home.liar.laptop, &sign)
        .run()
        .fails(8)
        .says("it is not logged in");
    // It went, and is back: not after a restart either.
    home.liar.be_honest();
    home.liar.say_changed();
    home.does_not_answer(&device);
    home.agent.kill();
    home.agent = home.liar.agent(&RULES);
    home.does_not_answer(&device);
}

// The homeserver does not say which devices are logged in.
#[test]
fn a_device_of_which_nobody_says_that_it_is_logged_in_gets_nothing() {
    for lie in [
        "log-ins-that-nobody-knows",
        "log-ins-that-fail",
        "no-log-ins",
        "log-ins-that-are-a-number",
    ] {
        let mut home = Household::new();
        let (queries, asked) = (
            home.liar.count("/keys/query "),
            home.liar.count("/devices "),
        );
        home.liar.play(lie);
        let mut tablet = home.liar.phone();
        home.liar.say_changed();
        let id = tablet.device_id.clone();
        home.does_not_answer(&id);
        let said = problem(&home.liar, &id);
        assert_eq!(said, "the server does not say whether it is logged in");
        home.warns_of("does not say which devices are logged in");
        // What worked goes on, and it is not asked for again and again.
        home.answers_the_phone();
        let asked = home.liar.count("/devices ") - asked;
        assert!(asked <= home.liar.count("/keys/query ") - queries);
        // What the tablet asked for is answered as soon as the homeserver says so.
        home.liar.be_honest();
        home.liar.say_changed();
        tablet.ask(&home.laptop, "of the tablet", BACKUP);
        tablet.wait_for_answer("of the tablet");
    }
}

// A device that nobody verified says that the key of the phone is its own.
// shows: SHR-02
#[test]
fn a_device_that_claims_the_key_of_another_one_does_not_deafen_it() {
    let liar = Liar::new();
    let mut phone = liar.phone();
    liar.imitate(&phone);
    liar.play("device-with-the-key-of-another-one");
    let laptop = liar.to_laptop(&phone);
    let request = liar.request("org.example.wallet");
    let id = phone.wait_for_request();
    phone.answer(&laptop, &id, "of the phone");
    assert_eq!(received(request), "of the phone");
    // And through an agent.
    let agent: RunningAgent = liar.agent(&RULES);
    let request = liar.request("org.example.wallet");
    let id = phone.wait_for_request();
    phone.answer(&laptop, &id, "once more");
    assert_eq!(received(request), "once more");
    liar.is_answered(&mut phone, "of the phone");
    drop(agent);
}

//! How a request goes out, is retried and ends.

use fourfold::sharing::{AskRefusal, Input, Outcome, Output, Policy, Recipients, RequestId, Send};

use crate::story::{Story, name};

const TOKEN: &str = "org.example.token";

fn sends(outputs: &[Output]) -> Vec<&Send> {
    let sends = outputs.iter().filter_map(|output| match output {
        Output::Send(send) => Some(send),
        _ => None,
    });
    sends.collect()
}

fn action(send: &Send) -> String {
    send.content.get::<String>("action").unwrap().unwrap()
}

fn outcome(outputs: &[Output]) -> Option<Outcome> {
    outputs.iter().find_map(|output| match output {
        Output::Ended { outcome, .. } => Some(*outcome),
        _ => None,
    })
}

#[test]
fn asks_the_verified_devices_and_cancels_at_the_others() {
    let mut story = Story::new(Policy::default());
    story.ask(TOKEN, "1");
    let outputs = story.poll();
    let [send] = sends(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(send.event_type, "m.secret.request");
    assert_eq!(send.devices, ["B", "C"]);
    assert_eq!(
        send.content.to_json(),
        r#"{"action":"request","name":"org.example.token","request_id":"1","requesting_device_id":"A"}"#
    );
    story.handle(Input::Sent { id: send.id });
    let olm = story.account.olm("B");
    story.answer("1", &fourfold::Secret::new("s3cret"), olm);
    let outputs = story.poll();
    assert_eq!(outcome(&outputs), Some(Outcome::Received));
    let [cancellation] = sends(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(cancellation.devices, ["C"]);
    assert_eq!(
        cancellation.content.to_json(),
        r#"{"action":"request_cancellation","name":"org.example.token","request_id":"1","requesting_device_id":"A"}"#
    );
    assert_ne!(cancellation.transaction_id, send.transaction_id);
    story.handle(Input::Sent {
        id: cancellation.id,
    });
    assert_eq!(story.sharing.open_requests().count(), 0);
}

#[test]
fn ends_at_fifteen_minutes_and_when_aborted_and_says_so_to_all() {
    type Ending = fn(&mut Story);
    let endings: [(Ending, Outcome); 2] = [
        (|story| story.pass(15 * 60), Outcome::TimedOut),
        (
            |story| {
                let request_id = RequestId::new("1").unwrap();
                story.handle(Input::Abort { request_id });
            },
            Outcome::Aborted,
        ),
    ];
    for (ending, expected) in endings {
        let mut story = Story::new(Policy::default());
        story.ask(TOKEN, "1");
        story.poll();
        story.pass(15 * 60 - 1);
        story.restart();
        let outputs = story.poll();
        assert_eq!(outcome(&outputs), None);
        assert_eq!(
            sends(&outputs).len(),
            1,
            "the server never said that it took it"
        );
        ending(&mut story);
        let outputs = story.poll();
        assert_eq!(outcome(&outputs), Some(expected));
        let [cancellation] = sends(&outputs)[..] else {
            panic!("{outputs:?}")
        };
        assert_eq!(action(cancellation), "request_cancellation");
        assert_eq!(cancellation.devices, ["B", "C"]);
        assert_eq!(
            cancellation.content.get::<String>("name"),
            Some(Ok(TOKEN.to_owned()))
        );
    }
}

#[test]
fn sends_again_with_the_same_transaction_until_the_server_took_it() {
    let mut story = Story::new(Policy::default());
    story.ask(TOKEN, "1");
    let outputs = story.poll();
    let first = sends(&outputs)[0].clone();
    assert!(sends(&story.poll()).is_empty(), "one at a time");
    for wait in [1, 2, 4] {
        story.handle(Input::SendFailed { id: first.id });
        story.pass(wait - 1);
        assert!(story.poll().is_empty(), "{wait}");
        story.pass(1);
        let outputs = story.poll();
        assert_eq!(
            sends(&outputs)[0].transaction_id,
            first.transaction_id,
            "{wait}"
        );
    }
    story.restart();
    let outputs = story.poll();
    assert_eq!(sends(&outputs)[0].transaction_id, first.transaction_id);
    story.handle(Input::Sent { id: first.id });
    story.restart();
    assert!(story.poll().is_empty());
}

#[test]
fn asks_devices_that_become_verified_each_once_and_not_too_often() {
    let mut story = Story::new(Policy::default());
    for device in ["B", "C"] {
        story.account.devices.get_mut(device).unwrap().signed = false;
    }
    story.query();
    story.ask(TOKEN, "1");
    assert!(story.poll().is_empty());
    story.pass(10);
    story.account.devices.get_mut("B").unwrap().signed = true;
    story.query();
    let outputs = story.poll();
    assert_eq!(sends(&outputs)[0].devices, ["B"]);
    story.account.devices.get_mut("C").unwrap().signed = true;
    story.query();
    assert!(story.poll().is_empty(), "backs off");
    let deadline = story.sharing.next_deadline().unwrap();
    assert_eq!(deadline.since(story.now).as_secs(), 1);
    story.pass(1);
    let outputs = story.poll();
    assert_eq!(sends(&outputs)[0].devices, ["C"]);
    story.pass(60);
    assert!(story.poll().is_empty());
}

#[test]
fn everyone_is_asked_only_when_the_user_says_so() {
    let mut story = Story::new(Policy::default());
    story.account.devices.get_mut("C").unwrap().signed = false;
    story.query();
    let request_id = RequestId::new("1").unwrap();
    story.handle(Input::Ask {
        name: name(TOKEN),
        request_id: request_id.clone(),
        recipients: Recipients::Everyone,
    });
    let outputs = story.poll();
    assert_eq!(sends(&outputs)[0].devices, ["*"]);
    // The answer of a device that was not verified is not taken for that.
    let olm = story.account.olm("C");
    story.answer("1", &fourfold::Secret::new("s3cret"), olm);
    assert!(story.received().is_empty());
    story.handle(Input::Abort { request_id });
    assert_eq!(sends(&story.poll())[0].devices, ["*"]);
}

#[test]
fn refuses_what_must_not_be_asked() {
    let mut story = Story::new(Policy::default());
    story.ask("m.cross_signing.master", "1");
    assert_eq!(
        outcome(&story.poll()),
        Some(Outcome::Refused(AskRefusal::Forbidden))
    );
    story.ask(TOKEN, "1");
    assert_eq!(outcome(&story.poll()), None);
    story.ask(TOKEN, "2");
    assert_eq!(
        outcome(&story.poll()),
        Some(Outcome::Refused(AskRefusal::AlreadyOpen))
    );
    story.ask("org.example.other", "1");
    assert_eq!(
        outcome(&story.poll()),
        Some(Outcome::Refused(AskRefusal::IdUsed))
    );
    story.handle(Input::Abort {
        request_id: RequestId::new("1").unwrap(),
    });
    story.poll();
    story.ask("org.example.other", "1");
    assert_eq!(
        outcome(&story.poll()),
        Some(Outcome::Refused(AskRefusal::IdUsed))
    );
    for number in 0..64 {
        story.ask(&format!("org.example.{number}"), &format!("n{number}"));
        assert_eq!(outcome(&story.poll()), None);
    }
    story.ask("org.example.64", "n64");
    assert_eq!(
        outcome(&story.poll()),
        Some(Outcome::Refused(AskRefusal::TooMany))
    );
}

#[test]
fn a_clock_that_goes_back_changes_nothing() {
    let mut story = Story::new(Policy::default());
    story.ask(TOKEN, "1");
    story.poll();
    story.now = crate::own_devices::at(5);
    story.handle(Input::Tick);
    assert!(story.poll().is_empty());
    story.now = crate::own_devices::at(1_000_000 + 15 * 60);
    story.handle(Input::Tick);
    assert_eq!(outcome(&story.poll()), Some(Outcome::TimedOut));
}

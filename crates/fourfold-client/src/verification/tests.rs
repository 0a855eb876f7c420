//! Both roles against each other, and each attack by itself.

use fourfold::Content;
use fourfold::signed_json::SigningKey;

use super::process::Verification;
use super::*;

const USER: &str = "@alice:example.org";
const T: &str = "transaction";

fn public_key(seed: u8) -> fourfold::signed_json::PublicKey {
    SigningKey::from_seed(&[seed; 32].into()).public_key()
}

const MASTER: u8 = 9;

fn own(device_id: &str, seed: u8, trusts_master: bool) -> OwnSide {
    OwnSide {
        user_id: USER.to_owned(),
        device_id: device_id.to_owned(),
        ed25519: public_key(seed),
        trusted_master_key: trusts_master.then(|| public_key(MASTER)),
    }
}

fn other(device_id: &str, seed: u8) -> OtherSide {
    OtherSide {
        device_id: device_id.to_owned(),
        ed25519: public_key(seed),
        master_key: Some(public_key(MASTER)),
    }
}

/// An old device that trusts the master key (`OLD`) and a new one (`NEW`).
struct Pair {
    old: Verification,
    new: Verification,
    /// What each was told, other than to send.
    told: [Vec<Output>; 2],
    /// What was sent, in order.
    sent: Vec<(&'static str, Content)>,
    /// What somebody in between makes of an event; `None` to swallow it.
    between: fn(&str, &Content) -> Option<Content>,
}

impl Pair {
    /// The new device asks, the old one agrees.
    fn ready() -> Self {
        let mut pair = Self {
            new: Verification::request(
                T.to_owned(),
                own("NEW", 2, false),
                vec![other("OLD", 1)],
                0,
                0,
            ),
            old: Verification::asked(T.to_owned(), own("OLD", 1, true), other("NEW", 2), 0),
            told: [Vec::new(), Vec::new()],
            sent: Vec::new(),
            between: |_, content| Some(content.clone()),
        };
        pair.new.poll().unwrap();
        pair.old.agree();
        pair.run();
        pair
    }

    fn comparing() -> Self {
        let mut pair = Self::ready();
        pair.new.start();
        pair.run();
        pair
    }

    /// Delivers until nothing is to be sent.
    fn run(&mut self) {
        loop {
            let (index, output) = if let Some(output) = self.old.poll() {
                (0, output)
            } else if let Some(output) = self.new.poll() {
                (1, output)
            } else {
                return;
            };
            match output {
                Output::Send {
                    event_type,
                    content,
                    ..
                } => {
                    self.sent.push((event_type, content.clone()));
                    let Some(content) = (self.between)(event_type, &content) else {
                        continue;
                    };
                    let receiver = if index == 0 {
                        &mut self.new
                    } else {
                        &mut self.old
                    };
                    receiver.receive(event_type, &content);
                    // The server delivers twice.
                    receiver.receive(event_type, &content);
                }
                output => self.told[index].push(output),
            }
        }
    }

    fn short_strings(&self) -> Vec<ShortString> {
        self.told
            .iter()
            .flatten()
            .filter_map(|output| match output {
                Output::Compare(short_string) => Some(short_string.clone()),
                _ => None,
            })
            .collect()
    }

    fn verified(&self) -> [Option<(String, bool)>; 2] {
        [0, 1].map(|index| {
            self.told[index].iter().find_map(|output| match output {
                Output::Verified {
                    device_id,
                    master_key,
                    ..
                } => Some((device_id.clone(), *master_key == Some(public_key(MASTER)))),
                _ => None,
            })
        })
    }

    fn cancelled(&self) -> [Option<(CancelCode, bool)>; 2] {
        [0, 1].map(|index| {
            self.told[index].iter().find_map(|output| match output {
                Output::Cancelled { code, by_us } => Some((code.clone(), *by_us)),
                _ => None,
            })
        })
    }

    fn confirm(&mut self) {
        self.old.compared(true);
        self.new.compared(true);
        self.run();
    }

    /// Nobody is verified, and both know why.
    fn assert_cancelled_by(&self, index: usize, code: CancelCode) {
        assert_eq!(self.verified(), [None, None]);
        let cancelled = self.cancelled();
        assert_eq!(cancelled[index], Some((code.clone(), true)));
        assert_eq!(cancelled[1 - index], Some((code, false)));
    }
}

#[test]
fn both_sides_show_the_same_and_verify_each_other() {
    for starter_is_new in [true, false] {
        let mut pair = Pair::ready();
        if starter_is_new {
            pair.new.start();
        } else {
            pair.old.start();
        }
        pair.run();
        let shown = pair.short_strings();
        assert_eq!(shown.len(), 2);
        assert_eq!(shown[0], shown[1]);
        assert!(shown[0].decimals.iter().all(|n| (1000..=9191).contains(n)));
        assert_eq!(pair.verified(), [None, None]);
        pair.confirm();
        // The old one vouches for the master key, the new one cannot.
        assert_eq!(
            pair.verified(),
            [
                Some(("NEW".to_owned(), false)),
                Some(("OLD".to_owned(), true))
            ]
        );
        assert!(pair.old.is_over() && pair.new.is_over());
    }
}

#[test]
fn the_events_are_those_of_the_specification() {
    let mut pair = Pair::comparing();
    pair.new.compared(true);
    pair.run();
    pair.old.compared(true);
    pair.run();
    let types: Vec<_> = pair
        .sent
        .iter()
        .map(|(event_type, _)| *event_type)
        .collect();
    assert_eq!(
        types,
        [
            "m.key.verification.ready",
            "m.key.verification.start",
            "m.key.verification.accept",
            "m.key.verification.key",
            "m.key.verification.key",
            "m.key.verification.mac",
            "m.key.verification.mac",
            "m.key.verification.done",
            "m.key.verification.done",
        ]
    );
    assert_eq!(
        pair.sent[1].1.to_json(),
        r#"{"from_device":"NEW","hashes":["sha256"],"key_agreement_protocols":["curve25519-hkdf-sha256"],"message_authentication_codes":["hkdf-hmac-sha256.v2"],"method":"m.sas.v1","short_authentication_string":["emoji","decimal"],"transaction_id":"transaction"}"#
    );
    for (_, content) in &pair.sent {
        assert_eq!(content.raw("transaction_id"), Some(r#""transaction""#));
    }
}

#[test]
fn when_both_start_the_smaller_device_id_counts() {
    let mut pair = Pair::ready();
    pair.old.start();
    pair.new.start();
    pair.run();
    let accepts = |(event_type, _): &&(&str, Content)| *event_type == "m.key.verification.accept";
    assert_eq!(pair.sent.iter().filter(accepts).count(), 1);
    let shown = pair.short_strings();
    assert_eq!((shown.len(), &shown[0]), (2, &shown[1]));
    pair.confirm();
    assert!(pair.verified().iter().all(Option::is_some));
}

#[test]
fn what_the_user_does_not_find_the_same_is_not_verified() {
    let mut pair = Pair::comparing();
    pair.old.compared(false);
    pair.run();
    pair.new.compared(true);
    pair.run();
    pair.assert_cancelled_by(0, CancelCode::MismatchedSas);
}

#[test]
fn one_confirmation_verifies_nobody() {
    let mut pair = Pair::comparing();
    pair.old.compared(true);
    pair.run();
    assert_eq!(pair.verified(), [None, None]);
}

#[test]
fn a_key_in_between_shows_something_else() {
    let mut pair = Pair::ready();
    pair.between = |event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.key" {
            // A key of somebody's own, the same one for both.
            content.insert("key", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo");
        }
        Some(content)
    };
    pair.new.start();
    pair.run();
    // The one that started holds the other to its commitment.
    pair.assert_cancelled_by(1, CancelCode::MismatchedCommitment);
}

#[test]
fn a_start_event_that_was_changed_is_noticed() {
    let mut pair = Pair::ready();
    pair.between = |event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.start" {
            content.insert("short_authentication_string", &["decimal"]);
        }
        Some(content)
    };
    pair.new.start();
    pair.run();
    pair.assert_cancelled_by(1, CancelCode::MismatchedCommitment);
}

#[test]
fn keys_that_everybody_knows_are_refused() {
    let mut pair = Pair::ready();
    pair.between = |event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.key" {
            content.insert("key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        }
        Some(content)
    };
    pair.old.start();
    pair.run();
    assert_eq!(pair.verified(), [None, None]);
    assert!(pair.cancelled().iter().all(Option::is_some));
    assert!(pair.short_strings().is_empty());
}

// shows: SHR-07
#[test]
fn a_device_with_other_keys_than_were_fixed_is_not_verified() {
    let mut pair = Pair::ready();
    // The server told the old device another key of the new one.
    pair.old = Verification::asked(T.to_owned(), own("OLD", 1, true), other("NEW", 3), 0);
    pair.old.agree();
    pair.old.poll().unwrap();
    pair.new.start();
    pair.run();
    pair.confirm();
    assert_eq!(pair.cancelled()[0], Some((CancelCode::KeyMismatch, true)));
    assert_eq!(pair.verified()[0], None);
}

#[test]
fn another_master_key_than_the_published_one_is_not_verified() {
    let mut pair = Pair::ready();
    let mut old = other("OLD", 1);
    old.master_key = Some(public_key(8));
    pair.new = Verification::request(T.to_owned(), own("NEW", 2, false), vec![old], 0, 0);
    pair.new.poll().unwrap();
    pair.new
        .receive("m.key.verification.ready", &pair.sent[0].1);
    pair.new.start();
    pair.run();
    pair.confirm();
    assert_eq!(pair.cancelled()[1], Some((CancelCode::KeyMismatch, true)));
    assert_eq!(pair.verified()[1], None);
}

/// What the MAC event of the old device is changed into, and what the new one says to it.
fn with_mac(change: fn(&str, &Content) -> Option<Content>) -> Option<(CancelCode, bool)> {
    let mut pair = Pair::comparing();
    pair.between = change;
    pair.confirm();
    assert_eq!(pair.verified()[1], None);
    pair.cancelled()[1].clone()
}

#[test]
fn macs_are_complete_and_fit() {
    let cancelled = with_mac(|event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.mac" {
            content.insert("mac", &Content::default());
        }
        Some(content)
    });
    assert_eq!(cancelled, Some((CancelCode::KeyMismatch, true)));
    let cancelled = with_mac(|event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.mac" {
            let mut macs = content.object("mac").unwrap().unwrap();
            let id = macs.members().next().unwrap().to_owned();
            let mac: String = macs.get(&id).unwrap().unwrap();
            macs.insert(id, &mac[..10]);
            content.insert("mac", &macs);
        }
        Some(content)
    });
    assert_eq!(cancelled, Some((CancelCode::InvalidMessage, true)));
    let cancelled = with_mac(|event_type, content| {
        let mut content = content.clone();
        if event_type == "m.key.verification.mac" {
            let mut macs = content.object("mac").unwrap().unwrap();
            let keys: Vec<_> = macs.members().map(str::to_owned).collect();
            let mac: String = macs.get(&keys[0]).unwrap().unwrap();
            macs.insert(keys.last().unwrap(), &mac);
            content.insert("mac", &macs);
        }
        Some(content)
    });
    assert_eq!(cancelled, Some((CancelCode::KeyMismatch, true)));
}

#[test]
fn methods_that_are_not_known_end_it() {
    for (member, value) in [
        ("method", r#""m.reciprocate.v1""#),
        ("key_agreement_protocols", r#"["curve25519"]"#),
        ("hashes", r#"["sha1"]"#),
        ("message_authentication_codes", r#"["hkdf-hmac-sha256"]"#),
        ("short_authentication_string", r#"["dance"]"#),
    ] {
        let mut pair = Pair::ready();
        let mut start = content::start(T, "NEW");
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        start.insert(member, &value);
        pair.old.receive("m.key.verification.start", &start);
        pair.run();
        pair.assert_cancelled_by(0, CancelCode::UnknownMethod);
    }
}

#[test]
fn messages_at_the_wrong_moment_end_it() {
    let mut mac = content::about(T);
    mac.insert("mac", &Content::default());
    mac.insert("keys", "");
    let mut key = content::about(T);
    key.insert("key", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo");
    for (event_type, content) in [
        ("m.key.verification.mac", mac),
        ("m.key.verification.key", key),
        ("m.key.verification.accept", content::about(T)),
        ("m.key.verification.ready", content::ready(T, "NEW")),
    ] {
        let mut pair = Pair::ready();
        pair.old.receive(event_type, &content);
        pair.run();
        pair.assert_cancelled_by(0, CancelCode::UnexpectedMessage);
    }
}

#[test]
fn only_a_device_that_was_asked_takes_part() {
    let mut new = Verification::request(
        T.to_owned(),
        own("NEW", 2, false),
        vec![other("ONE", 1), other("TWO", 3)],
        0,
        0,
    );
    let Some(Output::Send { to, content, .. }) = new.poll() else {
        panic!("no request")
    };
    assert_eq!(to, ["ONE", "TWO"]);
    assert_eq!(content.raw("timestamp"), Some("0"));
    new.receive("m.key.verification.ready", &content::ready(T, "MALLORY"));
    assert!(new.poll().is_none());
    new.receive("m.key.verification.ready", &content::ready(T, "TWO"));
    let Some(Output::Send { to, content, .. }) = new.poll() else {
        panic!("the other one is not told")
    };
    assert_eq!(to, ["ONE"]);
    assert_eq!(content.raw("code"), Some(r#""m.accepted""#));
    assert!(matches!(new.poll(), Some(Output::Ready { device_id }) if device_id == "TWO"));
    // And then it is that one, also for one that agrees at the same moment.
    new.receive("m.key.verification.ready", &content::ready(T, "ONE"));
    assert!(new.poll().is_none() && !new.is_over());
    new.receive("m.key.verification.start", &content::start(T, "ONE"));
    assert!(new.is_over());
}

#[test]
fn it_ends_after_ten_minutes_and_when_somebody_gives_it_up() {
    let mut pair = Pair::comparing();
    pair.old.tick(10 * 60 * 1000 - 1);
    assert!(!pair.old.is_over());
    pair.old.tick(10 * 60 * 1000);
    pair.run();
    pair.assert_cancelled_by(0, CancelCode::Timeout);

    let mut pair = Pair::comparing();
    pair.new.cancel(CancelCode::User);
    pair.run();
    pair.assert_cancelled_by(1, CancelCode::User);
    pair.confirm();
    assert_eq!(pair.verified(), [None, None]);
}

#[test]
fn requests_are_bounded_in_age_and_number() {
    let mut verifications = Verifications::default();
    let keys = |device_id: &str| Some((own("OLD", 1, true), other(device_id, 2)));
    let hour = 60 * 60 * 1000;
    let mut receive = |id: &str, timestamp: u64| {
        let request = content::request(id, "NEW", timestamp);
        verifications
            .receive("m.key.verification.request", &request, keys, 0, hour)
            .is_some()
    };
    assert!(!receive("old", hour - 10 * 60 * 1000 - 1));
    assert!(!receive("future", hour + 5 * 60 * 1000 + 1));
    for number in 0..8 {
        assert!(receive(&number.to_string(), hour));
    }
    assert!(!receive("0", hour), "once is enough");
    assert!(!receive("8", hour));
    verifications.tick(hour);
    while verifications.poll().is_some() {}
    let request = content::request("again", "NEW", hour);
    let asked = verifications.receive("m.key.verification.request", &request, keys, hour, hour);
    assert_eq!(asked, Some(("again".to_owned(), "NEW".to_owned())));
}

#[test]
fn nothing_is_sent_to_a_device_that_may_not_be_verified() {
    let mut verifications = Verifications::default();
    let request = content::request(T, "NEW", 0);
    let none = |_: &str| None;
    let asked = verifications.receive("m.key.verification.request", &request, none, 0, 0);
    assert_eq!(asked, None);
    assert!(verifications.poll().is_none());
}

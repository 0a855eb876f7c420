//! Every order of events of two devices that share one secret, not a sample: request, answer, cancel,
//! verify, remove, restart, and a network that delivers, repeats and loses what it likes.
//!
//! The transitions drive the real machine: a state holds the machines as they are stored, so every
//! step is also a restart from storage.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests may fail loudly, also outside of test functions"
)]

#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../own_devices/mod.rs"]
mod own_devices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use fourfold::identity::{Trust, UserKeys};
use fourfold::sharing::{
    Channel, Context, Input, Outcome, Output, Policy, Recipients, RequestId, Rule, SecretSharing,
    ToDeviceEvent,
};
use fourfold::{PublishedKeys, Secret, SecretName};
use own_devices::{Account, USER, at, observe};
use stateright::{Checker as _, Model, Property};

const TOKEN: &str = "org.example.token";
const ASKER: &str = "A";
const HOLDER: &str = "B";

// shows: SHR-11, SHR-12
#[test]
fn a_secret_never_goes_astray_in_any_order_of_events() {
    let model = Sharing::new(Faults::All);
    let checker = model.checker().spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 500);
}

#[test]
fn an_asked_secret_arrives_when_messages_get_through() {
    let model = Sharing::new(Faults::None);
    let checker = model.checker().spawn_bfs().join();
    checker.assert_properties();
}

/// What may go wrong.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Faults {
    All,
    None,
}

struct Sharing {
    faults: Faults,
    account: Account,
    published_keys: PublishedKeys,
    /// What a server says when the holder sees the asker signed or not, or not at all.
    listed: BTreeMap<Listed, UserKeys>,
    /// What a device knows: whether it is the asker, and what it was told.
    trusts: Mutex<BTreeMap<(bool, Listed), Trust>>,
}

/// How the holder sees the asker.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Listed {
    Unsigned,
    Signed,
    Removed,
    /// Listed again, validly signed, after it was removed.
    Back,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct State {
    asker: String,
    holder: String,
    /// How the holder sees the asker.
    listed: Listed,
    network: BTreeSet<Event>,
    /// Secrets that were encrypted while the asker was not verified on the holder.
    astray: bool,
    /// Values that were taken though they were not asked for, or after the end.
    unasked: bool,
    asked: bool,
    aborted: bool,
    received: bool,
    /// Whether 15 minutes have passed.
    late: bool,
    repeated: u8,
}

/// An event on its way.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Event {
    to: &'static str,
    event_type: String,
    content: String,
    encrypted: bool,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Action {
    Ask,
    Abort,
    Verify,
    Remove,
    Relist,
    Deliver(Event),
    Repeat(Event),
    Lose(Event),
    /// The holder has a session, and encrypts what it decided to share.
    Encrypt,
    Pass,
    ForgeCancellation,
    /// The server makes up a request in the name of the asker.
    ForgeRequest,
    /// The server makes up an answer, unencrypted.
    ForgeAnswer,
    Restart,
}

impl Sharing {
    fn new(faults: Faults) -> Self {
        let mut account = Account::new(2);
        let published_keys = account.published_keys();
        let mut listed = BTreeMap::new();
        listed.insert(Listed::Signed, account.keys());
        listed.insert(Listed::Back, account.keys());
        account.devices.get_mut(ASKER).unwrap().signed = false;
        listed.insert(Listed::Unsigned, account.keys());
        let asker = account.devices.remove(ASKER).unwrap();
        listed.insert(Listed::Removed, account.keys());
        account.devices.insert(ASKER.to_owned(), asker);
        account.devices.get_mut(ASKER).unwrap().signed = true;
        Self {
            faults,
            account,
            published_keys,
            listed,
            trusts: Mutex::default(),
        }
    }
}

impl Sharing {
    /// What a device knows. The holder has seen the asker before, so that it notices when it goes.
    fn trust(&self, is_asker: bool, listed: Listed) -> Trust {
        let mut trusts = self.trusts.lock().unwrap();
        let make = || {
            let mut trust = self.account.trust(if is_asker { ASKER } else { HOLDER });
            let told: &[Listed] = match listed {
                _ if is_asker => &[],
                Listed::Unsigned => &[Listed::Unsigned],
                Listed::Signed => &[Listed::Signed],
                Listed::Removed => &[Listed::Removed],
                Listed::Back => &[Listed::Removed, Listed::Back],
            };
            for listed in told {
                observe(&mut trust, &self.listed[listed], at(1));
            }
            trust
        };
        trusts
            .entry((is_asker, listed))
            .or_insert_with(make)
            .clone()
    }

    /// Hands an input to a stored machine, carries out what comes of it, and stores it again.
    fn drive(&self, state: &mut State, is_asker: bool, input: Input) {
        self.drive_with_session(state, is_asker, input, false);
    }

    fn drive_with_session(
        &self,
        state: &mut State,
        is_asker: bool,
        input: Input,
        is_encrypting: bool,
    ) {
        let stored = if is_asker {
            &state.asker
        } else {
            &state.holder
        };
        let mut machine: SecretSharing = serde_json::from_str(stored).unwrap();
        let trust = self.trust(is_asker, state.listed);
        let context = Context {
            trust: &trust,
            published_keys: &self.published_keys,
            now: at(if state.late { 10 + 15 * 60 } else { 10 }),
        };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            machine.handle(input, &context);
            while let Some(output) = machine.poll() {
                match output {
                    Output::Send(send) => {
                        inputs.push(Input::Sent { id: send.id });
                        state.network.insert(Event {
                            to: HOLDER,
                            event_type: send.event_type,
                            content: send.content.to_json(),
                            encrypted: false,
                        });
                    }
                    // Without a session it waits, and comes again after the next restart.
                    Output::Share(share) if is_encrypting => {
                        let authorised = machine.authorise(share.id, &context).unwrap();
                        state.astray |= state.listed != Listed::Signed;
                        state.network.insert(Event {
                            to: ASKER,
                            event_type: authorised.event_type().to_owned(),
                            content: authorised.content(&Secret::new("s3cret")).to_string(),
                            encrypted: true,
                        });
                    }
                    Output::Received(received) => {
                        let is_open =
                            state.asked && !state.aborted && !state.received && !state.late;
                        state.unasked |= !is_open || received.name.as_str() != TOKEN;
                        state.received = true;
                    }
                    Output::Ended { outcome, .. } => {
                        state.aborted |= outcome == Outcome::Aborted;
                    }
                    _ => {}
                }
            }
        }
        let stored = store(&machine);
        if is_asker {
            state.asker = stored;
        } else {
            state.holder = stored;
        }
    }

    fn arrive(&self, state: &mut State, event: &Event) {
        let channel = if event.encrypted {
            self.account.olm(HOLDER)
        } else {
            let sender = USER.to_owned();
            Channel::Plain { sender }
        };
        let input = Input::Event(ToDeviceEvent {
            event_type: event.event_type.clone(),
            content: Secret::new(event.content.as_str()),
            channel,
        });
        self.drive(state, event.to == ASKER, input);
    }
}

impl Model for Sharing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let policy = || Policy::default().with_rule(token(), Rule::Allow);
        let stored = || serde_json::to_string(&SecretSharing::new(policy())).unwrap();
        let mut state = State {
            asker: stored(),
            holder: stored(),
            listed: Listed::Unsigned,
            network: BTreeSet::new(),
            astray: false,
            unasked: false,
            asked: false,
            aborted: false,
            received: false,
            late: false,
            repeated: 0,
        };
        let names = vec![token()];
        self.drive(&mut state, false, Input::Shareable { names });
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.asked && !state.late {
            actions.push(Action::Ask);
        }
        match state.listed {
            Listed::Unsigned => actions.push(Action::Verify),
            Listed::Signed if self.faults == Faults::All => actions.push(Action::Remove),
            Listed::Removed => actions.push(Action::Relist),
            Listed::Signed | Listed::Back => {}
        }
        for event in &state.network {
            actions.push(Action::Deliver(event.clone()));
            if self.faults == Faults::All {
                actions.push(Action::Lose(event.clone()));
                if state.repeated < 1 {
                    actions.push(Action::Repeat(event.clone()));
                }
            }
        }
        actions.extend([Action::Encrypt, Action::Restart]);
        if self.faults == Faults::All {
            if state.asked && !state.aborted && !state.received {
                actions.push(Action::Abort);
            }
            actions.extend([
                Action::Pass,
                Action::ForgeRequest,
                Action::ForgeCancellation,
                Action::ForgeAnswer,
            ]);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let request_id = RequestId::new("1").unwrap();
        match action {
            Action::Ask => {
                state.asked = true;
                let (name, recipients) = (token(), Recipients::Verified);
                self.drive(
                    &mut state,
                    true,
                    Input::Ask {
                        name,
                        request_id,
                        recipients,
                    },
                );
            }
            Action::Abort => self.drive(&mut state, true, Input::Abort { request_id }),
            Action::Verify => self.relist(&mut state, Listed::Signed),
            Action::Remove => self.relist(&mut state, Listed::Removed),
            Action::Relist => self.relist(&mut state, Listed::Back),
            Action::Deliver(event) => {
                state.network.remove(&event);
                self.arrive(&mut state, &event);
            }
            Action::Repeat(event) => {
                state.repeated += 1;
                self.arrive(&mut state, &event);
            }
            Action::Lose(event) => {
                state.network.remove(&event);
            }
            Action::Encrypt => {
                self.drive_with_session(&mut state, false, Input::Tick, true);
            }
            Action::Pass => {
                state.late = true;
                self.drive(&mut state, true, Input::Tick);
                self.drive(&mut state, false, Input::Tick);
            }
            Action::ForgeCancellation => {
                let content = format!(
                    r#"{{"action":"request_cancellation","requesting_device_id":"{ASKER}","request_id":"1"}}"#
                );
                let event = plain(HOLDER, "m.secret.request", content);
                self.arrive(&mut state, &event);
            }
            Action::ForgeRequest => {
                let content = format!(
                    r#"{{"action":"request","name":"{TOKEN}","requesting_device_id":"{ASKER}","request_id":"1"}}"#
                );
                let event = plain(HOLDER, "m.secret.request", content);
                self.arrive(&mut state, &event);
            }
            Action::ForgeAnswer => {
                let content = r#"{"request_id":"1","secret":"poison"}"#.to_owned();
                let event = plain(ASKER, "m.secret.send", content);
                self.arrive(&mut state, &event);
            }
            Action::Restart => {
                self.drive(&mut state, true, Input::Tick);
                self.drive(&mut state, false, Input::Tick);
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(
                "a secret goes to verified devices only",
                |_, state: &State| !state.astray,
            ),
            Property::always("only what was asked for is taken", |_, state: &State| {
                !state.unasked
            }),
            Property::sometimes("a secret arrives", |_, state: &State| state.received),
        ];
        match self.faults {
            Faults::All => properties.push(Property::sometimes(
                "a secret is held back from a device that is back",
                |_, state: &State| state.listed == Listed::Back && state.asked,
            )),
            Faults::None => properties.push(Property::eventually(
                "what is asked for arrives",
                |_, state: &State| state.received,
            )),
        }
        properties
    }
}

impl Sharing {
    fn relist(&self, state: &mut State, listed: Listed) {
        state.listed = listed;
        self.drive(state, false, Input::TrustChanged);
    }
}

/// The machine as it is stored, without the number of the next share and the one that was handed
/// out: they only grow, and after a restart they mean nothing.
fn store(machine: &SecretSharing) -> String {
    let mut state = serde_json::to_value(machine).unwrap();
    let answers = &mut state["answers"];
    answers["next_share"] = 0.into();
    for pending in answers["pending"].as_array_mut().unwrap() {
        if pending["stage"].get("Shared").is_some() {
            pending["stage"] = serde_json::json!({"Shared": 0});
        }
    }
    state["announcements"]["said"] = serde_json::json!({});
    state.to_string()
}

fn token() -> SecretName {
    SecretName::new(TOKEN).unwrap()
}

fn plain(to: &'static str, event_type: &str, content: String) -> Event {
    Event {
        to,
        event_type: event_type.to_owned(),
        content,
        encrypted: false,
    }
}

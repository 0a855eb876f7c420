//! One device of the simulation: the machine under test, driven as a client drives it.

use fourfold::identity::{DeviceTrust, PinnedBy, Trust};
use fourfold::sharing::{
    Context, Input, Origin, Output, Policy, Prompt, Rule, SecretSharing, Settled, Share,
    ToDeviceEvent,
};
use fourfold::{PublishedKeys, Secret, SecretName, Timestamp, base64};

use super::ledger::Ledger;
use super::server::{Packet, Server, Told};
use super::{TOKEN, USER, backup};
use crate::story::name;

pub(super) struct Machine {
    id: String,
    trust: Trust,
    published_keys: PublishedKeys,
    sharing: SecretSharing,
    held: Vec<Share>,
    prompts: Vec<Prompt>,
    pub(super) ledger: Ledger,
}

impl Machine {
    pub(super) fn new(server: &Server, id: &str) -> Self {
        let policy = Policy::default()
            .with_rule(name(TOKEN), Rule::Allow)
            .with_rule(SecretName::self_signing_key(), Rule::Ask);
        let mut trust = Trust::new(USER, id);
        trust.pin(server.account.master().public_key(), PinnedBy::Verified);
        let mut machine = Self {
            id: id.to_owned(),
            trust,
            published_keys: PublishedKeys {
                identity: Some(server.account.keys().identity().clone()),
                backup: None,
            },
            sharing: SecretSharing::new(policy),
            held: Vec::new(),
            prompts: Vec::new(),
            ledger: Ledger::default(),
        };
        let context = Context {
            trust: &machine.trust,
            published_keys: &machine.published_keys,
            now: Timestamp::default(),
        };
        machine.sharing.handle(shareable(), &context);
        machine
    }

    pub(super) fn handle(&mut self, input: Input, server: &mut Server) {
        // Now and then the clock is behind.
        let behind = if server.dice.below(5) == 0 {
            server.dice.below(100_000)
        } else {
            0
        };
        let now = server.now - behind;
        self.ledger.time(now);
        match &input {
            Input::Ask {
                name, request_id, ..
            } => self.ledger.asks(request_id, name),
            Input::Locked => self.ledger.set_locked(true),
            Input::Unlocked => self.ledger.set_locked(false),
            _ => {}
        }
        let context = Context {
            trust: &self.trust,
            published_keys: &self.published_keys,
            now: Timestamp::from_millis(now),
        };
        self.sharing.handle(input, &context);
        self.poll(server);
    }

    pub(super) fn receive(&mut self, packet: &Packet, server: &mut Server) {
        let event = ToDeviceEvent {
            event_type: packet.event_type.clone(),
            content: Secret::new(packet.content.as_str()),
            channel: packet.channel.clone(),
        };
        self.handle(Input::Event(event), server);
    }

    pub(super) fn query(&mut self, told: &Told, server: &mut Server) {
        self.ledger.told(&self.id, told, server.account.seed);
        let now = Timestamp::from_millis(server.now);
        let logged_in = told.logged_in();
        self.trust.observe(&told.keys, logged_in.as_ref(), now);
        self.published_keys.backup = told.backup.backup.clone();
        self.handle(Input::TrustChanged, server);
    }

    pub(super) fn mark_stale(&mut self) {
        self.ledger.set_stale();
        self.trust.mark_stale();
    }

    /// Everything that is not stored is gone.
    pub(super) fn restart(&mut self, server: &mut Server) {
        self.ledger.set_stale();
        self.held.clear();
        self.prompts.clear();
        self.trust = again(&self.trust);
        self.sharing = again(&self.sharing);
        self.handle(Input::Tick, server);
    }

    /// The user compares the fingerprint with the real one.
    pub(super) fn confirm(&mut self, device: &str) {
        let Some(known) = self.trust.device(device) else {
            return;
        };
        let real = crate::own_devices::key(100 + device.as_bytes()[0] - b'A').public_key();
        let known_since = known.first_seen;
        if self.trust.confirm(device, real, known_since) {
            self.ledger.confirmed(device);
        }
    }

    /// The user compares the master key with the real one.
    pub(super) fn pin_again(&mut self, server: &mut Server) {
        self.trust
            .pin(server.account.master().public_key(), PinnedBy::Verified);
        self.ledger.pinned();
    }

    pub(super) fn answer_prompt(&mut self, server: &mut Server) {
        let Some(prompt) = self.prompts.pop() else {
            return;
        };
        let allowed = if server.dice.below(3) == 0 {
            Vec::new()
        } else {
            prompt.names
        };
        let prompt = prompt.id;
        self.handle(Input::PromptAnswered { prompt, allowed }, server);
    }

    /// Encrypts what waited for a session.
    pub(super) fn encrypt_held(&mut self, server: &mut Server) {
        for share in std::mem::take(&mut self.held) {
            self.encrypt(&share, server);
        }
        self.poll(server);
    }

    pub(super) fn mend(&mut self, server: &mut Server) {
        self.handle(Input::Tick, server);
        self.held.clear();
        self.pin_again(server);
        let told = server.tell_truth();
        self.query(&told, server);
        for device in told.devices.keys() {
            self.confirm(device);
        }
        self.handle(Input::Unlocked, server);
    }

    /// A second look at what did not go out.
    pub(super) fn retry(&mut self, server: &mut Server) {
        self.handle(Input::Tick, server);
    }

    fn poll(&mut self, server: &mut Server) {
        let mut outputs = Vec::new();
        while let Some(output) = self.sharing.poll() {
            outputs.push(output);
        }
        let mut inputs = Vec::new();
        for output in outputs {
            match output {
                Output::Send(send) => {
                    self.ledger.sends(&self.id, &send);
                    if server.dice.below(4) == 0 {
                        inputs.push(Input::SendFailed { id: send.id });
                    } else {
                        server.carry(&send);
                        // Now and then the answer of the server is lost.
                        if server.dice.below(20) > 0 {
                            inputs.push(Input::Sent { id: send.id });
                        } else {
                            inputs.push(Input::SendFailed { id: send.id });
                        }
                    }
                }
                Output::Share(share) => match server.dice.below(10) {
                    0 => inputs.push(Input::ShareFailed { id: share.id }),
                    1..4 => self.held.push(share),
                    _ => self.encrypt(&share, server),
                },
                Output::Prompt(prompt) => {
                    let device = &prompt.device;
                    self.ledger.prompts(&device.device_id, device.curve25519);
                    self.prompts.push(prompt);
                }
                Output::Received(received) => {
                    let Origin::Requested(request_id) = received.origin.clone() else {
                        panic!("took a push that is not wanted");
                    };
                    let from = &received.from;
                    let name = received.name.clone();
                    self.ledger
                        .receives(&request_id, &from.device_id, from.curve25519, &name);
                    let verdict = self.trust.verdict(&from.device_id);
                    assert_eq!(verdict, DeviceTrust::Verified);
                    let standing = received.standing.clone();
                    let Settled::New(value) = received.settle(None) else {
                        unreachable!()
                    };
                    if name == SecretName::backup_key() {
                        self.ledger.keeps_backup_key(&standing, &value);
                    } else {
                        assert!(value.is_same(&server.account.secret(&name)), "poisoned");
                    }
                }
                Output::Ended { request_id, .. } => self.ledger.ended(&request_id),
                _ => {}
            }
        }
        for input in inputs {
            self.handle(input, server);
        }
    }

    fn encrypt(&mut self, share: &Share, server: &mut Server) {
        let now = Timestamp::from_millis(server.now);
        self.ledger.time(server.now);
        let context = Context {
            trust: &self.trust,
            published_keys: &self.published_keys,
            now,
        };
        let Ok(authorised) = self.sharing.authorise(share.id, &context) else {
            self.ledger.refused += 1;
            return;
        };
        let device = authorised.device();
        let verdict = self.trust.verdict(&device.device_id);
        assert_eq!(verdict, DeviceTrust::Verified);
        let is_answer = authorised.event_type() == "m.secret.send";
        self.ledger.shares(
            &self.id,
            &device.device_id,
            device.curve25519,
            authorised.name(),
            is_answer,
        );
        let mut secret = server.account.secret(authorised.name());
        // A device that the server had made believe in another backup.
        if *authorised.name() == SecretName::backup_key() && server.dice.below(3) == 0 {
            secret = Secret::new(base64::encode([backup::HOSTILE; 32]));
        }
        // Only the device that has these keys can decrypt it.
        let real = &server.account.devices[&device.device_id];
        assert_eq!(real.curve25519(), device.curve25519);
        let packet = Packet {
            to: device.device_id.clone(),
            event_type: authorised.event_type().to_owned(),
            content: authorised.content(&secret).to_string(),
            channel: server.account.olm(&self.id),
        };
        server.packets.push(packet);
    }
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn shareable() -> Input {
    let names = vec![
        name(TOKEN),
        SecretName::backup_key(),
        SecretName::self_signing_key(),
        SecretName::master_key(),
    ];
    Input::Shareable { names }
}

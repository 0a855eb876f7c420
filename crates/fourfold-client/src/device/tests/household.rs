//! The devices of one user, with an identity that signed them, on a homeserver in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use fourfold::identity::PinnedBy;
use fourfold::sharing::Rule;
use fourfold::signed_json::SigningKey;
use fourfold::{Secret, SecretName};
use fourfold_hostile::Forger;
use serde_json::{Value, json};

use super::homeserver::Fake;
use super::*;
use crate::Options;
use crate::testing::once;

/// The secrets of a device.
pub(super) type Held = BTreeMap<SecretName, Secret>;

pub(super) struct Household {
    pub(super) fake: Fake,
    machines: BTreeMap<String, Machine>,
    devices: BTreeMap<String, Device>,
    pub(super) held: BTreeMap<String, Held>,
    /// What each device told.
    pub(super) told: BTreeMap<String, Vec<DeviceEvent>>,
}

pub(super) fn token() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}

/// The seeds of the identity.
const MASTER: [u8; 32] = [101; 32];
const SELF_SIGNING: [u8; 32] = [102; 32];

fn master() -> SigningKey {
    SigningKey::from_seed(&MASTER.into())
}

fn self_signing() -> SigningKey {
    SigningKey::from_seed(&SELF_SIGNING.into())
}

/// Signs any object: the library signs only what it built.
fn forge(seed: [u8; 32], object: &mut Content) {
    let signed = Forger::from_seed(seed).sign(&object.to_json(), USER);
    *object = Content::from_json(&signed).unwrap();
}

fn cross_signing(key: &SigningKey, usage: &str) -> Content {
    let mut keys = Content::default();
    keys.insert(key.public_key().key_id(), &key.public_key().to_base64());
    let mut content = Content::default();
    content.insert("user_id", USER);
    content.insert("usage", &[usage]);
    content.insert("keys", &keys);
    content
}

pub(super) fn value(content: &Content) -> Value {
    serde_json::from_str(&content.to_json()).unwrap()
}

impl Household {
    /// Devices that published their keys, are signed, know each other and have pinned the identity.
    pub(super) async fn new(ids: &[&str]) -> Self {
        let fake = Fake::start().await;
        let mut keys = cross_signing(&self_signing(), "self_signing");
        forge(MASTER, &mut keys);
        fake.with(|world| {
            let of_master = value(&cross_signing(&master(), "master"));
            world.cross_signing.insert("master_keys".into(), of_master);
            world
                .cross_signing
                .insert("self_signing_keys".into(), value(&keys));
        });
        let mut household = Self {
            fake,
            machines: BTreeMap::new(),
            devices: BTreeMap::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        for id in ids {
            household.add(id).await;
            household.sign(id);
        }
        for id in ids {
            let device = household.device(id);
            device
                .pin(master().public_key(), PinnedBy::Verified)
                .unwrap();
            household.sync(id).await.unwrap();
        }
        household.told.clear();
        household
    }

    /// The same once more, on a server and on machines of its own.
    pub(super) async fn copied(&self) -> Self {
        let mut household = Self {
            fake: Fake::with_world(self.fake.with(|world| world.clone())).await,
            machines: BTreeMap::new(),
            devices: BTreeMap::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
        };
        for (id, machine) in &self.machines {
            let copied = |(name, secret): (&SecretName, &Secret)| {
                (name.clone(), Secret::new(secret.expose_secret()))
            };
            let held = self.held[id].iter().map(copied).collect();
            household.held.insert(id.clone(), held);
            household.machines.insert(id.clone(), machine.copied());
            household.restart(id);
        }
        household
    }

    /// A new log-in, which published its keys.
    pub(super) async fn add(&mut self, id: &str) {
        let mut machine = Machine::named(self.fake.base_url(), id);
        let mut device = Device::create(&mut machine.state, &key(7)).unwrap();
        device.upload_keys(&self.fake.account(id)).await.unwrap();
        self.machines.insert(id.to_owned(), machine);
        self.devices.insert(id.to_owned(), device);
        self.held.insert(id.to_owned(), Held::new());
    }

    /// Signs a device with the self-signing key.
    pub(super) fn sign(&mut self, id: &str) {
        self.fake.with(|world| {
            let keys = world.device_keys.get_mut(id).unwrap();
            let mut content = Content::from_json(&keys.to_string()).unwrap();
            forge(SELF_SIGNING, &mut content);
            *keys = value(&content);
            world.changed();
        });
    }

    pub(super) fn device(&mut self, id: &str) -> &mut Device {
        self.devices.get_mut(id).unwrap()
    }

    /// Takes in what the server has, with what the device holds.
    pub(super) async fn sync(&mut self, id: &str) -> Result<(), DeviceError> {
        self.sync_with(id, &once()).await
    }

    pub(super) async fn sync_with(
        &mut self,
        id: &str,
        options: &Options,
    ) -> Result<(), DeviceError> {
        let account = self.fake.account_with(id, options);
        let (device, held) = (self.devices.get_mut(id).unwrap(), self.held.get_mut(id));
        let synced = device
            .sync_once(&account, Duration::ZERO, held.unwrap())
            .await;
        self.tell(id, synced)
    }

    pub(super) async fn flush(&mut self, id: &str) -> Result<(), DeviceError> {
        let account = self.fake.account(id);
        let (device, held) = (self.devices.get_mut(id).unwrap(), self.held.get_mut(id));
        device.flush(&account, held.unwrap()).await
    }

    /// As many rounds as make everything that was sent arrive.
    pub(super) async fn settle(&mut self) {
        for _ in 0..4 {
            for id in self.devices.keys().cloned().collect::<Vec<_>>() {
                self.flush(&id).await.unwrap();
                self.sync(&id).await.unwrap();
            }
        }
    }

    /// The program is ended and started again.
    pub(super) fn restart(&mut self, id: &str) {
        self.devices.remove(id);
        let machine = self.machines.get_mut(id).unwrap();
        let mut device = Device::open(&mut machine.state, &key(7)).unwrap();
        // What the program says at its start.
        let names = self.held[id].keys().cloned().collect();
        device.set_shareable(names).unwrap();
        self.devices.insert(id.to_owned(), device);
    }

    pub(super) fn file(&self, id: &str) -> std::path::PathBuf {
        self.machines[id].file()
    }

    /// The files of a device, as a backup of the machine has them.
    pub(super) fn copy(&self, id: &str) -> Vec<u8> {
        std::fs::read(self.machines[id].file()).unwrap()
    }

    /// Puts older files back, with the program ended.
    pub(super) fn put_back(&mut self, id: &str, copy: &[u8]) {
        std::fs::write(self.machines[id].file(), copy).unwrap();
        self.restart(id);
    }

    pub(super) fn advance(&mut self, by: Duration) {
        for device in self.devices.values_mut() {
            device.clock.advance(by);
        }
    }

    /// Gives a device a secret that it shares with every verified device that asks.
    pub(super) fn give(&mut self, id: &str, name: &SecretName, secret: &str) {
        let held = self.held.get_mut(id).unwrap();
        held.insert(name.clone(), Secret::new(secret));
        let names = held.keys().cloned().collect();
        let device = self.devices.get_mut(id).unwrap();
        let policy = device.policy().clone().with_rule(name.clone(), Rule::Allow);
        device.set_policy(policy).unwrap();
        device.set_shareable(names).unwrap();
    }

    /// The secrets that came to a device and wait to be taken.
    pub(super) fn received(&mut self, id: &str) -> Vec<(String, String)> {
        let received = self.device(id).received_secrets().unwrap();
        received
            .into_iter()
            .map(|one| {
                let secret = one.secret.expose_secret().to_owned();
                (one.name.as_str().to_owned(), secret)
            })
            .collect()
    }

    fn tell(
        &mut self,
        id: &str,
        told: Result<Vec<DeviceEvent>, DeviceError>,
    ) -> Result<(), DeviceError> {
        self.told.entry(id.to_owned()).or_default().extend(told?);
        Ok(())
    }

    /// No two plaintexts were ever encrypted under one message key.
    pub(super) fn assert_no_message_key_was_used_twice(&self) {
        let delivered = self.fake.with(|world| world.delivered.clone());
        let mut used = BTreeMap::new();
        for (_, to, content) in delivered {
            let Some(ciphertext) = content["ciphertext"].as_object() else {
                continue;
            };
            for (receiver, message) in ciphertext {
                let message: vodozemac::olm::OlmMessage =
                    serde_json::from_value(message.clone()).unwrap();
                let inner = match &message {
                    vodozemac::olm::OlmMessage::Normal(message) => message,
                    vodozemac::olm::OlmMessage::PreKey(message) => message.message(),
                };
                let place = (
                    to.clone(),
                    receiver.clone(),
                    inner.ratchet_key().to_base64(),
                    inner.chain_index(),
                );
                let text = inner.ciphertext().to_vec();
                let before = used.insert(place, text.clone());
                assert!(before.is_none_or(|before| before == text));
            }
        }
    }
}

/// A request as it comes from the server.
pub(super) fn request(name: &str, id: &str, from: &str) -> Value {
    json!({
        "action": "request", "name": name, "request_id": id, "requesting_device_id": from,
    })
}

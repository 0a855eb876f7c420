//! The device by itself; with a server it is tested in `tests/` of the crate.

mod dropped;
mod homeserver;
mod hostile;
mod household;
mod keys;
mod list;
mod olm;
mod outbox;
mod payload;
mod replays;
mod requesting;
mod sharing;
mod upkeep;
mod verifying;

use std::collections::BTreeMap;

use fourfold::Content;
use fourfold::signed_json::PublicKey;
use serde_json::value::RawValue;
use vodozemac::Curve25519PublicKey;

use super::clock::HOUR;
use super::olm::{Decrypted, OneTimeKeyError, Peer, Sessions};
use super::*;
use crate::testing::{USER, session};
use crate::{LocalState, SealingKey, Session};

/// The parts, as tests call them.
impl Device {
    fn begin_outbound(
        &mut self,
        to: &Peer,
        claimed: &Content,
    ) -> Result<Result<(), OneTimeKeyError>, DeviceError> {
        self.own.begin_outbound(&mut self.rows, to, claimed)
    }

    fn has_session(&self, to: &Peer) -> Result<bool, DeviceError> {
        self.own.has_session(&self.rows, to)
    }

    fn encrypt(
        &mut self,
        to: &Peer,
        event_type: &str,
        content: &RawValue,
    ) -> Result<Option<Content>, DeviceError> {
        self.own.encrypt(&mut self.rows, to, event_type, content)
    }

    fn enqueue(
        &mut self,
        event_type: &str,
        contents: &BTreeMap<String, Content>,
    ) -> Result<(), DeviceError> {
        self.outbox.put(&mut self.rows, event_type, contents)
    }
}

/// Signs any object with the key of a device, which itself signs only what it built.
fn forge_by(device: &Device, object: &mut Content) {
    let keys = device.keys().unwrap();
    let key_id = format!("ed25519:{}", keys.device_id);
    let signed = fourfold_hostile::sign_with(&object.to_json(), USER, &key_id, |message| {
        keys.account.sign(message).to_bytes()
    });
    *object = Content::from_json(&signed).unwrap();
}

/// A log-in on a machine of its own.
struct Machine {
    _parent: tempfile::TempDir,
    state: LocalState,
}

impl Machine {
    fn new(base_url: &str) -> Self {
        Self::named(base_url, "DEVICE")
    }

    fn named(base_url: &str, device_id: &str) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let token = session(base_url).access_token().clone();
        let session = Session::new(base_url, USER, Some(device_id.to_owned()), token);
        let state = LocalState::create(&parent.path().join("f"), &session).unwrap();
        Self {
            _parent: parent,
            state,
        }
    }
}

impl Machine {
    /// The same files on another machine.
    fn copied(&self) -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("f");
        drop(LocalState::create(&folder, &session("https://h")).unwrap());
        std::fs::copy(self.file(), folder.join(FILE)).unwrap();
        Self {
            state: LocalState::open(&folder, USER).unwrap(),
            _parent: parent,
        }
    }

    fn file(&self) -> std::path::PathBuf {
        self._parent.path().join("f").join(FILE)
    }
}

/// Where the state of the user is.
const FILE: &str = "%40alice%3Aexample.org.sqlite";

fn key(byte: u8) -> SealingKey {
    SealingKey::from_bytes(&[byte; 32])
}

/// Two devices of one user that know each other.
struct Pair {
    machines: [Machine; 2],
    one: Device,
    two: Device,
}

impl Pair {
    fn new() -> Self {
        let mut machines = ["ONE", "TWO"].map(|id| Machine::named("https://h", id));
        let [one, two] = &mut machines;
        let one = Device::create(&mut one.state, &key(1)).unwrap();
        let two = Device::create(&mut two.state, &key(2)).unwrap();
        Self { machines, one, two }
    }

    /// With a session that the first began and the second knows.
    fn connected() -> Self {
        let mut pair = Self::new();
        pair.connect();
        pair
    }

    fn connect(&mut self) {
        let claimed = one_time_key(&mut self.two);
        let to = peer(&self.two);
        self.one.begin_outbound(&to, &claimed).unwrap().unwrap();
        let hello = self.send("m.dummy", "{}");
        self.receive(&hello).unwrap();
    }

    /// An event from the first to the second.
    fn send(&mut self, event_type: &str, content: &str) -> Content {
        send(&mut self.one, &self.two, event_type, content)
    }

    fn receive(&mut self, content: &Content) -> Result<Decrypted, OlmError> {
        receive(&mut self.two, &self.one, content)
    }

    fn reply(&mut self) {
        let reply = send(&mut self.two, &self.one, "m.dummy", "{}");
        receive(&mut self.one, &self.two, &reply).unwrap();
    }

    /// The first as it is after the program was started again.
    fn restart(&mut self) {
        self.one = Device::open(&mut self.machines[0].state, &key(1)).unwrap();
    }
}

fn peer(device: &Device) -> Peer {
    Peer {
        device_id: device.device_id().to_owned(),
        ed25519: PublicKey::from_base64(device.ed25519()).unwrap(),
        curve25519: Curve25519PublicKey::from_base64(device.curve25519()).unwrap(),
    }
}

fn send(from: &mut Device, to: &Device, event_type: &str, content: &str) -> Content {
    let content = RawValue::from_string(content.to_owned()).unwrap();
    let encrypted = from.encrypt(&peer(to), event_type, &content).unwrap();
    from.rows.commit().unwrap();
    encrypted.expect("there is a session")
}

fn receive(to: &mut Device, from: &Device, content: &Content) -> Result<Decrypted, OlmError> {
    receive_at(to, from, &content.to_json(), HOUR)
}

fn receive_at(
    to: &mut Device,
    from: &Device,
    content: &str,
    now: u64,
) -> Result<Decrypted, OlmError> {
    let sender = peer(from);
    let known = |key: &Curve25519PublicKey| match *key == sender.curve25519 {
        true => vec![sender.clone()],
        false => Vec::new(),
    };
    let decrypted = to
        .own
        .decrypt(&mut to.rows, USER, content, known, now)
        .unwrap();
    to.rows.commit().unwrap();
    decrypted
}

/// One of the keys that a device uploads, as a server hands it out.
fn one_time_key(of: &mut Device) -> Content {
    one_time_keys(of, 1).remove(0)
}

fn one_time_keys(of: &mut Device, count: usize) -> Vec<Content> {
    let body = of.prepare_upload().unwrap().unwrap();
    let keys = body.object("one_time_keys").unwrap().unwrap();
    let claimed = keys.members().take(count).map(|id| {
        let mut claimed = Content::default();
        claimed.insert(id, &keys.object(id).unwrap().unwrap());
        claimed
    });
    let claimed = claimed.collect();
    of.uploaded(0).unwrap();
    claimed
}

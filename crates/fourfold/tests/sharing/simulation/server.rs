//! The hostile server: what it carries, and what it says about the account.

use std::collections::{BTreeMap, BTreeSet};

use fourfold::identity::{LoggedInDevices, UserKeys};
use fourfold::sharing::{Channel, RequestId, Send};
use fourfold::{SecretName, base64};

use super::backup::{self, Shown};
use crate::own_devices::{Account, Device};

/// Randomness that is the same in every run (splitmix64).
pub(super) struct Dice {
    pub(super) seed: u64,
    state: u64,
}

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

/// A to-device event on its way.
#[derive(Clone)]
pub(super) struct Packet {
    pub(super) to: String,
    pub(super) event_type: String,
    pub(super) content: String,
    pub(super) channel: Channel,
}

/// What a server tells a machine: the parsed answers, and the truth about each device in them, which
/// no machine sees.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) keys: UserKeys,
    pub(super) devices: BTreeMap<String, Device>,
    /// Who is logged in, if it says so.
    pub(super) log_ins: Option<BTreeSet<String>>,
    pub(super) backup: Shown,
    /// The seed of the identity that was shown.
    pub(super) identity: u8,
}

impl Told {
    pub(super) fn logged_in(&self) -> Option<LoggedInDevices> {
        let log_ins = self.log_ins.as_ref()?;
        Some(log_ins.iter().map(String::as_str).collect())
    }
}

pub(super) struct Server {
    pub(super) account: Account,
    pub(super) dice: Dice,
    /// Milliseconds.
    pub(super) now: u64,
    pub(super) packets: Vec<Packet>,
    removed: BTreeSet<String>,
    /// What it has ever said about log-ins, to be said again at another time.
    said: Vec<BTreeSet<String>>,
    /// The honest one first.
    backups: Vec<Shown>,
    request_ids: Vec<RequestId>,
    cache: BTreeMap<String, UserKeys>,
}

impl Server {
    pub(super) fn new(account: Account, seed: u64) -> Self {
        Self {
            backups: backup::all(account.seed),
            account,
            dice: Dice { seed, state: seed },
            now: 1_000_000_000,
            packets: Vec::new(),
            removed: BTreeSet::new(),
            said: Vec::new(),
            request_ids: vec![RequestId::new("r1").unwrap()],
            cache: BTreeMap::new(),
        }
    }

    /// The truth, as an honest server tells it.
    pub(super) fn tell_truth(&mut self) -> Told {
        let mut devices = self.account.devices.clone();
        devices.retain(|id, _| !self.removed.contains(id));
        let log_ins = devices.keys().cloned().collect();
        let backup = self.backups[0].clone();
        self.told(devices, self.account.seed, Some(log_ins), backup)
    }

    /// The truth, or one of the lies.
    pub(super) fn tell(&mut self, to: &str) -> Told {
        let mut devices = self.account.devices.clone();
        let mut identity = self.account.seed;
        let ids: Vec<String> = devices.keys().cloned().collect();
        let other = self.dice.pick(&ids);
        match self.dice.below(40) {
            // Devices that were removed are listed again.
            0 => {}
            1 => identity = 50,
            2 if other != to => {
                devices.remove(&other);
            }
            3 if other != to => {
                let device = devices.get_mut(&other).unwrap();
                device.seed += 60;
                device.signer = Some(66);
            }
            4 => {
                devices.get_mut(&other).unwrap().signed = false;
            }
            5 | 6 => {
                devices.insert("H".to_owned(), hostile());
            }
            7 => {
                devices.remove(to);
            }
            8 => {
                devices.get_mut(&other).unwrap().dehydrated = true;
            }
            _ => devices.retain(|id, _| id == to || !self.removed.contains(id)),
        }
        let log_ins = self.log_ins(to, &devices);
        let backup = self.backup();
        self.told(devices, identity, log_ins, backup)
    }

    /// What it says about who is logged in, beside the keys that it shows.
    fn log_ins(&mut self, to: &str, shown: &BTreeMap<String, Device>) -> Option<BTreeSet<String>> {
        let mut log_ins: BTreeSet<String> = self.account.devices.keys().cloned().collect();
        let ids: Vec<String> = log_ins.iter().cloned().collect();
        let other = self.dice.pick(&ids);
        log_ins.retain(|id| id == to || !self.removed.contains(id));
        match self.dice.below(30) {
            // It does not say, or leaves out who asks.
            0..3 => return None,
            3 => {
                log_ins.remove(to);
            }
            // Whose keys are shown is logged in, also who was logged out.
            4..8 => log_ins = shown.keys().cloned().collect(),
            // One that is logged in is not, or the other way round.
            8 if other != to => {
                log_ins.remove(&other);
            }
            9 => {
                log_ins.insert(other);
            }
            10 => {
                log_ins.insert("H".to_owned());
            }
            // What was so at another time.
            11 | 12 if !self.said.is_empty() => log_ins = self.dice.pick(&self.said),
            _ => {}
        }
        self.said.push(log_ins.clone());
        if self.said.len() > 50 {
            self.said.remove(0);
        }
        Some(log_ins)
    }

    fn backup(&mut self) -> Shown {
        match self.dice.below(3) {
            0 => self.dice.pick(&self.backups),
            _ => self.backups[0].clone(),
        }
    }

    /// The user removes a device or puts it back, or signs one.
    pub(super) fn change_account(&mut self) {
        let ids: Vec<String> = self.account.devices.keys().cloned().collect();
        let device = self.dice.pick(&ids);
        match self.dice.below(4) {
            0 => {
                self.removed.insert(device);
            }
            1 | 2 => {
                self.removed.remove(&device);
            }
            _ => {
                let device = self.account.devices.get_mut(&device).unwrap();
                device.signed = !device.signed;
            }
        }
    }

    pub(super) fn mend(&mut self) {
        self.removed.clear();
        for device in self.account.devices.values_mut() {
            device.signed = true;
        }
        self.now += 2 * 3600 * 1000;
    }

    /// Takes an event for its devices; `*` are all.
    pub(super) fn carry(&mut self, send: &Send) {
        let all = || self.account.devices.keys().cloned().collect::<Vec<_>>();
        let to = if send.devices == ["*"] {
            all()
        } else {
            send.devices.clone()
        };
        let packets = to.into_iter().map(|to| Packet {
            to,
            event_type: send.event_type.clone(),
            content: send.content.to_json(),
            channel: crate::story::plain(),
        });
        self.packets.extend(packets);
    }

    /// Any event that is on its way: perhaps lost, perhaps to come again.
    pub(super) fn next_packet(&mut self) -> Option<Packet> {
        if self.packets.is_empty() {
            return None;
        }
        while self.packets.len() > 300 {
            self.packets.remove(0);
        }
        let position = self.dice.below(self.packets.len() as u64) as usize;
        match self.dice.below(10) {
            0 => {
                self.packets.swap_remove(position);
                None
            }
            1 | 2 => Some(self.packets[position].clone()),
            _ => Some(self.packets.swap_remove(position)),
        }
    }

    pub(super) fn note_request_id(&mut self, id: &RequestId) {
        if self.request_ids.len() > 20 {
            self.request_ids.remove(0);
        }
        self.request_ids.push(id.clone());
    }

    pub(super) fn any_request_id(&mut self) -> RequestId {
        self.dice.pick(&self.request_ids)
    }

    /// A value that is well formed and wrong.
    pub(super) fn poison(&mut self, name: &SecretName) -> String {
        if name.as_str().starts_with("m.") {
            base64::encode([backup::HOSTILE; 32])
        } else {
            "poison".to_owned()
        }
    }

    /// The hostile device, or somebody else's, or a device with one key of a good one.
    pub(super) fn hostile_channel(&mut self) -> Channel {
        let good = self
            .dice
            .pick(&self.account.devices.values().cloned().collect::<Vec<_>>());
        match self.dice.below(3) {
            0 => hostile().olm(),
            1 => {
                let Channel::Olm {
                    curve25519,
                    ed25519,
                    ..
                } = good.olm()
                else {
                    unreachable!()
                };
                let sender = "@mallory:example.org".to_owned();
                Channel::Olm {
                    sender,
                    curve25519,
                    ed25519,
                }
            }
            _ => Channel::Olm {
                sender: crate::own_devices::USER.to_owned(),
                curve25519: hostile().curve25519(),
                ed25519: good.ed25519(),
            },
        }
    }

    fn told(
        &mut self,
        devices: BTreeMap<String, Device>,
        identity: u8,
        log_ins: Option<BTreeSet<String>>,
        backup: Shown,
    ) -> Told {
        let mut label = format!("{identity}");
        for (id, device) in &devices {
            let Device {
                seed,
                signed,
                dehydrated,
                signer,
                session_seed,
            } = device;
            label += &format!(" {id} {seed} {signed} {dehydrated} {signer:?} {session_seed:?}");
        }
        if self.cache.len() > 500 {
            self.cache.clear();
        }
        let account = Account {
            seed: identity,
            devices,
        };
        let keys = self
            .cache
            .entry(label)
            .or_insert_with(|| account.keys())
            .clone();
        Told {
            keys,
            devices: account.devices,
            log_ins,
            backup,
            identity,
        }
    }
}

fn hostile() -> Device {
    Device {
        seed: 190,
        signed: true,
        dehydrated: false,
        signer: Some(66),
        session_seed: None,
    }
}

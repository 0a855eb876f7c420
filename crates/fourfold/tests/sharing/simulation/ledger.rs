//! What must hold, reckoned apart from the machine under test.

use std::collections::{BTreeMap, BTreeSet};

use fourfold::identity::Curve25519PublicKey;
use fourfold::sharing::{Assurance, RequestId, Send};
use fourfold::{Secret, SecretName, base64};

use super::backup::Shown;
use super::server::Told;
use crate::own_devices::Device;

const MINUTE: u64 = 60_000;

/// What one machine was told and did.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) received: BTreeSet<RequestId>,
    pub(super) shared: usize,
    pub(super) refused: usize,
    fresh: bool,
    locked: bool,
    alarmed: bool,
    identity_shown: bool,
    told: BTreeMap<String, Device>,
    /// Who was logged in, when the server said so last since it shows the same keys.
    logged_in: BTreeSet<String>,
    backup: Option<Shown>,
    gone: BTreeSet<String>,
    asked: BTreeMap<RequestId, Asked>,
    transactions: BTreeSet<String>,
    answers: Vec<(u64, String, SecretName)>,
    prompts: BTreeMap<String, u64>,
    /// The latest moment that the machine was told.
    now: u64,
}

struct Asked {
    name: SecretName,
    since: u64,
    over: bool,
    devices: BTreeMap<String, Curve25519PublicKey>,
}

impl Ledger {
    pub(super) fn time(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    pub(super) fn set_locked(&mut self, locked: bool) {
        self.locked = locked;
    }

    pub(super) fn set_stale(&mut self) {
        self.fresh = false;
    }

    pub(super) fn told(&mut self, this: &str, told: &Told, real: u8) {
        self.alarmed |= told.identity != real;
        self.identity_shown = told.identity == real;
        self.backup = Some(told.backup.clone());
        if !told.devices.contains_key(this) {
            self.fresh = false;
            return;
        }
        for (id, device) in &self.told {
            if told
                .devices
                .get(id)
                .is_none_or(|now| now.seed != device.seed)
            {
                self.gone.insert(id.clone());
                self.logged_in.remove(id);
            }
        }
        self.told = told.devices.clone();
        if let Some(log_ins) = told.log_ins.as_ref().filter(|ids| ids.contains(this)) {
            for id in self.told.keys() {
                if log_ins.contains(id) {
                    self.logged_in.insert(id.clone());
                } else {
                    self.logged_in.remove(id);
                    self.gone.insert(id.clone());
                }
            }
        }
        self.fresh = true;
    }

    pub(super) fn confirmed(&mut self, device: &str) {
        self.gone.remove(device);
    }

    pub(super) fn pinned(&mut self) {
        self.alarmed = false;
    }

    /// Whether a device is verified on this machine.
    fn trusts(&self, id: &str, key: Curve25519PublicKey) -> bool {
        let really_signed = |device: &Device| {
            device.signed
                && device.signer.is_none()
                && !device.dehydrated
                && device.curve25519() == key
        };
        !self.alarmed
            && self.identity_shown
            && !self.gone.contains(id)
            && self.logged_in.contains(id)
            && self.told.get(id).is_some_and(really_signed)
    }

    pub(super) fn asks(&mut self, request_id: &RequestId, name: &SecretName) {
        let asked = Asked {
            name: name.clone(),
            since: self.now,
            over: false,
            devices: BTreeMap::new(),
        };
        self.asked.entry(request_id.clone()).or_insert(asked);
    }

    pub(super) fn ended(&mut self, request_id: &RequestId) {
        self.asked.get_mut(request_id).unwrap().over = true;
    }

    pub(super) fn open(&self) -> Vec<RequestId> {
        let open = self.asked.iter().filter(|(_, asked)| !asked.over);
        open.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn sends(&mut self, this: &str, send: &Send) {
        // The same event again: whom it went to was noted when it went first.
        if !self.transactions.insert(send.transaction_id.clone())
            || send.content.get("action") != Some(Ok("request".to_owned()))
        {
            return;
        }
        let request_id = send
            .content
            .get::<RequestId>("request_id")
            .unwrap()
            .unwrap();
        let verified: Vec<(String, Curve25519PublicKey)> = self
            .told
            .iter()
            .map(|(id, device)| (id.clone(), device.curve25519()))
            .filter(|(id, key)| id != this && self.trusts(id, *key))
            .collect();
        let asked = self.asked.get_mut(&request_id).unwrap();
        let everyone = send.devices == ["*"];
        for device in send.devices.iter().filter(|_| !everyone) {
            assert!(
                verified.iter().any(|(id, _)| id == device),
                "asked {device}, which is not verified"
            );
        }
        let went_to = verified
            .into_iter()
            .filter(|(id, _)| everyone || send.devices.contains(id));
        asked.devices.extend(went_to);
    }

    /// The machine shares: the oracle of what may leave.
    pub(super) fn shares(
        &mut self,
        this: &str,
        device: &str,
        key: Curve25519PublicKey,
        name: &SecretName,
        is_answer: bool,
    ) {
        assert_ne!(this, device);
        assert!(!self.locked, "shared while locked");
        assert!(self.fresh, "shared by a stale list");
        assert!(
            self.trusts(device, key),
            "{this} shared with {device}, which is not verified"
        );
        assert_ne!(name.as_str(), "m.cross_signing.master");
        self.shared += 1;
        if !is_answer {
            return;
        }
        self.answers
            .push((self.now, device.to_owned(), name.clone()));
        let now = self.now;
        self.answers.retain(|(at, ..)| now - at < 60 * MINUTE);
        let same = self
            .answers
            .iter()
            .filter(|(_, to, what)| to == device && what == name);
        assert!(
            same.count() <= 3 && self.answers.len() <= 20,
            "too many answers"
        );
    }

    /// The machine took a value: the oracle of what may come in.
    pub(super) fn receives(
        &mut self,
        request_id: &RequestId,
        from: &str,
        key: Curve25519PublicKey,
        name: &SecretName,
    ) {
        assert!(!self.locked, "received while locked");
        assert!(
            self.trusts(from, key),
            "taken from {from}, which is not verified"
        );
        let asked = &self.asked[request_id];
        assert_eq!(asked.name, *name);
        assert!(!asked.over, "the request is over");
        assert!(
            self.now - asked.since < 15 * MINUTE,
            "the request is too old"
        );
        assert_eq!(asked.devices.get(from), Some(&key), "{from} was not asked");
        assert!(self.received.insert(request_id.clone()), "taken twice");
    }

    /// The oracle of what a backup key is worth that the machine took: it is the key of the backup that
    /// is shown, and verified only where the user's master key signed that.
    pub(super) fn keeps_backup_key(&self, standing: &Assurance, value: &Secret) {
        let shown = self.backup.as_ref().unwrap();
        let Some(seed) = shown.seed else {
            panic!("a key was taken for that of no backup");
        };
        let expected = Secret::new(base64::encode([seed; 32]));
        assert!(value.is_same(&expected), "not the key of the backup");
        match standing {
            Assurance::SignedBackup { .. } => assert!(shown.is_signed, "it is not signed"),
            Assurance::ServerBackup { .. } => assert!(!shown.is_signed, "it is signed"),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn prompts(&mut self, device: &str, key: Curve25519PublicKey) {
        assert!(
            self.trusts(device, key),
            "a prompt about {device}, which is not verified"
        );
        let last = self.prompts.insert(device.to_owned(), self.now);
        assert!(
            last.is_none_or(|last| self.now - last >= 10 * MINUTE),
            "prompted too often"
        );
    }
}

//! A healthy account of another client, and what is done to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use fourfold::health::{Evidence, OfferedKey, Report, Severity, Verdict};
use fourfold::passphrase::Bounds;
use fourfold::plan::{self, WritingKey};
use fourfold::{
    KeyId, NewKey, ProvenKey, PublishedKeys, Secret, SecretName, SecretStorage, Snapshot,
};
use rand_core::UnwrapErr;
use serde_json::{Value, json};

use crate::schema;

pub(crate) const DEFAULT: &str = "m.secret_storage.default_key";
pub(crate) const MASTER: &str = "m.cross_signing.master";
pub(crate) const SELF_SIGNING: &str = "m.cross_signing.self_signing";
pub(crate) const USER_SIGNING: &str = "m.cross_signing.user_signing";
pub(crate) const BACKUP: &str = "m.megolm_backup.v1";
pub(crate) const CUSTOM: &str = "org.example.secret";
pub(crate) const DEVICE: &str = "RBEKRUFWEX";

/// An account, as JSON that can be broken at will.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) json: Value,
    pub(crate) keys: Vec<String>,
}

impl Account {
    /// As matrix-js-sdk left it.
    pub(crate) fn healthy() -> Self {
        Self::fixture("js-sdk-recovery-key.json")
    }

    pub(crate) fn fixture(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
        let json = fs::read_to_string(folder.join(name)).unwrap();
        Self {
            json: serde_json::from_str(&json).unwrap(),
            keys: Vec::new(),
        }
    }

    /// With the recovery key of the default key.
    pub(crate) fn with_key(mut self) -> Self {
        let key = self.json["recovery_key"].as_str().unwrap().to_owned();
        self.keys.push(key);
        self
    }

    pub(crate) fn broken(mut self, how: impl FnOnce(&mut Value)) -> Self {
        how(&mut self.json);
        self
    }

    pub(crate) fn user_id(&self) -> String {
        self.json["user_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn key_id(&self) -> String {
        let data = &self.json["account_data"];
        data[DEFAULT]["key"].as_str().unwrap().to_owned()
    }

    pub(crate) fn description(&mut self) -> &mut Value {
        let event_type = format!("m.secret_storage.key.{}", self.key_id());
        &mut self.json["account_data"][event_type]
    }

    pub(crate) fn plaintext(&self, name: &str) -> Secret {
        let values = &self.json["expected_plaintext"][name];
        Secret::new(
            values
                .as_object()
                .unwrap()
                .values()
                .next()
                .unwrap()
                .as_str()
                .unwrap(),
        )
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::from_json(&self.json.to_string()).unwrap()
    }

    /// The offered keys, tried on the account as it is.
    pub(crate) fn offered(&self, snapshot: &Snapshot) -> Vec<OfferedKey> {
        let read = |key: &String| {
            let mut budget = Bounds::DEFAULT.budget();
            OfferedKey::read(snapshot, key.as_str().into(), &mut budget, |_| {})
        };
        self.keys.iter().map(read).collect()
    }

    pub(crate) fn report(&self) -> Report {
        let snapshot = self.snapshot();
        let mut evidence = Evidence::of(&snapshot);
        evidence.keys = self.offered(&snapshot);
        examine(&evidence)
    }

    /// The recovery key, proven on the account as it was before it was broken.
    pub(crate) fn proven(&self) -> ProvenKey {
        let key = self.json["recovery_key"].as_str().unwrap();
        Self::healthy().snapshot().unlock(key).unwrap()
    }

    /// Stores a value, whatever is published.
    pub(crate) fn store(&mut self, name: &str, value: &Secret, key: &ProvenKey) {
        let mut snapshot = self.snapshot();
        let name = SecretName::new(name).unwrap();
        let plan = plan::store(
            &snapshot.storage(),
            &name,
            value,
            &[WritingKey::Proven(key)],
            &PublishedKeys::default(),
            &mut rng(),
        );
        plan.unwrap().apply_to(&mut snapshot.account_data);
        self.take(&snapshot);
    }

    /// Puts an entry under a key, whatever it opens to, beside those that there are.
    pub(crate) fn put_entry(&mut self, name: &str, value: &Secret, key: &ProvenKey) {
        let secret_name = SecretName::new(name).unwrap();
        let entry = key.seal(&secret_name, value, &mut rng()).unwrap();
        let entry = serde_json::from_str(&entry.to_json()).unwrap();
        let encrypted = &mut self.json["account_data"][name]["encrypted"];
        encrypted[key.id().as_str()] = entry;
    }

    /// A further key, which is described and not the default.
    pub(crate) fn further_key(&mut self) -> NewKey {
        let mut snapshot = self.snapshot();
        let new = NewKey::random(None, &mut rng());
        let storage = SecretStorage::new(&snapshot.account_data);
        plan::create_key(&storage, &new).apply_to(&mut snapshot.account_data);
        self.take(&snapshot);
        new
    }

    pub(crate) fn make_default(&mut self, id: &KeyId) {
        self.json["account_data"][DEFAULT] = json!({"key": id.as_str()});
    }

    pub(crate) fn take(&mut self, snapshot: &Snapshot) {
        let data = snapshot.account_data.to_json();
        self.json["account_data"] = serde_json::from_str(&data).unwrap();
    }
}

/// As the library examines, and the report is one that the schema allows.
pub(crate) fn examine(evidence: &Evidence<'_>) -> Report {
    let report = fourfold::health::examine(evidence);
    schema::check(&report);
    report
}

/// The codes above info, each once. The account has one device, so that every error brings the warning
/// not to log out there: it is left out.
pub(crate) fn codes(report: &Report) -> BTreeSet<&'static str> {
    let above = report.findings.iter();
    let above = above.filter(|one| one.severity > Severity::Info && one.code != "last-device");
    above.map(|one| one.code).collect()
}

/// Asserts that exactly these codes above info are found.
#[track_caller]
pub(crate) fn finds(account: &Account, expected: &[&'static str], verdict: Verdict) -> Report {
    let report = account.report();
    let expected: BTreeSet<_> = expected.iter().copied().collect();
    assert_eq!(codes(&report), expected, "{:#?}", report.findings);
    assert_eq!(report.verdict(), verdict, "{:#?}", report.findings);
    report
}

pub(crate) fn has(report: &Report, code: &str) -> bool {
    report.of_code(code).next().is_some()
}

pub(crate) fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

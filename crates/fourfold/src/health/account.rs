//! What the evidence says of the account, read once for all checks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::evidence::Evidence;
use super::need::Need;
use super::offered::{Offer, OfferedKey};
use crate::backup::{BackupKey, CopyFrom, KeyCopy, stored_copies};
use crate::history::{Change, History};
use crate::identity::{UserKeys, UserKeysError};
use crate::signed_json::PublicKey;
use crate::{
    BackupVersion, BackupVersionError, Content, DefaultKey, EncryptedSecret, EncryptedSecretError,
    EventState, KeyCheckOutcome, KeyDescription, KeyDescriptionError, KeyId, OpenError,
    OpenedSecret, PublishedKeys, Secret, SecretKind, SecretName, SecretState, SecretStorage,
    SecretStorageKey, Verdict,
};

/// The account, as the checks see it. Each event is read once here, so that an account of any size is
/// examined in a time that grows with its size alone.
pub(in crate::health) struct Account<'a> {
    pub(in crate::health) evidence: &'a Evidence<'a>,
    pub(in crate::health) storage: SecretStorage<'a>,
    pub(in crate::health) default: DefaultKey,
    pub(in crate::health) keys: BTreeMap<KeyId, Result<KeyDescription, KeyDescriptionError>>,
    pub(in crate::health) secrets: BTreeMap<SecretName, EncryptedSecret>,
    /// What stands under the names of secrets and cannot be read as one.
    pub(in crate::health) damaged: BTreeMap<SecretName, EncryptedSecretError>,
    /// Content that is encrypted and no secret (MSC4483).
    pub(in crate::health) encrypted_data: Vec<SecretName>,
    pub(in crate::health) published: PublishedKeys,
    pub(in crate::health) user_keys: Option<Result<UserKeys, UserKeysError>>,
    pub(in crate::health) backup: Backup,
    pub(in crate::health) changes: Option<Vec<Change>>,
    /// The devices that are logged in; `None` when nobody asked, or the answer is none.
    pub(in crate::health) listed: Option<Vec<ListedDevice>>,
    used: BTreeSet<KeyId>,
    proven: BTreeSet<KeyId>,
    opened: BTreeMap<SecretName, Copies<'a>>,
}

/// What the keys at hand make of a secret, by key.
type Copies<'a> = Vec<(&'a SecretStorageKey, Result<OpenedSecret, OpenError>)>;

/// A device that is logged in, as `GET /devices` lists it.
#[derive(Deserialize)]
pub(in crate::health) struct ListedDevice {
    pub(in crate::health) device_id: String,
    /// When it was seen last, in milliseconds since 1970. Not every server says so.
    #[serde(default)]
    pub(in crate::health) last_seen_ts: Option<u64>,
}

/// What the server says of the current version of the key backup.
pub(in crate::health) enum Backup {
    /// Nobody asked, or it did not answer.
    Unknown,
    /// There is none.
    Missing,
    /// There is one, of which this cannot be read.
    Unreadable(BackupVersionError),
    /// There is one.
    Version(Box<BackupVersion>),
}

impl<'a> Account<'a> {
    pub(in crate::health) fn of(evidence: &'a Evidence<'a>) -> Self {
        let snapshot = evidence.snapshot;
        let storage = snapshot.storage();
        let mut account = Self {
            evidence,
            storage,
            default: storage.default_key(),
            keys: storage
                .key_ids()
                .map(|id| (id.clone(), storage.key(&id)))
                .collect(),
            secrets: BTreeMap::new(),
            damaged: BTreeMap::new(),
            encrypted_data: Vec::new(),
            published: snapshot.published_keys(),
            user_keys: snapshot
                .keys_query()
                .map(|body| UserKeys::from_keys_query(&snapshot.user_id, body)),
            backup: Backup::of(snapshot.backup_version()),
            changes: changes(evidence),
            listed: snapshot.devices().and_then(ListedDevice::all),
            used: BTreeSet::new(),
            proven: evidence
                .keys
                .iter()
                .filter_map(OfferedKey::as_key)
                .filter_map(|key| storage.prove(key.duplicate()).ok())
                .map(|proven| proven.id().clone())
                .collect(),
            opened: BTreeMap::new(),
        };
        for name in storage.names() {
            account.read(name);
        }
        account.used = account.entries().map(|(_, id)| id.clone()).collect();
        account.open();
        account
    }

    /// The default key, whether it is described or not.
    pub(in crate::health) fn named_default(&self) -> Option<&KeyId> {
        match &self.default {
            DefaultKey::Key(id) | DefaultKey::Dangling(id) => Some(id),
            DefaultKey::Absent | DefaultKey::Deleted | DefaultKey::Malformed => None,
        }
    }

    /// The description of a key, when it can be read.
    pub(in crate::health) fn description(&self, id: &KeyId) -> Option<&KeyDescription> {
        self.keys.get(id)?.as_ref().ok()
    }

    /// Whether a secret is encrypted under a key.
    pub(in crate::health) fn is_used(&self, id: &KeyId) -> bool {
        self.used.contains(id)
    }

    /// All entries of all secrets.
    pub(in crate::health) fn entries(&self) -> impl Iterator<Item = (&SecretName, &KeyId)> {
        let all = self.secrets.iter();
        all.flat_map(|(name, secret)| secret.key_ids().map(move |id| (name, id)))
    }

    /// The keys at hand that are not refuted.
    pub(in crate::health) fn keys_at_hand(&self) -> impl Iterator<Item = &'a SecretStorageKey> {
        self.evidence.keys.iter().filter_map(OfferedKey::as_key)
    }

    /// Whether a key is at hand that is certainly the one of this ID, described or not.
    pub(in crate::health) fn is_certain(&self, id: &KeyId) -> bool {
        self.evidence.keys.iter().any(|offered| {
            matches!(&offered.offer, Offer::Key { key, outcome: KeyCheckOutcome::Verified, .. }
                if key.id() == id)
        })
    }

    /// Whether a key is at hand that may write under this ID.
    pub(in crate::health) fn has_proven(&self, id: &KeyId) -> bool {
        self.proven.contains(id)
    }

    /// What each key at hand makes of a secret that is encrypted under it.
    pub(in crate::health) fn copies(
        &self,
        name: &SecretName,
    ) -> impl Iterator<Item = (&KeyId, &Result<OpenedSecret, OpenError>)> {
        let copies = self.opened.get(name).into_iter().flatten();
        copies.map(|(key, opened)| (key.id(), opened))
    }

    /// The copies of a secret that open.
    pub(in crate::health) fn open_copies(
        &self,
        name: &SecretName,
    ) -> impl Iterator<Item = (&KeyId, &OpenedSecret)> {
        self.copies(name)
            .filter_map(|(id, copy)| Some((id, copy.as_ref().ok()?)))
    }

    /// A copy that opens and does not contradict what is published.
    pub(in crate::health) fn good_copy(&self, name: &SecretName) -> Option<&KeyId> {
        self.open_copies(name)
            .find(|(_, copy)| copy.judge(name, &self.published).is_ok())
            .map(|(id, _)| id)
    }

    /// The value of a copy that opens and matches what is published.
    pub(in crate::health) fn matching_copy(&self, name: &SecretName) -> Option<&Secret> {
        let is_right = |copy: &OpenedSecret| {
            let verdict = copy.judge(name, &self.published);
            matches!(verdict, Ok(Verdict::Matches { .. }))
        };
        let mut copies = self.open_copies(name);
        let right = copies.find(|(_, copy)| is_right(copy));
        right.map(|(_, copy)| &copy.secret)
    }

    /// The value of a secret that this machine holds, when it does not contradict what is published.
    pub(in crate::health) fn held(&self, name: &SecretName) -> Option<&'a Secret> {
        let is_it = |held: &SecretName, secret: &Secret| {
            held == name && self.published.judge(name, secret).is_ok()
        };
        let mut held = self.evidence.secrets.iter();
        let held = held.find(|(held, secret)| is_it(held, secret));
        held.map(|(_, secret)| secret)
    }

    /// A copy of the private key of the current version of the key backup, wherever it lies: under
    /// the standard name or one of its own, or on this machine.
    pub(in crate::health) fn fitting_backup_key(&self) -> Option<BackupKey> {
        let version = self.backup.version()?;
        let keys: Vec<_> = self.keys_at_hand().collect();
        let mut copies = stored_copies(&self.storage, &keys);
        copies.extend(self.held_backup_keys());
        let mut copies = copies.into_iter();
        copies
            .find(|copy| copy.key.is_key_of(version))
            .map(|copy| copy.key)
    }

    /// The private keys of the key backup that this machine, or a file, holds.
    pub(in crate::health) fn held_backup_keys(&self) -> Vec<KeyCopy> {
        let name = SecretName::backup_key();
        let held = self.evidence.secrets.iter();
        let held = held.filter(|(of, _)| *of == name);
        held.filter_map(|(_, value)| KeyCopy::of(value, CopyFrom::ThisMachine))
            .collect()
    }

    /// The older versions of the key backup that can be read.
    pub(in crate::health) fn older_versions(&self) -> Vec<BackupVersion> {
        let older = self.evidence.snapshot.backup_versions();
        older
            .filter_map(|body| BackupVersion::from_json(body).ok())
            .collect()
    }

    /// The public half that is published for a standard secret.
    pub(in crate::health) fn is_published(&self, kind: SecretKind) -> Option<bool> {
        if kind == SecretKind::BackupKey {
            return match &self.backup {
                Backup::Unknown => None,
                Backup::Missing => Some(false),
                Backup::Unreadable(_) | Backup::Version(_) => Some(true),
            };
        }
        let identity = self.published.identity.as_ref()?;
        let key = match kind {
            SecretKind::MasterKey => identity.master_key(),
            SecretKind::SelfSigningKey => identity.self_signing_key(),
            SecretKind::UserSigningKey => identity.user_signing_key(),
            SecretKind::Other | SecretKind::BackupKey => return Some(false),
        };
        Some(!matches!(
            key,
            Err(crate::identity::CrossSigningKeyError::NotPublished)
        ))
    }

    /// The published master key.
    pub(in crate::health) fn master_key(&self) -> Option<PublicKey> {
        self.published.identity.as_ref()?.master_key().ok()
    }

    /// The devices of the user, when they are known.
    pub(in crate::health) fn devices(&self) -> Option<&UserKeys> {
        self.user_keys.as_ref()?.as_ref().ok()
    }

    /// The device that looks.
    pub(in crate::health) fn this_device(&self) -> Option<&str> {
        self.evidence
            .device_id
            .or_else(|| self.evidence.snapshot.device_id())
    }

    /// Whether what is needed is at hand.
    pub(in crate::health) fn has(&self, need: Need) -> bool {
        match need {
            Need::Key => self.keys_at_hand().next().is_some(),
            Need::KeysQuery => matches!(self.user_keys, Some(Ok(_))),
            Need::BackupVersion => !matches!(self.backup, Backup::Unknown),
            Need::Baseline => self.changes.is_some() || self.evidence.trust.is_some(),
            Need::Server => self.listed.is_some(),
        }
    }

    fn read(&mut self, name: SecretName) {
        match self.storage.secret(&name) {
            SecretState::Encrypted(secret) => {
                self.secrets.insert(name, secret);
            }
            SecretState::Malformed(error)
                if error.can_hide_entries() || SecretKind::of(&name) != SecretKind::Other =>
            {
                self.damaged.insert(name, error);
            }
            SecretState::NotASecret if self.is_encrypted_data(&name) => {
                self.encrypted_data.push(name);
            }
            _ => {}
        }
    }

    fn is_encrypted_data(&self, name: &SecretName) -> bool {
        let EventState::Content(content) = self.storage.account_data().state(name.as_str()) else {
            return false;
        };
        let has_members = |encrypted: &Content| {
            let mut members = ["ciphertext", "iv", "mac"].iter();
            members.all(|member| matches!(encrypted.text(member), Some(Ok(_))))
        };
        matches!(content.object("encrypted"), Some(Ok(encrypted)) if has_members(&encrypted))
    }

    fn open(&mut self) {
        // Of two keys for one ID the one that is certain counts.
        let mut keys: Vec<(&SecretStorageKey, bool)> = Vec::new();
        for offered in &self.evidence.keys {
            if let Offer::Key { key, outcome, .. } = &offered.offer {
                keys.push((key, *outcome == KeyCheckOutcome::Verified));
            }
        }
        keys.sort_by_key(|(key, is_certain)| (key.id(), !is_certain));
        keys.dedup_by_key(|(key, _)| key.id());
        for (name, secret) in &self.secrets {
            let mut opened = Vec::new();
            for (key, _) in &keys {
                if secret.entry(key.id()).is_some() {
                    opened.push((*key, self.storage.open_entry(name, key)));
                }
            }
            if !opened.is_empty() {
                self.opened.insert(name.clone(), opened);
            }
        }
    }
}

impl ListedDevice {
    fn all(body: &str) -> Option<Vec<Self>> {
        #[derive(Deserialize)]
        struct Body {
            devices: Vec<ListedDevice>,
        }
        serde_json::from_str::<Body>(body)
            .ok()
            .map(|body| body.devices)
    }
}

impl Backup {
    fn of(body: Option<&str>) -> Self {
        match body {
            None => Self::Unknown,
            Some("null") => Self::Missing,
            Some(body) => match BackupVersion::from_json(body) {
                Ok(version) => Self::Version(Box::new(version)),
                Err(error) => Self::Unreadable(error),
            },
        }
    }

    pub(in crate::health) fn version(&self) -> Option<&BackupVersion> {
        match self {
            Self::Version(version) => Some(version),
            _ => None,
        }
    }
}

/// What changed since the earlier snapshot and since this machine looked last; `None` when there is
/// neither.
fn changes(evidence: &Evidence<'_>) -> Option<Vec<Change>> {
    let account_data = &evidence.snapshot.account_data;
    let mut changes = evidence
        .history
        .map(|history| history.compare(account_data));
    if let Some(baseline) = evidence.baseline {
        let mut history = History::default();
        history.saw(&baseline.account_data);
        let since = changes.get_or_insert_default();
        for change in history.compare(account_data) {
            if !since.contains(&change) {
                since.push(change);
            }
        }
    }
    changes
}

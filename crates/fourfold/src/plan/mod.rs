//! Plans: every change, as data before it is an action.
//!
//! A function of this module looks at what is there and returns a [`Plan`]: an ordered list of
//! steps, each with its reason. A plan can be printed, reviewed, refused, stored, applied and
//! resumed after a crash. It holds ciphertext, public keys and signatures only, never a private key
//! or a secret.
//!
//! The order inside a plan keeps the account usable at every step: descriptions first, then secrets,
//! then the default key, and only then what is retired. The last readable copy of a secret is never
//! removed, except by [`delete`], which says so. Plans for different things become one with
//! [`Plan::of`].

mod account_data;
mod backup_continuity;
mod device;
mod identity;
mod key;
mod key_backup;
mod profile_2019;
mod secret;
mod standard;
mod transfer;

use std::fmt;

pub use account_data::PutAccountData;
pub use backup_continuity::{BackupChoice, BackupHidden, RememberedBackup, decide_key_backup};
pub use device::{
    PublishDevice, RemoveDevice, SignDevice, publish_device, remove_device, sign_device,
};
pub use identity::{PublishIdentity, publish_identity};
pub use key::{
    ChangeDefaultError, RemoveKeyError, SetUpError, change_default, create_default_key, create_key,
    remove_key, set_up,
};
pub use key_backup::{
    CreateKeyBackup, SignKeyBackup, SignKeyBackupError, create_key_backup, sign_key_backup,
};
pub use profile_2019::create_key_2019;
pub use secret::{
    AddKeyError, DeleteError, StoreError, TakeKeyAwayError, WritingKey, add_key, delete, store,
    take_key_away,
};
use serde::{Deserialize, Serialize};
pub use standard::{CompleteError, complete};
pub use transfer::{Destination, TransferError, migrate, rotate};

use crate::{
    AccountData, Content, ContentError, KeyCheckOutcome, KeyDescriptionError, ProvenKey,
    SecretStorage,
};

/// An ordered list of steps that change what the server holds.
///
/// Titles, reasons and warnings name secrets, keys and devices. Other clients and the server choose
/// those names, so the texts are untrusted: one line each, but escape what a terminal or a page would
/// take for more than text.
///
/// Whoever applies a plan re-reads before each step and goes on only when the state of its action is
/// [`StepState::Due`] or [`StepState::Done`], writes, and reads back.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// What the plan achieves, in a few words.
    pub title: String,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// What the user should know before agreeing.
    pub warnings: Vec<String>,
}

impl Plan {
    /// One plan that does what these do, in this order.
    #[must_use]
    pub fn of(title: impl Into<String>, plans: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Self::new(title);
        for plan in plans {
            whole.steps.extend(plan.steps);
            whole.warnings.extend(plan.warnings);
        }
        whole
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps that change account data.
    pub fn account_data(&self) -> impl Iterator<Item = &PutAccountData> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::PutAccountData(put) => Some(put),
            _ => None,
        })
    }

    /// Carries out what the plan does to account data on a snapshot, as a server would hold it
    /// afterwards.
    pub fn apply_to(&self, account_data: &mut AccountData) {
        for put in self.account_data() {
            account_data.insert(&put.event_type, &put.content);
        }
    }

    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            steps: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn step(&mut self, reason: impl Into<String>, action: Action) {
        let reason = reason.into();
        self.steps.push(Step { reason, action });
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}

/// One change, and why.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Why, in words for the user.
    pub reason: String,
    /// What is done.
    pub action: Action,
}

/// What a step does. Each action knows what it expects to find, and tells from what is there now
/// whether it is [due](StepState).
///
/// Its `Display` is a few words, such as `put m.secret_storage.default_key`; they may hold untrusted
/// text.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Action {
    /// Puts a content under an event type of account data.
    PutAccountData(PutAccountData),
    /// Publishes the keys of this device.
    PublishDevice(PublishDevice),
    /// Publishes a cross-signing identity.
    PublishIdentity(PublishIdentity),
    /// Signs a device with the self-signing key.
    SignDevice(SignDevice),
    /// Logs a device out.
    RemoveDevice(RemoveDevice),
    /// Makes a new version of the key backup.
    CreateKeyBackup(CreateKeyBackup),
    /// Signs the current version of the key backup with the master key.
    SignKeyBackup(SignKeyBackup),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutAccountData(put) if put.is_removal() => write!(f, "empty {}", put.event_type),
            Self::PutAccountData(put) => write!(f, "put {}", put.event_type),
            Self::PublishDevice(step) => write!(f, "publish the device {}", step.device_id()),
            Self::PublishIdentity(_) => f.write_str("publish the identity"),
            Self::SignDevice(step) => write!(f, "sign the device {}", step.device_id()),
            Self::RemoveDevice(step) => write!(f, "log out the device {}", step.device_id()),
            Self::CreateKeyBackup(_) => f.write_str("create a key backup"),
            Self::SignKeyBackup(step) => write!(f, "sign the key backup {}", step.version()),
        }
    }
}

/// How a step stands to what is there now.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every state of a step is listed")]
pub enum StepState {
    /// Something else is there than was expected: somebody changed it in the meantime. Stop.
    Conflict,
    /// What the step would do is done already.
    Done,
    /// What the step expects is there: go on.
    Due,
}

/// Why a key is not written with: account data must say that it exists, or nobody would find what
/// is encrypted under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotDescribed {
    /// There is no description of this ID, or none that can be read.
    #[error("the key has no usable description: {0}")]
    NoDescription(KeyDescriptionError),
    /// Another key is described under this ID.
    #[error("account data describes another key under this ID")]
    OtherKey,
}

fn check_described(storage: &SecretStorage<'_>, key: &ProvenKey) -> Result<(), NotDescribed> {
    let description = storage.key(key.id()).map_err(NotDescribed::NoDescription)?;
    match description.check(key.key()) {
        Ok(check) if check.outcome == KeyCheckOutcome::Mismatch => Err(NotDescribed::OtherKey),
        _ => Ok(()),
    }
}

/// A plan for account data in the making, with the account data as it will be after the steps so far.
struct Draft {
    plan: Plan,
    account_data: AccountData,
}

impl Draft {
    fn new(storage: &SecretStorage<'_>, title: impl Into<String>) -> Self {
        Self {
            plan: Plan::new(title),
            account_data: storage.account_data().clone(),
        }
    }

    /// Adds a step, unless what it would put is already there.
    fn put(&mut self, event_type: impl Into<String>, content: Content, reason: impl Into<String>) {
        let event_type = event_type.into();
        let now = self.account_data.raw(&event_type);
        let put = PutAccountData::over(event_type, content, now);
        if put.state(now) == StepState::Done {
            return;
        }
        self.account_data.insert(&put.event_type, &put.content);
        self.plan.step(reason, Action::PutAccountData(put));
    }

    /// Adds what another plan does to account data.
    fn append(&mut self, plan: Plan) {
        plan.apply_to(&mut self.account_data);
        self.plan.steps.extend(plan.steps);
        self.plan.warnings.extend(plan.warnings);
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.plan.warn(warning);
    }

    /// The account data after the steps so far.
    fn storage(&self) -> SecretStorage<'_> {
        SecretStorage::new(&self.account_data)
    }

    fn finish(self) -> Plan {
        self.plan
    }
}

/// Reads a plan that was stored.
///
/// # Errors
///
/// [`ContentError::NotJson`] when it is not a plan.
impl std::str::FromStr for Plan {
    type Err = ContentError;

    fn from_str(json: &str) -> Result<Self, ContentError> {
        serde_json::from_str(json).map_err(|_| ContentError::NotJson)
    }
}

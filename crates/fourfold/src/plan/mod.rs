//! Plans: every change of secret storage, as data before it is an action.
//!
//! A function of this module looks at what is there and returns a [`Plan`]: an ordered list of
//! steps, each with its reason. A plan can be printed, reviewed, refused, stored, applied and
//! resumed after a crash. It holds ciphertext only, never a key or a secret.
//!
//! The order inside a plan keeps the account usable at every step: descriptions first, then secrets,
//! then the default key, and only then what is retired. The last readable copy of a secret is never
//! removed, except by [`delete`], which says so.

mod key;
mod profile_2019;
mod secret;
mod standard;
mod transfer;

pub use key::{
    ChangeDefaultError, RemoveKeyError, SetUpError, change_default, create_default_key, create_key,
    remove_key, set_up,
};
pub use profile_2019::create_key_2019;
pub use secret::{
    AddKeyError, DeleteError, StoreError, TakeKeyAwayError, WritingKey, add_key, delete, store,
    take_key_away,
};
pub use standard::{CompleteError, complete};
pub use transfer::{Destination, TransferError, migrate, rotate};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::{
    AccountData, Content, ContentError, KeyCheckOutcome, KeyDescriptionError, ProvenKey,
    SecretStorage, canonical_json,
};

/// An ordered list of steps that change account data.
///
/// Titles, reasons and warnings name secrets and keys. Other clients and the server choose those
/// names, so the texts are untrusted: one line each, but escape what a terminal or a page would take
/// for more than text.
///
/// Whoever applies a plan re-reads before each step and goes on only when
/// [`Step::state`] says [`StepState::Due`] or [`StepState::Done`], writes, and reads back.
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
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Carries out the plan on a snapshot, as a server would hold it afterwards.
    pub fn apply_to(&self, account_data: &mut AccountData) {
        for step in &self.steps {
            account_data.insert(&step.event_type, &step.content);
        }
    }
}

/// Put this content under this event type, expecting that.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// The event type of the account data.
    pub event_type: String,
    /// Why, in words for the user.
    pub reason: String,
    /// What is put there.
    pub content: Content,
    /// The JSON text that was there when the plan was made, or the step before left there; `None`
    /// for nothing. An event may hold `null`, which is not nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    expects: Option<Box<RawValue>>,
}

impl Step {
    /// Compares what is there now, as JSON text or `None` for nothing, with what the step expects.
    #[must_use]
    pub fn state(&self, now: Option<&str>) -> StepState {
        if is_same(now, Some(&self.content.to_json())) {
            StepState::Done
        } else if is_same(now, self.expects()) {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }

    /// What the step expects to find, as JSON text; `None` for nothing.
    #[must_use]
    pub fn expects(&self) -> Option<&str> {
        self.expects.as_ref().map(|raw| raw.get())
    }

    /// Whether the step empties the event, which is how account data is deleted.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.content.is_empty()
    }
}

/// How a step stands to what is there now.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "every state of a step is listed")]
pub enum StepState {
    /// Somebody changed the account data in the meantime: stop.
    Conflict,
    /// What the step would put is already there.
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

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// Servers differ in whether an emptied event is answered with `{}` or with 404.
fn is_same(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => canonical_json::is_same(left, right),
        (None, None) => true,
        (Some(json), None) | (None, Some(json)) => canonical_json::is_same(json, "{}"),
    }
}

/// A plan in the making, with the account data as it will be after the steps so far.
struct Draft {
    plan: Plan,
    account_data: AccountData,
}

impl Draft {
    fn new(storage: &SecretStorage<'_>, title: impl Into<String>) -> Self {
        let plan = Plan {
            title: title.into(),
            steps: Vec::new(),
            warnings: Vec::new(),
        };
        Self {
            plan,
            account_data: storage.account_data().clone(),
        }
    }

    /// Adds a step, unless what it would put is already there.
    fn put(&mut self, event_type: impl Into<String>, content: Content, reason: impl Into<String>) {
        let event_type = event_type.into();
        let now = self.account_data.raw(&event_type);
        if is_same(now, Some(&content.to_json())) {
            return;
        }
        let expects = now.and_then(|json| RawValue::from_string(json.to_owned()).ok());
        self.account_data.insert(&event_type, &content);
        self.plan.steps.push(Step {
            event_type,
            reason: reason.into(),
            content,
            expects,
        });
    }

    fn warn(&mut self, warning: impl Into<String>) {
        self.plan.warnings.push(warning.into());
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

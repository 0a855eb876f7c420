//! A plan for account data in the making.

use super::action::{Action, PutAccountData, StepState};
use super::steps::Plan;
use crate::{AccountData, Content, KeyCheckOutcome, KeyDescriptionError, ProvenKey, SecretStorage};

/// A plan for account data in the making, with the account data as it will be after the steps so far.
pub(super) struct Draft {
    plan: Plan,
    pub(super) account_data: AccountData,
}

impl Draft {
    pub(super) fn new(storage: &SecretStorage<'_>, title: impl Into<String>) -> Self {
        Self {
            plan: Plan::new(title),
            account_data: storage.account_data().clone(),
        }
    }

    /// Adds a step, unless what it would put is already there.
    pub(super) fn put(
        &mut self,
        event_type: impl Into<String>,
        content: Content,
        reason: impl Into<String>,
    ) {
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
    pub(super) fn append(&mut self, plan: Plan) {
        plan.apply_to(&mut self.account_data);
        self.plan.steps.extend(plan.steps);
        self.plan.warnings.extend(plan.warnings);
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.plan.warn(warning);
    }

    /// Said whenever entries are taken away.
    pub(super) fn warn_of_old_ciphertext(&mut self) {
        self.warn(
            "the server may keep what it stored before: if the key leaked, the secrets themselves \
             must be replaced too",
        );
    }

    /// The account data after the steps so far.
    pub(super) fn storage(&self) -> SecretStorage<'_> {
        SecretStorage::new(&self.account_data)
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }
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

crate::error_code::error_codes! {
    NotDescribed:
    Self::NoDescription { .. } => "not_described_no_description",
    Self::OtherKey { .. } => "not_described_other_key",
}

pub(super) fn check_described(
    storage: &SecretStorage<'_>,
    key: &ProvenKey,
) -> Result<(), NotDescribed> {
    let description = storage.key(key.id()).map_err(NotDescribed::NoDescription)?;
    match description.check(key.key()) {
        Ok(check) if check.outcome == KeyCheckOutcome::Mismatch => Err(NotDescribed::OtherKey),
        _ => Ok(()),
    }
}

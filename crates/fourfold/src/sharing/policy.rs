//! Which secrets may be asked for, shared and pushed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::KnownDevice;
use crate::{SecretName, Timestamp};

/// The rule for requests of verified devices.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// It gets it.
    Allow,
    /// It gets it within [`Policy::JUST_CONFIRMED`] after the user verified the device on this
    /// machine; otherwise the user is asked.
    AllowJustConfirmed,
    /// The user is asked, always.
    Ask,
    /// It gets nothing, and is not told why.
    Deny,
}

/// The rules of a user, by exact name: there are no patterns.
///
/// Without rules, `m.cross_signing.master` is denied and every other secret is
/// [`AllowJustConfirmed`](Rule::AllowJustConfirmed). Keys of secret storage are no secrets that a
/// name could stand for ([`SecretName`] refuses them), so they are never shared.
///
/// ```
/// use fourfold::{SecretName, sharing::{Policy, Rule}};
/// let policy = Policy::default().with_rule(SecretName::backup_key(), Rule::Allow);
/// assert_eq!(policy.rule(&SecretName::backup_key()), Rule::Allow);
/// assert_eq!(policy.rule(&SecretName::master_key()), Rule::Deny);
/// assert_eq!(policy.rule(&SecretName::user_signing_key()), Rule::AllowJustConfirmed);
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Policy {
    rules: BTreeMap<SecretName, Rule>,
    accepted_pushes: BTreeSet<SecretName>,
    may_request_master_key: bool,
}

impl Policy {
    /// The time for which the verification of a device on this machine counts as the user's
    /// consent.
    pub const JUST_CONFIRMED: Duration = Duration::from_mins(10);

    /// Sets the rule of one secret.
    #[must_use]
    pub fn with_rule(mut self, name: SecretName, rule: Rule) -> Self {
        self.rules.insert(name, rule);
        self
    }

    /// Takes pushes (MSC4385) of this secret into the inbox. Without this, none are taken.
    #[must_use]
    pub fn with_pushes_of(mut self, name: SecretName) -> Self {
        self.accepted_pushes.insert(name);
        self
    }

    /// Lets `m.cross_signing.master` be asked for, too.
    #[must_use]
    pub const fn with_requests_of_master_key(mut self) -> Self {
        self.may_request_master_key = true;
        self
    }

    /// The rule of a secret.
    #[must_use]
    pub fn rule(&self, name: &SecretName) -> Rule {
        match self.rules.get(name) {
            Some(rule) => *rule,
            None if *name == SecretName::master_key() => Rule::Deny,
            None => Rule::AllowJustConfirmed,
        }
    }

    /// Returns `true` if pushes of a secret are taken.
    #[must_use]
    pub fn accepts_pushes_of(&self, name: &SecretName) -> bool {
        self.accepted_pushes.contains(name)
    }

    /// Returns `true` if a secret may be asked for.
    #[must_use]
    pub fn may_request(&self, name: &SecretName) -> bool {
        self.may_request_master_key || *name != SecretName::master_key()
    }

    /// The decision of the rules for one device now.
    pub(super) fn consent(
        &self,
        name: &SecretName,
        device: &KnownDevice,
        now: Timestamp,
    ) -> Consent {
        match self.rule(name) {
            Rule::Allow => Consent::Given,
            Rule::AllowJustConfirmed if is_just_confirmed(device, now) => Consent::Given,
            Rule::AllowJustConfirmed | Rule::Ask => Consent::Needed,
            Rule::Deny => Consent::Refused,
        }
    }
}

/// Whether the user has to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Consent {
    Given,
    Needed,
    Refused,
}

fn is_just_confirmed(device: &KnownDevice, now: Timestamp) -> bool {
    device
        .confirmed
        .is_some_and(|confirmed| now.since(confirmed) < Policy::JUST_CONFIRMED)
}

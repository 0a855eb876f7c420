//! An account that was judged by what this machine remembers: what may be opened in it, and whether
//! it may be changed.
//!
//! [`Compared`] is the judgement. Of a [`Judged`] account nothing forbids what is to be done with it,
//! of a [`Writable`] one nothing forbids that it is changed, and a [`Cleared`] plan is one that was
//! made of such an account. A program that opens and writes in these types alone cannot forget to
//! look.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::history::{Change, Changes, History, Succession, Suspicious};
use crate::plan::Action;
use crate::storage::{JudgedSecret, ReadError};
use crate::{Content, KeyId, Plan, SecretName, SecretStorageKey, SecretValueError, Snapshot};

/// The changes since this machine last read the account, and whether the user accepts them.
///
/// ```
/// use fourfold::Snapshot;
/// use fourfold::history::Change;
/// use fourfold::judged::Compared;
/// let snapshot = || Snapshot::from_json(r#"{"user_id": "@a:b.org", "account_data": {}}"#);
/// let changes = vec![Change::RolledBack { event_type: "org.example".into() }];
/// assert!(Compared::new(changes.clone(), false).for_writing(snapshot()?).is_err());
/// // The user said that these changes are their own:
/// assert!(Compared::new(changes, true).for_writing(snapshot()?).is_ok());
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Compared {
    #[serde(flatten)]
    changes: Changes,
    /// Whether the user said that it is to be taken as it is.
    is_accepted: bool,
    #[serde(default)]
    successions: Vec<Succession>,
    /// The descriptions that are remembered of keys that have none any more, as JSON.
    #[serde(default)]
    lost_descriptions: BTreeMap<KeyId, String>,
}

impl Compared {
    /// Takes what [`History::compare`](crate::history::History::compare) gave; nothing when nothing is
    /// remembered to compare with.
    #[must_use]
    pub fn new(changes: Vec<Change>, is_accepted: bool) -> Self {
        Self {
            changes: Changes::new(changes),
            is_accepted,
            ..Self::default()
        }
    }

    /// The same by what is remembered, which also tells which changes a key of the user settles, and
    /// how keys were described that have no description any more.
    #[must_use]
    pub fn by(
        history: &History,
        changes: Vec<Change>,
        snapshot: &Snapshot,
        is_accepted: bool,
    ) -> Self {
        let storage = snapshot.storage();
        let remembered = history.descriptions();
        let lost = remembered.filter(|(id, _)| storage.key(id).is_err());
        Self {
            successions: history.successions(&snapshot.account_data, &changes),
            lost_descriptions: lost.map(|(id, one)| (id.clone(), one.to_json())).collect(),
            ..Self::new(changes, is_accepted)
        }
    }

    /// The suspicious changes, when a key that the user gives can settle all of them; else none.
    /// Accepted, there is nothing to settle.
    #[must_use]
    pub fn to_settle(&self) -> Vec<&Succession> {
        if self.is_accepted || self.changes.is_cut_short() {
            return Vec::new();
        }
        let suspicious = self.changes().filter(|change| change.is_suspicious());
        let settled = suspicious.map(|change| {
            let mut successions = self.successions.iter();
            successions.find(|one| one.change() == change)
        });
        settled.collect::<Option<_>>().unwrap_or_default()
    }

    /// The changes, the suspicious ones first.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// Whether a change is suspicious, accepted or not.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.changes.is_suspicious()
    }

    /// Whether this key, which the user gave, settles all of them.
    #[must_use]
    pub fn is_settled_by(&self, snapshot: &Snapshot, key: &SecretStorageKey) -> bool {
        let (to_settle, storage) = (self.to_settle(), snapshot.storage());
        !to_settle.is_empty() && to_settle.iter().all(|one| one.is_settled_by(&storage, key))
    }

    /// Lets keys be found in the account and this secret be opened.
    ///
    /// # Errors
    ///
    /// [`Refused`] when a change forbids that, and the user did not accept it.
    pub fn for_opening(
        &self,
        snapshot: Snapshot,
        name: Option<&SecretName>,
    ) -> Result<Judged, Box<Refused>> {
        self.judge(snapshot, self.changes.check_opening(name))
    }

    /// Lets the account be changed.
    ///
    /// # Errors
    ///
    /// [`Refused`] when anything is suspicious, and the user did not accept it.
    pub fn for_writing(&self, snapshot: Snapshot) -> Result<Writable, Box<Refused>> {
        self.judge(snapshot, self.changes.check_writing())
            .map(Writable)
    }

    fn judge(
        &self,
        snapshot: Snapshot,
        checked: Result<(), Suspicious>,
    ) -> Result<Judged, Box<Refused>> {
        match checked {
            Err(suspicious) if !self.is_accepted => Err(Box::new(Refused {
                suspicious,
                snapshot,
            })),
            _ => Ok(Judged {
                snapshot,
                is_accepted: self.is_accepted,
                lost_descriptions: self.lost_descriptions.clone(),
            }),
        }
    }
}

/// An account that was not let through, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{suspicious}")]
#[non_exhaustive]
pub struct Refused {
    /// The changes that forbid it.
    pub suspicious: Suspicious,
    /// The account, as it was given.
    pub snapshot: Snapshot,
}

crate::error_code::error_codes! {
    Refused:
    ;
    Self { suspicious, .. } => suspicious,
}

/// An account at one moment, of which nothing forbids what is to be done with it.
#[derive(Debug)]
pub struct Judged {
    snapshot: Snapshot,
    is_accepted: bool,
    lost_descriptions: BTreeMap<KeyId, String>,
}

impl Judged {
    /// The description that is remembered of a key that has none any more.
    #[must_use]
    pub fn lost_description(&self, id: &KeyId) -> Option<Content> {
        Content::from_json(self.lost_descriptions.get(id)?).ok()
    }

    /// Opens a secret: as [`Snapshot::open_accepted`] when the user said that the account is to be
    /// taken as it is, else as [`Snapshot::open`].
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn open(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<JudgedSecret, ReadError> {
        if self.is_accepted {
            self.snapshot.open_accepted(name, key)
        } else {
            self.snapshot.open(name, key)
        }
    }

    /// As [`open`](Self::open), for handing the secret to its owner ([`Snapshot::open_for_owner`]).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn open_for_owner(
        &self,
        name: &SecretName,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<JudgedSecret, ReadError> {
        let key = key.as_ref();
        match self.open(name, key) {
            Err(ReadError::Value(SecretValueError::Mismatch { .. })) => {
                self.snapshot.open_for_owner(name, key)
            }
            result => result,
        }
    }
}

impl Deref for Judged {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A [`Judged`] account of which nothing forbids that it is changed.
#[derive(Debug)]
pub struct Writable(Judged);

impl Writable {
    /// Takes an account as it is, because the user made the changes in it.
    #[must_use]
    pub fn accepted(snapshot: Snapshot) -> Self {
        Self(Judged {
            snapshot,
            is_accepted: true,
            lost_descriptions: BTreeMap::new(),
        })
    }

    /// Lets a plan be carried out that was made of it, or that was interrupted before.
    #[must_use]
    pub fn clear<'a>(&self, plan: &'a Plan) -> Cleared<'a> {
        Cleared(plan)
    }
}

impl Deref for Writable {
    type Target = Judged;

    fn deref(&self) -> &Judged {
        &self.0
    }
}

/// A plan that may be carried out: nothing in the account forbids it.
#[derive(Clone, Copy, Debug)]
pub struct Cleared<'a>(&'a Plan);

impl<'a> Cleared<'a> {
    /// A plan of an account that was not compared here: another process of the user did that before it
    /// made the plan, or nothing is remembered to compare with.
    ///
    /// With [`Writable::accepted`] it is the only way around [`Compared`], so that a search for these
    /// two names finds every place that takes it.
    #[must_use]
    pub fn without_comparing(plan: &'a Plan) -> Self {
        Self(plan)
    }

    /// A plan that only logs devices out; `None` when it does anything else. It takes no key and no
    /// secret, and a server that lies about those must not keep a stolen device logged in.
    #[must_use]
    pub fn that_only_removes(plan: &'a Plan) -> Option<Self> {
        let mut steps = plan.steps.iter();
        let is_removal = steps.all(|step| matches!(step.action, Action::RemoveDevice(_)));
        is_removal.then_some(Self(plan))
    }

    /// The plan.
    #[must_use]
    pub fn plan(self) -> &'a Plan {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserKeys;
    use crate::testing::rng;
    use crate::{NewKey, plan};

    fn snapshot() -> Snapshot {
        Snapshot::new("@a:b", Default::default(), None, None).unwrap()
    }

    fn compared(is_accepted: bool) -> Compared {
        let rolled_back = |number| Change::RolledBack {
            event_type: format!("org.example.{number}"),
        };
        // More than are kept.
        let changes = (0..=Changes::MAX).map(rolled_back).collect();
        Compared::new(changes, is_accepted)
    }

    #[test]
    fn what_is_suspicious_forbids_everything_until_it_is_accepted() {
        assert!(compared(false).is_suspicious() && compared(true).is_suspicious());
        for name in [None, Some(SecretName::new("org.example.wallet").unwrap())] {
            let opened = |is_accepted| compared(is_accepted).for_opening(snapshot(), name.as_ref());
            assert!(opened(false).is_err());
            assert!(opened(true).is_ok());
        }
        assert!(compared(false).for_writing(snapshot()).is_err());
        assert!(compared(true).for_writing(snapshot()).is_ok());
        // Between processes it goes as JSON.
        let json = serde_json::to_string(&compared(false)).unwrap();
        let read: Compared = serde_json::from_str(&json).unwrap();
        assert!(read.for_writing(snapshot()).is_err());
        assert!(Compared::default().for_writing(snapshot()).is_ok());
    }

    #[test]
    fn a_plan_that_logs_devices_out_is_cleared_without_looking_and_no_other() {
        let body = r#"{"device_keys":{"@a:b":{}}}"#;
        let keys = UserKeys::from_keys_query("@a:b", body).unwrap();
        let removal = plan::remove_device(&keys, true, "LOST");
        assert!(!removal.is_empty());
        let cleared = Cleared::that_only_removes(&removal).unwrap();
        assert_eq!(cleared.plan().steps.len(), 1);
        let account = snapshot();
        let set_up = plan::set_up(&account.storage(), &NewKey::random(None, &mut rng())).unwrap();
        assert!(Cleared::that_only_removes(&set_up).is_none());
        let both = Plan::of("both", [removal, set_up]);
        assert!(Cleared::that_only_removes(&both).is_none());
    }
}

//! What the homeserver shows, judged by what this machine remembers.

use std::ops::Deref;

use fourfold::history::{Change, Changes, Origin, Suspicious};
use fourfold::plan::Action;
use fourfold::{AccountData, KeyId, Plan, SecretName, SecretStorage, Snapshot};
use fourfold_client::LocalState;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::options::AcceptOptions;
use crate::terminal::messages;

/// An account at one moment, of which nothing forbids what is to be done with it. Every key is found,
/// and every secret is opened, in one of these.
#[derive(Debug)]
pub(crate) struct Judged {
    snapshot: Snapshot,
    is_accepted: bool,
}

impl Judged {
    pub(crate) fn storage(&self) -> SecretStorage<'_> {
        SecretStorage::new(&self.snapshot.account_data)
    }

    /// Whether the user said that it is to be taken as it is.
    pub(crate) fn is_accepted(&self) -> bool {
        self.is_accepted
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
pub(crate) struct Writable(Judged);

impl Writable {
    /// Lets a plan be carried out that was made of it, or that was interrupted before.
    pub(crate) fn clear<'a>(&self, plan: &'a Plan) -> Cleared<'a> {
        Cleared(plan)
    }
}

impl Deref for Writable {
    type Target = Judged;

    fn deref(&self) -> &Judged {
        &self.0
    }
}

/// A plan that may be carried out: nothing in the account forbids it. No command carries out another
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cleared<'a>(&'a Plan);

impl<'a> Cleared<'a> {
    /// A plan that an agent made, which makes none of an account that may not be changed.
    pub(crate) fn by_agent(plan: &'a Plan) -> Self {
        Self(plan)
    }

    /// A plan that only logs devices out. It takes no key and no secret, and a homeserver that lies
    /// about those must not keep a stolen device logged in.
    pub(crate) fn that_only_removes(plan: &'a Plan) -> Option<Self> {
        let mut steps = plan.steps.iter();
        let is_removal = steps.all(|step| matches!(step.action, Action::RemoveDevice(_)));
        is_removal.then_some(Self(plan))
    }

    pub(crate) fn plan(self) -> &'a Plan {
        self.0
    }
}

/// What changed since this machine looked last, and whether the user takes it as it is.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Compared {
    #[serde(flatten)]
    changes: Changes,
    /// Whether the user said that it is to be taken as it is.
    is_accepted: bool,
}

impl Compared {
    /// Compares, and remembers what is not suspicious; and the rest too if the user accepts it.
    pub(crate) fn follow(
        state: &mut LocalState,
        snapshot: &Snapshot,
        accept: AcceptOptions,
    ) -> Result<Self> {
        let changes = state.follow(snapshot)?;
        if accept.accept_changes && changes.iter().any(Change::is_suspicious) {
            state.pin(snapshot)?;
        }
        Ok(Self::of(changes, accept))
    }

    /// Compares, and remembers nothing: for what the homeserver does not show now.
    pub(crate) fn look(
        state: &LocalState,
        snapshot: &Snapshot,
        accept: AcceptOptions,
    ) -> Result<Self> {
        let mut changes = state.compare(snapshot)?;
        changes.retain(Change::is_suspicious);
        Ok(Self::of(changes, accept))
    }

    /// Nothing is remembered to compare with.
    pub(crate) fn unknown(accept: AcceptOptions) -> Self {
        Self::of(Vec::new(), accept)
    }

    fn of(changes: Vec<Change>, accept: AcceptOptions) -> Self {
        Self {
            changes: Changes::new(changes),
            is_accepted: accept.accept_changes,
        }
    }

    /// With one change.
    #[cfg(test)]
    pub(crate) fn of_one() -> Self {
        let event_type = "org.example".to_owned();
        let changes = vec![Change::Disappeared { event_type }];
        Self::of(changes, AcceptOptions::default())
    }

    /// The changes, the suspicious ones first.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// Says what the user should know. With `--json` each is one JSON object, on a line of standard
    /// error.
    pub(crate) fn report(&self, json: bool) {
        for change in self.changes().filter(|change| is_worth_a_word(change)) {
            if json {
                messages::json(&in_json(change));
            } else if change.is_suspicious() {
                messages::warn(change);
            } else {
                messages::note(change);
            }
        }
    }

    /// All of it, as `--json` answers have it.
    pub(crate) fn in_json(&self) -> Vec<serde_json::Value> {
        self.changes().map(in_json).collect()
    }

    /// Whether a change is suspicious.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.changes.is_suspicious()
    }

    /// Lets keys be found in it and this secret be opened, unless a change forbids that.
    pub(crate) fn for_opening(
        &self,
        snapshot: Snapshot,
        name: Option<&SecretName>,
    ) -> Result<Judged> {
        self.judge(snapshot, self.changes.check_opening(name))
    }

    /// Lets it be changed, unless anything is suspicious.
    pub(crate) fn for_writing(&self, snapshot: Snapshot) -> Result<Writable> {
        self.judge(snapshot, self.changes.check_writing())
            .map(Writable)
    }

    fn judge(
        &self,
        snapshot: Snapshot,
        checked: std::result::Result<(), Suspicious>,
    ) -> Result<Judged> {
        if !self.is_accepted {
            checked?;
        }
        Ok(Judged {
            snapshot,
            is_accepted: self.is_accepted,
        })
    }
}

/// Remembers that a key opened a secret, and says how this machine came to know the entry before.
pub(crate) fn remember_opened(
    state: &mut LocalState,
    account_data: &AccountData,
    name: &SecretName,
    key_id: &KeyId,
) -> Result<Option<Origin>> {
    let known = state.history()?.origin_of(account_data, name, key_id);
    state.opened(account_data, [name], key_id)?;
    Ok(known)
}

/// New secrets come by themselves; the rest is rare enough.
fn is_worth_a_word(change: &Change) -> bool {
    !matches!(change, Change::Added { .. })
}

fn in_json(change: &Change) -> serde_json::Value {
    let mut object = serde_json::to_value(change).unwrap_or_default();
    if let Some(object) = object.as_object_mut() {
        object.insert("is_suspicious".into(), change.is_suspicious().into());
        object.insert("message".into(), change.to_string().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;

    #[test]
    fn what_is_suspicious_forbids_everything_until_it_is_accepted() {
        let snapshot = || Snapshot::new("@a:b", Default::default(), None, None).unwrap();
        let number = Changes::MAX + 1;
        let compared = |accept_changes| {
            let rolled_back = |number| Change::RolledBack {
                event_type: format!("org.example.{number}"),
            };
            let changes = (0..number).map(rolled_back).collect();
            Compared::of(changes, AcceptOptions { accept_changes })
        };
        assert!(compared(false).is_suspicious());
        for name in [None, Some(SecretName::new("org.example.wallet").unwrap())] {
            let error = compared(false).for_opening(snapshot(), name.as_ref());
            assert_eq!(error.unwrap_err().exit, Exit::Conflict);
            assert!(
                compared(true)
                    .for_opening(snapshot(), name.as_ref())
                    .is_ok()
            );
        }
        let error = compared(false).for_writing(snapshot()).unwrap_err();
        assert_eq!(error.exit, Exit::Conflict);
        assert!(compared(true).for_writing(snapshot()).is_ok());
        // Between a command and the agent it goes as JSON.
        let json = serde_json::to_string(&compared(false)).unwrap();
        let read: Compared = serde_json::from_str(&json).unwrap();
        assert!(read.for_writing(snapshot()).is_err());
    }
}

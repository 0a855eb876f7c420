//! What the homeserver shows, judged by what this machine remembers.

use std::ops::Deref;

use fourfold::history::{Change, Origin};
use fourfold::plan::Action;
use fourfold::{AccountData, KeyId, Plan, SecretName, SecretStorage, Snapshot};
use fourfold_client::LocalState;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Exit, Result};
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

/// What changed since this machine looked last.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Compared {
    /// The suspicious ones first, and no more than anybody would read.
    pub(crate) changes: Vec<Change>,
    /// Whether suspicious ones are left out: then nothing is opened.
    is_cut_short: bool,
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

    fn of(mut changes: Vec<Change>, accept: AcceptOptions) -> Self {
        changes.sort_by_key(|change| !change.is_suspicious());
        let is_cut_short = changes.get(MAX_CHANGES).is_some_and(Change::is_suspicious);
        changes.truncate(MAX_CHANGES);
        Self {
            changes,
            is_cut_short,
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

    /// Says what the user should know. With `--json` each is one JSON object, on a line of standard
    /// error.
    pub(crate) fn report(&self, json: bool) {
        for change in self.changes.iter().filter(|change| is_worth_a_word(change)) {
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
        self.changes.iter().map(in_json).collect()
    }

    /// Whether a change is suspicious.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.changes.iter().any(Change::is_suspicious)
    }

    /// Lets keys be found in it and this secret be opened, unless a change forbids that.
    pub(crate) fn for_opening(
        &self,
        snapshot: Snapshot,
        name: Option<&SecretName>,
    ) -> Result<Judged> {
        self.judge(snapshot, |change| change.forbids_opening(name))
    }

    /// Lets it be changed, unless anything is suspicious.
    pub(crate) fn for_writing(&self, snapshot: Snapshot) -> Result<Writable> {
        self.judge(snapshot, Change::is_suspicious).map(Writable)
    }

    fn judge(&self, snapshot: Snapshot, forbids: impl Fn(&Change) -> bool) -> Result<Judged> {
        let is_forbidden = |change: &&Change| self.is_cut_short || forbids(change);
        let forbidden: Vec<_> = self.changes.iter().filter(is_forbidden).collect();
        if !forbidden.is_empty() && !self.is_accepted {
            return Err(rollback_suspected(&forbidden));
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

/// Why nothing is opened, or written, now.
fn rollback_suspected(changes: &[&Change]) -> Error {
    let mut words: Vec<_> = changes
        .iter()
        .take(MAX_SHOWN)
        .map(ToString::to_string)
        .collect();
    if changes.len() > MAX_SHOWN {
        words.push("and more".to_owned());
    }
    Error::new(
        Exit::Conflict,
        format!(
            "the homeserver shows an older or weaker state than this machine has seen, or other \
             keys: {}",
            words.join("; ")
        ),
    )
    .hint(
        "if you made these changes yourself, on another device, accept them: fourfold status \
         --accept-changes, or --accept-changes here",
    )
}

/// How many changes an error names.
const MAX_SHOWN: usize = 3;

/// How many changes are told.
const MAX_CHANGES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_forbids_opening_anything() {
        let rolled_back = |number: usize| Change::RolledBack {
            event_type: format!("org.example.{number}"),
        };
        let snapshot = || Snapshot::new("@a:b", Default::default(), None, None).unwrap();
        let name = SecretName::new("org.example.wallet").unwrap();
        let opens = |number, accept_changes| {
            let changes = (0..number).map(rolled_back).collect();
            let compared = Compared::of(changes, AcceptOptions { accept_changes });
            assert!(compared.changes.len() <= MAX_CHANGES);
            compared.for_opening(snapshot(), Some(&name)).is_ok()
        };
        assert!(
            opens(MAX_CHANGES, false)
                && !opens(MAX_CHANGES + 1, false)
                && opens(MAX_CHANGES + 1, true)
        );
        // What is not suspicious gives way to what is.
        let mut changes: Vec<_> = (0..=MAX_CHANGES)
            .map(|number| Change::Added {
                event_type: number.to_string(),
            })
            .collect();
        changes.push(rolled_back(0));
        let compared = Compared::of(changes, AcceptOptions::default());
        assert!(compared.is_suspicious() && !compared.is_cut_short);
        assert_eq!(
            compared.for_writing(snapshot()).unwrap_err().exit,
            Exit::Conflict
        );
    }
}

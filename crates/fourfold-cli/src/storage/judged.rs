//! What the homeserver shows, judged by what this machine remembers: in words, and with the options
//! that stand for "accept it". The judgement itself is [`fourfold::judged`].

use fourfold::history::{Change, Suspicious};
use fourfold::judged::{self, Judged, Writable};
use fourfold::{SecretName, SecretStorageKey, Snapshot};
use fourfold_client::LocalState;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::options::AcceptOptions;
use crate::terminal::messages;

/// The changes since this machine last read the account, and whether the user accepts them.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Compared(judged::Compared);

impl Compared {
    /// Compares, and remembers what is not suspicious; and the rest too if the user accepts it.
    pub(crate) fn follow(
        state: &mut LocalState,
        snapshot: &Snapshot,
        accept: AcceptOptions,
    ) -> Result<Self> {
        Ok(Self(state.judge(snapshot, accept.accept_changes)?))
    }

    /// Compares, and remembers nothing: for what the homeserver does not show now.
    pub(crate) fn look(
        state: &LocalState,
        snapshot: &Snapshot,
        accept: AcceptOptions,
    ) -> Result<Self> {
        Ok(Self(state.look(snapshot, accept.accept_changes)?))
    }

    /// Nothing is remembered to compare with.
    pub(crate) fn unknown(accept: AcceptOptions) -> Self {
        Self(judged::Compared::new(Vec::new(), accept.accept_changes))
    }

    /// With one change.
    #[cfg(test)]
    pub(crate) fn of_one() -> Self {
        let event_type = "org.example".to_owned();
        let changes = vec![Change::Disappeared { event_type }];
        Self(judged::Compared::new(changes, false))
    }

    /// Says what the user should know. With `--json` each is one JSON object, on a line of standard
    /// error.
    pub(crate) fn report(&self, json: bool) {
        for change in self.0.changes().filter(|change| is_worth_a_word(change)) {
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
        self.0.changes().map(in_json).collect()
    }

    /// Returns `true` if a change is suspicious.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.0.is_suspicious()
    }

    /// Returns `true` if a key of the user can settle everything that is suspicious.
    pub(crate) fn is_for_a_key_to_settle(&self) -> bool {
        !self.0.to_settle().is_empty()
    }

    /// Returns `true` if this key does.
    pub(crate) fn is_settled_by(&self, snapshot: &Snapshot, key: &SecretStorageKey) -> bool {
        self.0.is_settled_by(snapshot, key)
    }

    /// Remembers what is suspicious, if this key settles it.
    pub(crate) fn settle(
        &self,
        state: &mut LocalState,
        snapshot: &Snapshot,
        key: &SecretStorageKey,
    ) -> Result<()> {
        Ok(state.settle(snapshot, &self.0, key).map(drop)?)
    }

    /// Lets keys be found in it and this secret be opened, unless a change forbids that.
    pub(crate) fn for_opening(
        &self,
        snapshot: Snapshot,
        name: Option<&SecretName>,
    ) -> Result<Judged> {
        let judged = self.0.for_opening(snapshot, name);
        judged.map_err(|refused| self.explain(refused.suspicious))
    }

    /// Lets it be changed, unless anything is suspicious.
    pub(crate) fn for_writing(&self, snapshot: Snapshot) -> Result<Writable> {
        let writable = self.0.for_writing(snapshot);
        writable.map_err(|refused| self.explain(refused.suspicious))
    }

    fn explain(&self, suspicious: Suspicious) -> Error {
        let error = Error::from(suspicious);
        if self.is_for_a_key_to_settle() {
            error.hint(
                "if the key was replaced on another device, or its description got lost, give the \
                 right key, here or to fourfold key check: it settles this if it opens what was \
                 there before; if you made other changes, on another device, accept them: fourfold \
                 status --accept-changes, or --accept-changes here",
            )
        } else {
            error
        }
    }
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
    fn what_is_suspicious_ends_a_command_with_a_conflict() {
        let snapshot = || Snapshot::new("@a:b", Default::default(), None, None).unwrap();
        let compared = Compared::of_one();
        assert!(compared.is_suspicious());
        let error = compared.for_writing(snapshot()).unwrap_err();
        assert_eq!(error.exit, Exit::Conflict);
        let error = compared.for_opening(snapshot(), None);
        // A secret that disappeared forbids opening no other one.
        assert!(error.is_ok());
    }
}

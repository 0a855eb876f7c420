//! All changes of an account together: what may be opened or written in spite of them.

use serde::{Deserialize, Serialize};

use super::Change;
use crate::SecretName;

/// The changes since this machine last read the account: the suspicious ones first, and no more
/// than anybody would read.
///
/// ```
/// use fourfold::history::{Change, Changes};
/// let changes = Changes::new(vec![Change::RolledBack { event_type: "org.example".into() }]);
/// assert!(changes.check_writing().is_err());
/// assert!(Changes::default().check_writing().is_ok());
/// ```
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(from = "Kept")]
pub struct Changes {
    changes: Vec<Change>,
    /// Whether suspicious ones are omitted.
    is_cut_short: bool,
}

impl Changes {
    /// The maximum number of changes that are kept.
    pub const MAX: usize = 200;

    /// Takes what [`History::compare`](super::History::compare) gave.
    #[must_use]
    pub fn new(mut changes: Vec<Change>) -> Self {
        changes.sort_by_key(|change| !change.is_suspicious());
        let is_cut_short = changes.get(Self::MAX).is_some_and(Change::is_suspicious);
        changes.truncate(Self::MAX);
        Self {
            changes,
            is_cut_short,
        }
    }

    /// The changes, the suspicious ones first.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// Whether anything is [suspicious](Change::is_suspicious), of what is left out too.
    #[must_use]
    pub fn is_suspicious(&self) -> bool {
        self.is_cut_short || self.changes.iter().any(Change::is_suspicious)
    }

    /// Whether suspicious ones are left out, of which nothing is known.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Whether keys may be looked for in the account and this secret be opened: no change
    /// [forbids it](Change::forbids_opening), and none is omitted that could.
    ///
    /// # Errors
    ///
    /// [`Suspicious`] names the changes that forbid it.
    pub fn check_opening(&self, name: Option<&SecretName>) -> Result<(), Suspicious> {
        self.check(|change| change.forbids_opening(name))
    }

    /// Whether the account may be changed: nothing is suspicious.
    ///
    /// # Errors
    ///
    /// [`Suspicious`] names the changes that forbid it.
    pub fn check_writing(&self) -> Result<(), Suspicious> {
        self.check(Change::is_suspicious)
    }

    fn check(&self, forbids: impl Fn(&Change) -> bool) -> Result<(), Suspicious> {
        let is_forbidden = |change: &&Change| self.is_cut_short || forbids(change);
        let changes: Vec<_> = self.changes.iter().filter(is_forbidden).cloned().collect();
        if changes.is_empty() && !self.is_cut_short {
            Ok(())
        } else {
            Err(Suspicious { changes })
        }
    }
}

/// Changes as they were written down, by whoever: not in order, or more than anybody would read.
#[derive(Deserialize)]
struct Kept {
    changes: Vec<Change>,
    is_cut_short: bool,
}

impl From<Kept> for Changes {
    fn from(kept: Kept) -> Self {
        let mut changes = Self::new(kept.changes);
        changes.is_cut_short |= kept.is_cut_short;
        changes
    }
}

/// The server shows an older or weaker state than this machine has seen, or different keys. Nothing
/// is opened or written before the user says that the changes are their own.
///
/// Its text names the first three changes, and with them event types and key IDs, which are untrusted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the homeserver shows an older or weaker state than this machine has seen, or different keys: \
     {}",
    first(changes)
)]
#[non_exhaustive]
pub struct Suspicious {
    /// The changes that forbid it; empty when only some that are left out could.
    pub changes: Vec<Change>,
}

crate::error_code::error_codes! {
    Suspicious:
    Self { .. } => "suspicious_changes",
}

/// The maximum number of changes in the text of an error.
const SHOWN: usize = 3;

fn first(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "more changes than are listed".to_owned();
    }
    let mut words: Vec<_> = changes
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    if changes.len() > SHOWN {
        words.push("and more".to_owned());
    }
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled_back(number: usize) -> Change {
        Change::RolledBack {
            event_type: format!("org.example.{number}"),
        }
    }

    #[test]
    fn what_is_left_out_forbids_opening_anything() {
        let name = SecretName::new("org.example.wallet").unwrap();
        let opens = |number| {
            let changes = Changes::new((0..number).map(rolled_back).collect());
            assert!(changes.iter().count() <= Changes::MAX);
            changes.check_opening(Some(&name)).is_ok()
        };
        assert!(opens(Changes::MAX) && !opens(Changes::MAX + 1));
    }

    #[test]
    fn what_was_written_down_by_anybody_forbids_no_less() {
        let name = SecretName::new("org.example.wallet").unwrap();
        let read = |changes: &[Change], is_cut_short: bool| -> Changes {
            let kept = serde_json::json!({"changes": changes, "is_cut_short": is_cut_short});
            serde_json::from_value(kept).unwrap()
        };
        assert!(read(&[], false).check_writing().is_ok());
        // Nothing says what was left out.
        let nothing = read(&[], true);
        assert!(nothing.is_suspicious());
        for refused in [nothing.check_opening(Some(&name)), nothing.check_writing()] {
            let said = refused.unwrap_err().to_string();
            assert!(said.ends_with(": more changes than are listed"), "{said}");
        }
        // More than are kept, the one that matters last.
        let added = |number: usize| Change::Added {
            event_type: number.to_string(),
        };
        let mut many: Vec<_> = (0..Changes::MAX).map(added).collect();
        many.push(rolled_back(0));
        let read_back = read(&many, false);
        assert_eq!(read_back.iter().next(), Some(&rolled_back(0)));
        assert_eq!(read_back.iter().count(), Changes::MAX);
        assert!(read_back.check_writing().is_err());
        let many: Vec<_> = (0..=Changes::MAX).map(rolled_back).collect();
        assert!(read(&many, false).check_opening(Some(&name)).is_err());
        // What is written here is read again.
        let written = serde_json::to_string(&Changes::new(many)).unwrap();
        let again: Changes = serde_json::from_str(&written).unwrap();
        assert!(again.is_cut_short && again.iter().count() == Changes::MAX);
    }

    #[test]
    fn what_is_not_suspicious_gives_way_to_what_is() {
        let mut changes: Vec<_> = (0..=Changes::MAX)
            .map(|number| Change::Added {
                event_type: number.to_string(),
            })
            .collect();
        changes.push(rolled_back(0));
        let changes = Changes::new(changes);
        assert!(changes.is_suspicious() && !changes.is_cut_short);
        assert_eq!(changes.iter().next(), Some(&rolled_back(0)));
        assert_eq!(changes.iter().count(), Changes::MAX);
        let suspicious = changes.check_writing().unwrap_err();
        assert_eq!(suspicious.changes, [rolled_back(0)]);
    }

    #[test]
    fn an_error_names_the_first_few() {
        let changes = Changes::new((0..5).map(rolled_back).collect());
        let text = changes.check_writing().unwrap_err().to_string();
        assert!(text.contains("org.example.2") && !text.contains("org.example.3"));
        assert!(text.ends_with("; and more"), "{text}");
        let changes = Changes::new((0..3).map(rolled_back).collect());
        let text = changes.check_writing().unwrap_err().to_string();
        assert!(text.contains("org.example.2") && !text.contains("and more"));
    }

    #[test]
    fn what_another_client_adds_is_not_suspicious() {
        let added = Change::Added {
            event_type: "org.example".to_owned(),
        };
        for changes in [vec![], vec![added]] {
            let changes = Changes::new(changes);
            assert!(!changes.is_suspicious());
            assert!(changes.check_writing().is_ok() && changes.check_opening(None).is_ok());
        }
    }
}

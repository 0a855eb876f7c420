//! What an examination looks at.

use std::collections::BTreeMap;

use serde::Serialize;

use super::need::Need;
use super::offered::OfferedKey;
use crate::history::History;
use crate::identity::Trust;
use crate::{Secret, SecretName, Snapshot, Timestamp};

/// Everything that is known when an account is examined. Only the snapshot must be there: what else
/// is missing is named in the report, with the conditions that could not be checked without it.
///
/// ```
/// use fourfold::Snapshot;
/// use fourfold::health::{Evidence, Verdict, examine};
/// let snapshot = Snapshot::from_json(r#"{"user_id": "@a:b.org", "account_data": {}}"#)?;
/// let report = examine(&Evidence::of(&snapshot));
/// assert_eq!(report.findings[0].code, "storage-not-set-up");
/// assert_eq!(report.verdict(), Verdict::Healthy);
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// The account as it is now.
    pub snapshot: &'a Snapshot,
    /// Where it comes from.
    pub source: Source,
    /// When it is examined, in milliseconds since 1970.
    pub now: Option<Timestamp>,
    /// The account as it was.
    pub baseline: Option<&'a Snapshot>,
    /// What this machine remembers of the account data.
    pub history: Option<&'a History>,
    /// The pinned identity and the known devices.
    pub trust: Option<&'a Trust>,
    /// The keys that the user offers, right or wrong.
    pub keys: Vec<OfferedKey>,
    /// The secrets that this machine, or a file, holds.
    pub secrets: Vec<(SecretName, Secret)>,
    /// The device that looks, when it is none that the snapshot names.
    pub device_id: Option<&'a str>,
    /// What could not be had and why, in words: the other clients of the account can be healthy while
    /// the server fails to say so.
    pub unavailable: BTreeMap<Need, String>,
    /// What was tried at the server; `None` where nothing was.
    pub observed: Option<Observed>,
    /// What this program knows of this machine; `None` where nothing of it is looked at.
    pub machine: Option<Machine>,
}

impl<'a> Evidence<'a> {
    /// Nothing but a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            source: Source::Snapshot,
            now: None,
            baseline: None,
            history: None,
            trust: None,
            keys: Vec::new(),
            secrets: Vec::new(),
            device_id: None,
            unavailable: BTreeMap::new(),
            observed: None,
            machine: None,
        }
    }
}

/// Where the account that is examined comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Source {
    /// It was fetched just now.
    Server,
    /// It was kept in a file.
    Snapshot,
}

/// What a program knows of the machine that it runs on, as far as the account depends on it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Machine {
    /// The names of the key files that were given and that group or others can read.
    pub readable_files: Vec<String>,
    /// What was noted here of the account over time; `None` where a program notes nothing, and so
    /// cannot say what did not happen.
    pub records: Option<Records>,
    /// Whether the account changed while it was examined.
    pub changed_meanwhile: bool,
}

/// What a program noted of the account over time.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Records {
    /// When the recovery key was last shown to work here.
    pub last_drill: Option<Timestamp>,
    /// Whether earlier snapshots are kept here.
    pub keeps_snapshots: bool,
}

/// What was tried at a server, beyond asking for a snapshot.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Observed {
    /// The types of the events of which a sync shows something else; `None` where it was not tried.
    pub stale: Option<Vec<String>>,
    /// Whether an event that was put came back as it was; `None` where none was put.
    pub is_echoed: Option<bool>,
    /// What is odd about the key backup of the server, in words, or that nothing is; `None` where it
    /// was not tried.
    pub backup_quirk: Option<Option<String>>,
    /// How many of the room keys in the backup were tried, and how many opened with its key.
    pub sampled_sessions: Option<SampledSessions>,
}

/// A sample of the room keys in the backup.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "two numbers")]
pub struct SampledSessions {
    /// How many were tried.
    pub tried: u32,
    /// How many opened.
    pub opened: u32,
}

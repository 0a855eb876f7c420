//! The versions of the key backup, as the homeserver shows them.

use fourfold::backup::{CurrentBackup, ShownVersion};
use fourfold::{BackupVersion, Snapshot};
use fourfold_client::escape_untrusted;

use crate::account::LoggedIn;
use crate::error::{Error, Exit};
use crate::terminal::messages;

/// The versions that are known.
pub(super) struct Versions {
    pub(super) current: CurrentBackup,
    /// In their order.
    pub(super) older: Vec<ShownVersion>,
}

impl Versions {
    /// Asks the homeserver for the older ones.
    pub(super) fn fetch(logged_in: &LoggedIn, snapshot: &Snapshot) -> Self {
        let _busy = messages::busy("reading the versions of the key backup");
        let snapshot = snapshot.clone();
        Self::of(&logged_in.wait(logged_in.account.with_older_backups(snapshot)))
    }

    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            current: CurrentBackup::of(snapshot),
            older: snapshot
                .backup_versions()
                .map(ShownVersion::from_json)
                .collect(),
        }
    }

    /// The older ones that can be used.
    pub(super) fn usable_older(&self) -> Vec<BackupVersion> {
        let older = self.older.iter();
        older.filter_map(ShownVersion::usable).cloned().collect()
    }

    /// The current version, which must be one that can be used.
    pub(super) fn usable(&self) -> Result<&BackupVersion, Error> {
        let new = "fourfold backup new creates a new version; nothing is deleted";
        match &self.current {
            CurrentBackup::Missing => {
                Err(Error::refused("there is no key backup")
                    .hint("fourfold backup new creates one"))
            }
            CurrentBackup::Unavailable(why) => {
                let why = why.as_deref().unwrap_or(NOT_OFFERED);
                let why = escape_untrusted(why);
                Err(Error::new(Exit::Network, format!("the key backup: {why}"))
                    .hint(format!("try again later; if that does not help: {new}")))
            }
            CurrentBackup::Shown(shown) => shown.read.as_ref().map_err(|error| {
                Error::new(
                    Exit::Corrupt,
                    format!("the key backup cannot be used: {error}"),
                )
                .hint(new)
            }),
        }
    }
}

/// A version in a few words.
pub(super) fn in_words(shown: &ShownVersion) -> String {
    let version = name(shown);
    let count = match shown.count {
        Some(1) => "1 room key".to_owned(),
        Some(count) => format!("{count} room keys"),
        None => "an unknown number of room keys".to_owned(),
    };
    format!("{version}, {count}")
}

/// "version 3".
pub(super) fn name(shown: &ShownVersion) -> String {
    match &shown.version {
        Some(version) => format!("version {}", escape_untrusted(version)),
        None => "a version without a name".to_owned(),
    }
}

pub(super) const NOT_OFFERED: &str = "the homeserver does not offer key backups";

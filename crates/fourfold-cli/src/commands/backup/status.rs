//! `fourfold backup status`: the versions, and which private keys are stored.

use clap::Args;
use fourfold::backup::{
    CopyFrom, CurrentBackup, KeyCopy, ShownVersion, fitting, former, stored_copies,
};
use fourfold::health::OfferedKey;
use fourfold::{BackupVersion, SecretName, SecretState, SecretStorageKey, Snapshot};
use fourfold_client::escape_untrusted;
use serde::Serialize;

use super::at_hand;
use super::seen::{NOT_OFFERED, Versions, in_words};
use crate::account::{self, LoggedIn};
use crate::error::Result;
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, Global, KeyInput, ReadOptions};
use crate::storage::unlock;
use crate::terminal::{messages, output};

/// Options of `backup status`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    input: KeyInput,
    #[command(flatten)]
    read: ReadOptions,
    #[command(flatten)]
    sealing: SealingOptions,
}

/// Shows all of it. Nothing is changed, and nobody is asked for a key.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let (snapshot, versions, mut copies) = match &options.read.snapshot {
        Some(path) => {
            let snapshot = account::in_file(path)?;
            let versions = Versions::of(&snapshot);
            (snapshot, versions, Vec::new())
        }
        None => {
            let mut logged_in = LoggedIn::open(global)?;
            let (snapshot, _) = logged_in.compared_in_silence(AcceptOptions::default())?;
            let versions = Versions::fetch(&logged_in, &snapshot);
            let here = at_hand::on_this_machine(&mut logged_in.state, &options.sealing)?;
            (snapshot, versions, here)
        }
    };
    let offered = offered(&snapshot, &options.input)?;
    let keys: Vec<&SecretStorageKey> = offered.iter().filter_map(OfferedKey::as_key).collect();
    copies.extend(stored_copies(&snapshot.storage(), &keys));
    let report = Report::of(&snapshot, &versions, &copies, !keys.is_empty());
    if global.json {
        return output::json(&report);
    }
    report.print(&versions)
}

fn offered(snapshot: &Snapshot, input: &KeyInput) -> Result<Vec<OfferedKey>> {
    if !input.is_given() {
        return Ok(Vec::new());
    }
    let mut budget = unlock::budget(input);
    let offers = input.offers("")?;
    let read = |offer| unlock::examine(snapshot, offer, &mut budget);
    Ok(offers.iter().map(read).collect())
}

/// The key backup, for people and programs.
#[derive(Serialize)]
struct Report {
    user_id: String,
    /// `usable`, `unusable`, `missing` or `unavailable`.
    state: &'static str,
    /// Why it is not usable.
    problem: Option<String>,
    version: Option<String>,
    algorithm: Option<String>,
    /// How many room keys are in it.
    count: Option<u64>,
    public_key: Option<String>,
    /// Whether the published identity signed it; null when there is nothing to sign.
    is_signed: Option<bool>,
    /// What lies under `m.megolm_backup.v1`: `current`, `former` (the key of another version),
    /// `not_compared` (there is no version to compare it with), `unknown` (without a key of secret storage,
    /// nobody knows), `unusable` or `missing`.
    stored_key: &'static str,
    /// The version whose key it is, when that is an older one that is known.
    stored_key_version: Option<String>,
    /// Whether the private key of the current version is at hand, wherever it lies.
    has_key: bool,
    older: Vec<Older>,
}

/// An older version.
#[derive(Serialize)]
struct Older {
    version: Option<String>,
    algorithm: Option<String>,
    count: Option<u64>,
    is_usable: bool,
    /// The secret that holds its private key, or that has its name.
    kept_as: Option<SecretName>,
    /// Whether its private key is at hand; null when nobody looked.
    has_key: Option<bool>,
}

impl Report {
    fn of(snapshot: &Snapshot, versions: &Versions, copies: &[KeyCopy], has_keys: bool) -> Self {
        let current = &versions.current;
        let shown = current.shown();
        let usable = current.usable();
        let published = snapshot.published_keys();
        let (stored_key, stored_key_version) = stored(snapshot, versions, has_keys, copies);
        let older = versions.older.iter();
        Self {
            user_id: snapshot.user_id.clone(),
            state: match current {
                CurrentBackup::Unavailable(_) => "unavailable",
                CurrentBackup::Missing => "missing",
                CurrentBackup::Shown(shown) if shown.usable().is_none() => "unusable",
                CurrentBackup::Shown(_) => "usable",
            },
            problem: match current {
                CurrentBackup::Unavailable(None) => Some(NOT_OFFERED.to_owned()),
                current => current.problem(),
            },
            version: shown.and_then(|shown| shown.version.clone()),
            algorithm: shown.and_then(|shown| shown.algorithm.clone()),
            count: shown.and_then(|shown| shown.count),
            public_key: usable.map(BackupVersion::public_key),
            is_signed: usable.map(|_| published.has_signed_backup(&snapshot.user_id)),
            stored_key,
            stored_key_version,
            has_key: usable.is_some_and(|usable| fitting(copies, usable).next().is_some()),
            older: older
                .map(|shown| Older::of(shown, snapshot, copies, has_keys))
                .collect(),
        }
    }

    fn print(&self, versions: &Versions) -> Result<()> {
        match &versions.current {
            CurrentBackup::Missing => output::line("backup  none")?,
            CurrentBackup::Unavailable(_) => output::line("backup  not known")?,
            CurrentBackup::Shown(shown) => {
                output::line(format_args!("backup  {}", in_words(shown)))?;
                let algorithm = shown.algorithm.as_deref().unwrap_or("no algorithm");
                output::line(format_args!("        {}", escape_untrusted(algorithm)))?;
            }
        }
        if let Some(problem) = &self.problem {
            output::line(format_args!(
                "        cannot be used: {}",
                escape_untrusted(problem)
            ))?;
        }
        match self.is_signed {
            Some(true) => output::line("signed  by your identity")?,
            Some(false) => output::line("signed  not by your identity")?,
            None => {}
        }
        output::line(format_args!("key     {}", self.key_in_words()))?;
        for (index, (older, shown)) in self.older.iter().zip(&versions.older).enumerate() {
            let label = if index == 0 { "older " } else { "      " };
            let key = older.key_in_words();
            output::line(format_args!("{label}  {}; {key}", in_words(shown)))?;
        }
        if let Some(hint) = self.way_out() {
            messages::hint(hint);
        }
        Ok(())
    }

    fn key_in_words(&self) -> String {
        let name = SecretName::backup_key();
        let elsewhere = if self.has_key && self.stored_key != "current" {
            "; its private key is at hand elsewhere"
        } else {
            ""
        };
        let version = self.stored_key_version.as_deref().map(escape_untrusted);
        let said = match (self.stored_key, version) {
            ("current", _) => format!("{name} is its private key"),
            ("former", Some(version)) => format!("{name} is the private key of version {version}"),
            ("former", None) => format!("{name} is the private key of another version"),
            ("unknown" | "not_compared", _) => format!("{name} is stored"),
            ("unusable", _) => format!("{name} is stored, and cannot be read"),
            _ => format!("{name} is not stored"),
        };
        format!("{said}{elsewhere}")
    }

    fn way_out(&self) -> Option<&'static str> {
        match (self.state, self.stored_key) {
            ("missing", _) => Some("fourfold backup new creates one"),
            ("unavailable" | "unusable", _) => Some(
                "fourfold backup new creates a new version; nothing is deleted. Everything that does not \
                 need the backup works without it",
            ),
            (_, "unknown") => Some(
                "whether it is the right one is shown with a key of secret storage: \
                 --recovery-key-file or --passphrase-file",
            ),
            (_, "current") if self.is_signed == Some(false) => {
                Some("fourfold setup signs it, so that your other devices use it")
            }
            (_, "current") => None,
            _ => Some("fourfold backup restore-key looks for its private key and stores it"),
        }
    }
}

impl Older {
    fn of(shown: &ShownVersion, snapshot: &Snapshot, copies: &[KeyCopy], has_keys: bool) -> Self {
        let name = shown.version.as_deref().and_then(former::name_of_version);
        let storage = snapshot.storage();
        let is_there =
            |name: &SecretName| matches!(storage.secret(name), SecretState::Encrypted(_));
        let has_key = shown
            .usable()
            .is_some_and(|usable| fitting(copies, usable).next().is_some());
        Self {
            version: shown.version.clone(),
            algorithm: shown.algorithm.clone(),
            count: shown.count,
            is_usable: shown.usable().is_some(),
            kept_as: name.filter(is_there),
            has_key: (has_key || has_keys).then_some(has_key),
        }
    }

    fn key_in_words(&self) -> String {
        match (&self.kept_as, self.has_key) {
            (Some(name), Some(true) | None) => {
                format!(
                    "its private key is kept as {}",
                    escape_untrusted(name.as_str())
                )
            }
            (_, Some(true)) => "its private key is at hand".to_owned(),
            (_, None) => "its private key is not kept".to_owned(),
            (_, Some(false)) => "its private key is not at hand".to_owned(),
        }
    }
}

/// What lies under the standard name, and of which older version it is.
fn stored(
    snapshot: &Snapshot,
    versions: &Versions,
    has_keys: bool,
    copies: &[KeyCopy],
) -> (&'static str, Option<String>) {
    let name = SecretName::backup_key();
    match snapshot.storage().secret(&name) {
        SecretState::Encrypted(_) if !has_keys => return ("unknown", None),
        SecretState::Encrypted(_) => {}
        SecretState::Malformed(_) | SecretState::NotASecret => return ("unusable", None),
        _ => return ("missing", None),
    }
    let of_name =
        |copy: &&KeyCopy| matches!(&copy.from, CopyFrom::Stored { name: of, .. } if *of == name);
    let under_name: Vec<_> = copies.iter().filter(of_name).collect();
    if under_name.is_empty() {
        return ("unusable", None);
    }
    let fits = |version: &BackupVersion| under_name.iter().any(|copy| copy.key.is_key_of(version));
    if versions.current.usable().is_some_and(fits) {
        return ("current", None);
    }
    let mut older = versions.older.iter();
    let older = older.find(|shown| shown.usable().is_some_and(fits));
    let version = older.and_then(|shown| shown.version.clone());
    match versions.current.usable() {
        None if version.is_none() => ("not_compared", None),
        _ => ("former", version),
    }
}

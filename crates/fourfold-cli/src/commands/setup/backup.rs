//! In which words the state of the key backup is told, and what it means for the command.

use fourfold::plan::{BackupState, UnknownBackup};
use fourfold::{BackupVersion, Snapshot};

use super::options::Options;
use crate::account::LoggedIn;
use crate::error::{Error, Exit, Result};
use crate::terminal::messages;

/// The older versions that are known, when a new one is to be made: the private key that it replaces is
/// kept under the name of its version.
pub(super) fn older(
    logged_in: &LoggedIn,
    snapshot: &Snapshot,
    options: &Options,
) -> Vec<BackupVersion> {
    if !options.new_backup {
        return Vec::new();
    }
    logged_in.wait(logged_in.account.older_key_backups(snapshot))
}

/// The name in `--json` output.
pub(super) fn name(state: &BackupState) -> &'static str {
    match state {
        BackupState::SetUp => "set_up",
        BackupState::Missing => "missing",
        BackupState::Unknown(UnknownBackup::NoKey { .. }) => "no_key",
        BackupState::Unknown(UnknownBackup::OtherKey { .. }) => "other_key",
        BackupState::Unknown(UnknownBackup::Replaced { .. }) => "replaced",
        BackupState::Unknown(UnknownBackup::UnusableKey { .. }) => "unusable_key",
        BackupState::Unknown(UnknownBackup::Unavailable { .. }) => "unavailable",
        BackupState::Unknown(_) => "unreadable",
        BackupState::Unsigned => "unsigned",
        BackupState::Unwanted => "unwanted",
    }
}

/// Says so when other devices may not use the backup.
pub(super) fn warn(state: &BackupState) {
    if let BackupState::Unsigned = state {
        messages::warn(
            "the key backup is yours, and not signed by your identity, so that other devices may \
             not use it: the master key is not at hand",
        );
        messages::hint(
            "get it from a device that has it: fourfold request m.cross_signing.master --out FILE, \
             then fourfold put m.cross_signing.master FILE, then fourfold setup",
        );
    }
}

/// Fails unless the backup is as the user wants it, as far as this machine can tell.
pub(super) fn check(state: BackupState) -> Result<()> {
    match state {
        BackupState::SetUp | BackupState::Unsigned | BackupState::Unwanted => Ok(()),
        // Another device may have it: that was told with the other secrets that are missing.
        BackupState::Unknown(UnknownBackup::NoKey { .. }) => Ok(()),
        BackupState::Unknown(unknown) => Err(unknown.into()),
        BackupState::Missing => Err(Error::new(
            Exit::Conflict,
            "the homeserver no longer shows the key backup",
        )
        .hint("try again; if that does not help: fourfold backup new creates a new version")),
    }
}

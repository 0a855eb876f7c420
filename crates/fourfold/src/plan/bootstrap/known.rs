//! What is known of an account before it is set up.

use crate::backup::CurrentBackup;
use crate::identity::{Trust, UserKeys};
use crate::plan::backup_continuity::RememberedBackup;
use crate::{AccountData, BackupVersion, Secret, SecretName};

/// Everything that is known of an account, before it is set up or completed.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "every input of the decision must be given"
)]
pub struct KnownAccount<'a> {
    /// What secret storage is in.
    pub account_data: &'a AccountData,
    /// The identity and the devices that the server publishes.
    pub published: &'a UserKeys,
    /// What the server shows of a key backup.
    pub current_backup: &'a CurrentBackup,
    /// Older versions of it, as far as they are known.
    pub older_backups: &'a [BackupVersion],
    /// The identity that this machine trusts, also from an earlier log-in; `None` if it never knew
    /// one.
    pub trust: Option<&'a Trust>,
    /// The key backup whose private key this machine knew last.
    pub remembered_backup: Option<&'a RememberedBackup>,
    /// Secrets that were made on this machine and are kept here, because it is not known whether they
    /// were stored.
    pub made_here: &'a [(SecretName, Secret)],
    /// The parts that the user asked to replace.
    pub replaced: Replaced,
}

/// The parts that the user asked to replace.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever asks must know of each of them"
)]
pub struct Replaced {
    /// The identity, whatever is published.
    pub identity: bool,
    /// A key backup whose private key is not known.
    pub backup: bool,
}

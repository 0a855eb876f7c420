//! What is known of an account before it is set up.

use super::key::BootstrapKey;
use crate::backup::CurrentBackup;
use crate::cross_signing::IdentityWish;
use crate::identity::{LoggedInDevices, Trust, UserKeys};
use crate::plan::backup_continuity::RememberedBackup;
use crate::{AccountData, BackupVersion, Secret, SecretName, SecretStorage};

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
    /// Who is logged in, as the server says; `None` when it does not.
    pub log_ins: Option<&'a LoggedInDevices>,
    /// What the user asked for beyond completing what is there.
    pub wishes: Wishes,
}

impl KnownAccount<'_> {
    /// Whether the key of secret storage that is there is given up: the user replaces the identity, and
    /// everything goes under a new key.
    pub(super) fn gives_up_key(&self, key: &BootstrapKey) -> bool {
        matches!(key, BootstrapKey::New(_))
            && self.wishes.identity == IdentityWish::Replace
            && !SecretStorage::new(self.account_data).holds_nothing()
    }
}

/// What the user asked for beyond completing what is there.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever asks must know of each of them"
)]
pub struct Wishes {
    /// What becomes of the identity.
    pub identity: IdentityWish,
    /// To make a new self-signing or user-signing key, signed by the same master key, where the
    /// private half of the published one is not at hand.
    pub signing_keys: bool,
    /// To replace a key backup whose private key is not known.
    pub backup: bool,
}

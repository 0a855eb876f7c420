//! The key backup: what is known of it, and whether it is set up in the end.

use fourfold::plan::{BackupChoice, KnownBackup, RememberedBackup, UnknownBackup};
use fourfold::{BackupVersion, EventState, Secret, SecretName, Snapshot};

use crate::error::{Error, Exit, Result};
use crate::terminal::messages;

/// What the homeserver shows of the key backup, and the private keys that are at hand.
pub(super) fn known<'a>(
    snapshot: &Snapshot,
    published: Option<&'a BackupVersion>,
    secrets: impl Iterator<Item = &'a (SecretName, Secret)>,
) -> KnownBackup<'a> {
    let name = SecretName::backup_key();
    let of_backups = secrets.filter(|(of, _)| *of == name);
    KnownBackup {
        is_published: snapshot.has_key_backup(),
        published,
        remembered: None,
        private_keys: of_backups.map(|(_, secret)| secret).collect(),
        is_unwanted: is_unwanted(snapshot),
        is_replaced: false,
    }
}

/// The user's other clients ask for what the user said once (MSC4287).
fn is_unwanted(snapshot: &Snapshot) -> bool {
    match snapshot.account_data.state("m.key_backup") {
        EventState::Content(wish) => wish.get("enabled") == Some(Ok(false)),
        _ => false,
    }
}

/// What there is of a key backup in the end.
pub(super) enum BackupState {
    /// It is the user's: its private key is known, and the identity signed it.
    Known(BackupVersion),
    /// There is none.
    Missing,
    /// Nothing shows that it is the user's.
    Unknown(UnknownBackup),
    /// It is the user's, and the published identity did not sign it: the master key is not at hand.
    Unsigned(BackupVersion),
    /// There is none, and the user wants none.
    Unwanted,
}

impl BackupState {
    /// Judges anew, by what the homeserver shows when everything was done.
    pub(super) fn of(
        snapshot: &Snapshot,
        at_hand: &[(SecretName, Secret)],
        remembered: Option<&RememberedBackup>,
    ) -> Self {
        let published_keys = snapshot.published_keys();
        let published = published_keys.backup.as_ref();
        let known = KnownBackup {
            remembered,
            ..known(snapshot, published, at_hand.iter())
        };
        match (known.decide(), published) {
            (Ok(BackupChoice::Keep(_)), Some(published)) => {
                if published_keys.has_signed_backup(&snapshot.user_id) {
                    Self::Known(published.clone())
                } else {
                    Self::Unsigned(published.clone())
                }
            }
            (Ok(BackupChoice::Leave(unknown)), _) => Self::Unknown(unknown),
            (Ok(BackupChoice::DoWithout), _) => Self::Unwanted,
            _ => Self::Missing,
        }
    }

    /// The backup, if it is the user's.
    pub(super) fn known(&self) -> Option<&BackupVersion> {
        match self {
            Self::Known(backup) | Self::Unsigned(backup) => Some(backup),
            Self::Missing | Self::Unknown(_) | Self::Unwanted => None,
        }
    }

    /// The name in `--json` output.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Known(_) => "set_up",
            Self::Missing => "missing",
            Self::Unknown(UnknownBackup::NoKey { .. }) => "no_key",
            Self::Unknown(UnknownBackup::OtherKey { .. }) => "other_key",
            Self::Unknown(UnknownBackup::Replaced { .. }) => "replaced",
            Self::Unknown(UnknownBackup::UnusableKey { .. }) => "unusable_key",
            Self::Unknown(_) => "unreadable",
            Self::Unsigned(_) => "unsigned",
            Self::Unwanted => "unwanted",
        }
    }

    /// Says so when other devices may not use the backup.
    pub(super) fn warn(&self) {
        if let Self::Unsigned(_) = self {
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
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Known(_) | Self::Unsigned(_) | Self::Unwanted => Ok(()),
            // Another device may have it: that was told with the other secrets that are missing.
            Self::Unknown(UnknownBackup::NoKey { .. }) => Ok(()),
            Self::Unknown(unknown) => Err(unknown.clone().into()),
            Self::Missing => Err(Error::new(
                Exit::Conflict,
                "the homeserver does not show the key backup any more",
            )
            .hint("try again; if it stays so, ask who runs the homeserver")),
        }
    }
}

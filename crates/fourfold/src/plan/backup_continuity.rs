//! What becomes of the key backup of an account: whether it stays or one is made.

use serde::{Deserialize, Serialize};

use super::backup_wish::is_backup_unwanted;
use crate::backup::CurrentBackup;
use crate::{
    AccountData, BackupVersion, PublishedKeys, Secret, SecretName, SecretValueError, Verdict,
};

/// A key backup whose private key this machine has known: what it remembers of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RememberedBackup {
    version: String,
    public_key: String,
}

impl RememberedBackup {
    /// Returns `true` if this is the backup that is published, of whatever version: the one with
    /// the same key.
    #[must_use]
    pub fn is(&self, published: &BackupVersion) -> bool {
        self.public_key == published.public_key()
    }
}

impl From<&BackupVersion> for RememberedBackup {
    fn from(backup: &BackupVersion) -> Self {
        Self {
            version: backup.version().to_owned(),
            public_key: backup.public_key(),
        }
    }
}

/// Everything that is known of the key backup of an account, before something is done about it.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "every input of the decision must be given"
)]
pub struct KnownBackup<'a> {
    /// Whether the server shows one, of whatever kind.
    pub is_published: bool,
    /// The backup that it shows; `None` also if that cannot be read.
    pub published: Option<&'a BackupVersion>,
    /// Why the server does not say whether there is one.
    pub unavailable: Option<&'a str>,
    /// The backup whose private key this machine knew last.
    pub remembered: Option<&'a RememberedBackup>,
    /// The available private keys: values of `m.megolm_backup.v1`.
    pub private_keys: Vec<&'a Secret>,
    /// Whether the user turned backups off.
    pub is_unwanted: bool,
    /// Whether the user says that a backup which cannot be read, or whose private key is not at hand,
    /// is to be replaced.
    pub is_replaced: bool,
}

impl<'a> KnownBackup<'a> {
    /// What a server shows: in account data whether the user wants a backup, and the backup itself.
    /// No private key is at hand yet, nothing is remembered, and nothing is to be replaced.
    #[must_use]
    pub fn shown(account_data: &AccountData, current: &'a CurrentBackup) -> Self {
        Self {
            is_published: current.shown().is_some(),
            published: current.usable(),
            unavailable: match current {
                CurrentBackup::Unavailable(why) => {
                    Some(why.as_deref().unwrap_or("nobody asked for it"))
                }
                _ => None,
            },
            remembered: None,
            private_keys: Vec::new(),
            is_unwanted: is_backup_unwanted(account_data),
            is_replaced: false,
        }
    }

    /// What there is of a key backup, if nothing is done about it. `is_signed` is whether the published
    /// identity [signed](PublishedKeys::has_signed_backup) what is published.
    #[must_use]
    pub fn state(&self, is_signed: bool) -> BackupState {
        match self.decide() {
            Ok(BackupChoice::Keep(_)) if is_signed => BackupState::SetUp,
            Ok(BackupChoice::Keep(_)) => BackupState::Unsigned,
            Ok(BackupChoice::Leave(unknown)) => BackupState::Unknown(unknown),
            Ok(BackupChoice::DoWithout) => BackupState::Unwanted,
            Ok(BackupChoice::Create) | Err(BackupHidden { .. }) => BackupState::Missing,
        }
    }

    /// Decides how the account gets a key backup.
    ///
    /// A backup is the user's only if an available private key belongs to it. Any other may have
    /// been made by the server: it is not signed, and replaced by the user alone, because what only
    /// an earlier one holds is lost with its key.
    ///
    /// # Errors
    ///
    /// [`BackupHidden`] when none is shown on a machine that remembers one.
    pub fn decide(&self) -> Result<BackupChoice<'a>, BackupHidden> {
        if let Some(why) = self.unavailable {
            // There may be one, and nothing is put beside it that the user did not ask for.
            return Ok(if self.is_replaced {
                BackupChoice::Create
            } else {
                let reason = why.to_owned();
                BackupChoice::Leave(UnknownBackup::Unavailable { reason })
            });
        }
        if !self.is_published {
            return self.decide_unpublished();
        }
        let Some(published) = self.published else {
            // It may be the one that is remembered: nobody can tell.
            return Ok(if self.is_replaced {
                BackupChoice::Create
            } else {
                BackupChoice::Leave(UnknownBackup::Unreadable)
            });
        };
        let published_keys = PublishedKeys {
            identity: None,
            backup: Some(published.clone()),
        };
        let mut mismatch = None;
        for key in &self.private_keys {
            match published_keys.judge(&SecretName::backup_key(), key) {
                Ok(Verdict::Matches { .. }) => return Ok(BackupChoice::Keep(key)),
                Ok(_) => {}
                Err(error) => mismatch = mismatch.or(Some(error)),
            }
        }
        if self.is_replaced {
            return Ok(BackupChoice::Create);
        }
        let version = published.version().to_owned();
        let unknown = match (self.replaced_by(published), mismatch) {
            (Some(replaced), _) => replaced,
            (None, Some(error @ SecretValueError::Mismatch { .. })) => {
                UnknownBackup::OtherKey { version, error }
            }
            (None, Some(error)) => UnknownBackup::UnusableKey { version, error },
            (None, None) => UnknownBackup::NoKey { version },
        };
        Ok(BackupChoice::Leave(unknown))
    }

    fn decide_unpublished(&self) -> Result<BackupChoice<'a>, BackupHidden> {
        match self.remembered.filter(|_| !self.is_replaced) {
            _ if self.is_unwanted => Ok(BackupChoice::DoWithout),
            Some(remembered) => Err(BackupHidden {
                version: remembered.version.clone(),
            }),
            None => Ok(BackupChoice::Create),
        }
    }

    fn replaced_by(&self, published: &BackupVersion) -> Option<UnknownBackup> {
        let remembered = self.remembered.filter(|one| !one.is(published))?;
        Some(UnknownBackup::Replaced {
            remembered: remembered.version.clone(),
        })
    }
}

/// The decision about the key backup.
#[derive(Clone, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the caller must handle each of them"
)]
pub enum BackupChoice<'a> {
    /// There is none, or one that the user replaces: make one. On the homeserver that one stays beside
    /// it, an older version.
    Create,
    /// There is none, and the user wants none.
    DoWithout,
    /// It is there, and this is its private key: it stays.
    Keep(&'a Secret),
    /// It is there, and nothing shows that it is the user's: it stays as it is, and unsigned.
    Leave(UnknownBackup),
}

/// What there is of a key backup.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever tells it must have words for each of them"
)]
pub enum BackupState {
    /// It is the user's: its private key is known, and the published identity signed it.
    SetUp,
    /// There is none.
    Missing,
    /// Nothing shows that it is the user's.
    Unknown(UnknownBackup),
    /// It is the user's, and the published identity did not sign it, so that other devices may not use
    /// it: the master key is not known.
    Unsigned,
    /// There is none, and the user wants none.
    Unwanted,
}

impl BackupState {
    /// Returns `true` if there is a backup that is known to be the user's, signed or not.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::SetUp | Self::Unsigned)
    }
}

/// Why a key backup that the server shows is not known to be the user's. The versions are untrusted
/// text, and not in the message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownBackup {
    /// No private key is available: another device of the user may have it.
    #[error("its private key is not in secret storage")]
    NoKey {
        /// The version that is published.
        version: String,
    },
    /// The available private key is that of another backup.
    #[error(
        "the private key in secret storage belongs to another version of the key backup than the \
         published one: {error}"
    )]
    OtherKey {
        /// The version that is published.
        version: String,
        /// Both public keys.
        error: SecretValueError,
    },
    /// The backup that this machine knew is not the published one any more.
    #[error(
        "the server shows a different key backup than this machine knows, and none of the \
         available private keys belongs to it"
    )]
    Replaced {
        /// The version that is remembered.
        remembered: String,
    },
    /// The published backup cannot be read here. Whether it is one that this machine knew, nobody
    /// can tell.
    #[error(
        "it is damaged on the server, or uses an unknown algorithm, and cannot be compared \
         with anything"
    )]
    Unreadable,
    /// The server does not say whether there is one.
    #[error("it is not known whether there is one: {reason}")]
    Unavailable {
        /// Why, in words. Untrusted text.
        reason: String,
    },
    /// The value in secret storage is no private key.
    #[error("its private key is damaged in secret storage: {error}")]
    UnusableKey {
        /// The version that is published.
        version: String,
        /// The problem with the value.
        error: SecretValueError,
    },
}

crate::error_code::error_codes! {
    UnknownBackup:
    Self::NoKey { .. } => "unknown_backup_no_key",
    Self::OtherKey { .. } => "unknown_backup_other_key",
    Self::Replaced { .. } => "unknown_backup_replaced",
    Self::Unavailable { .. } => "unknown_backup_unavailable",
    Self::Unreadable { .. } => "unknown_backup_unreadable",
    Self::UnusableKey { .. } => "unknown_backup_unusable_key",
}

/// The server does not show the key backup that this machine remembers.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the server does not show the key backup that this machine knows, version {version}")]
#[non_exhaustive]
pub struct BackupHidden {
    /// The version that is remembered. Untrusted text.
    pub version: String,
}

crate::error_code::error_codes! {
    BackupHidden:
    Self { .. } => "backup_hidden",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NewKeyBackup;
    use crate::backup::ShownVersion;
    use crate::testing::rng_from;

    /// A backup, as the server shows it.
    fn shown(new: &NewKeyBackup, version: &str) -> BackupVersion {
        let mut answer = new.to_content();
        answer.insert("version", version);
        BackupVersion::from_json(&answer.to_json()).unwrap()
    }

    fn backup(number: u64) -> (NewKeyBackup, BackupVersion) {
        let new = NewKeyBackup::random(&mut rng_from(number));
        let version = shown(&new, "1");
        (new, version)
    }

    /// Nothing is published, known or said.
    const NOTHING: KnownBackup<'static> = KnownBackup {
        is_published: false,
        published: None,
        unavailable: None,
        remembered: None,
        private_keys: Vec::new(),
        is_unwanted: false,
        is_replaced: false,
    };

    fn published(version: &BackupVersion) -> KnownBackup<'_> {
        KnownBackup {
            is_published: true,
            published: Some(version),
            ..NOTHING
        }
    }

    fn left(known: &KnownBackup<'_>) -> UnknownBackup {
        match known.decide().unwrap() {
            BackupChoice::Leave(unknown) => unknown,
            choice => panic!("{choice:?}"),
        }
    }

    // shows: STO-06
    #[test]
    fn a_backup_that_is_remembered_is_not_made_anew() {
        let ((_, known), (_, other)) = (backup(1), backup(2));
        let remembered = RememberedBackup::from(&known);
        assert!(remembered.is(&known) && !remembered.is(&other));
        let hidden = KnownBackup {
            remembered: Some(&remembered),
            ..NOTHING
        };
        assert_eq!(hidden.decide().unwrap_err().version, "1");
        let made = NOTHING.decide().unwrap();
        assert!(matches!(made, BackupChoice::Create));
        for remembered in [None, Some(&remembered)] {
            let unwanted = KnownBackup {
                remembered,
                is_unwanted: true,
                ..NOTHING
            };
            let choice = unwanted.decide().unwrap();
            assert!(matches!(choice, BackupChoice::DoWithout));
        }
        let replaced = KnownBackup {
            is_replaced: true,
            ..hidden
        };
        let choice = replaced.decide().unwrap();
        assert!(matches!(choice, BackupChoice::Create));
    }

    // shows: STO-08
    #[test]
    fn a_backup_is_kept_with_its_private_key_and_left_without() {
        let ((own, known), (foreign, _)) = (backup(1), backup(2));
        let (own, foreign) = (own.secret(), foreign.secret());
        let damaged = Secret::new("no key");
        let with = |private_keys| KnownBackup {
            private_keys,
            ..published(&known)
        };
        for keys in [vec![&own], vec![&foreign, &own], vec![&damaged, &own]] {
            let Ok(BackupChoice::Keep(kept)) = with(keys).decide() else {
                panic!("it is not kept");
            };
            assert!(kept.is_same(&own));
        }
        let other = left(&with(vec![&foreign]));
        assert!(matches!(other, UnknownBackup::OtherKey { .. }), "{other:?}");
        let said = other.to_string();
        assert!(said.contains("another version") && said.contains(&known.public_key()));
        assert!(!said.contains(foreign.expose_secret()));
        let unusable = left(&with(vec![&damaged]));
        assert!(matches!(unusable, UnknownBackup::UnusableKey { .. }));
        let version = "1".to_owned();
        assert_eq!(left(&with(vec![])), UnknownBackup::NoKey { version });
        // The user replaces it, and not one whose key is known.
        let replaced = |private_keys| KnownBackup {
            is_replaced: true,
            ..with(private_keys)
        };
        let choice = replaced(vec![&foreign]).decide().unwrap();
        assert!(matches!(choice, BackupChoice::Create));
        let choice = replaced(vec![&own]).decide().unwrap();
        assert!(matches!(choice, BackupChoice::Keep(_)));
    }

    // shows: STO-06, STO-08
    #[test]
    fn a_backup_in_place_of_the_one_that_is_remembered_is_told() {
        let ((own, known), (foreign, other)) = (backup(1), backup(2));
        let (own, foreign) = (own.secret(), foreign.secret());
        let remembered = RememberedBackup::from(&known);
        let now = |published, private_keys| KnownBackup {
            is_published: true,
            published,
            remembered: Some(&remembered),
            private_keys,
            ..NOTHING
        };
        let replaced = UnknownBackup::Replaced {
            remembered: "1".to_owned(),
        };
        assert_eq!(left(&now(Some(&other), vec![])), replaced);
        assert_eq!(left(&now(Some(&other), vec![&own])), replaced);
        // One that cannot be read is compared with nothing, so that nothing says that it is another.
        assert_eq!(left(&now(None, vec![&own])), UnknownBackup::Unreadable);
        // The user has replaced it: the private key is that of the new one.
        let choice = now(Some(&other), vec![&foreign]).decide().unwrap();
        assert!(matches!(choice, BackupChoice::Keep(_)));
        // The same one, under another version, whose key somebody overwrote.
        let again = left(&now(Some(&known), vec![&foreign]));
        assert!(matches!(again, UnknownBackup::OtherKey { .. }));
    }

    #[test]
    fn a_backup_that_cannot_be_read_is_left_alone_unless_the_user_replaces_it() {
        let (own, known) = backup(1);
        let (own, remembered) = (own.secret(), RememberedBackup::from(&known));
        for remembered in [None, Some(&remembered)] {
            let unreadable = |is_replaced| KnownBackup {
                is_published: true,
                remembered,
                private_keys: vec![&own],
                is_replaced,
                ..NOTHING
            };
            assert_eq!(left(&unreadable(false)), UnknownBackup::Unreadable);
            let choice = unreadable(true).decide().unwrap();
            assert!(matches!(choice, BackupChoice::Create));
        }
    }

    // The server has trouble, or what stands before it has: nobody knows what there is.
    #[test]
    fn a_backup_that_is_not_shown_for_a_fault_is_left_alone_unless_the_user_replaces_it() {
        let nothing = AccountData::default();
        let current = CurrentBackup::Unavailable(Some("it is ill".to_owned()));
        let (_, known) = backup(1);
        let remembered = RememberedBackup::from(&known);
        for remembered in [None, Some(&remembered)] {
            let unknown = |is_replaced| KnownBackup {
                remembered,
                is_replaced,
                ..KnownBackup::shown(&nothing, &current)
            };
            let reason = "it is ill".to_owned();
            assert_eq!(left(&unknown(false)), UnknownBackup::Unavailable { reason });
            let choice = unknown(true).decide().unwrap();
            assert!(matches!(choice, BackupChoice::Create));
        }
    }

    #[test]
    fn what_a_server_shows_is_told_as_it_is() {
        let (own_backup, known) = backup(1);
        let own = own_backup.secret();
        let nothing = AccountData::default();
        let mut answer = own_backup.to_content();
        answer.insert("version", "1");
        let current = CurrentBackup::Shown(Box::new(ShownVersion::from_json(&answer.to_json())));
        let shown = KnownBackup::shown(&nothing, &current);
        let version = "1".to_owned();
        let no_key = BackupState::Unknown(UnknownBackup::NoKey { version });
        assert_eq!(shown.state(true), no_key);
        let with_key = KnownBackup {
            private_keys: vec![&own],
            ..shown
        };
        assert_eq!(with_key.state(true), BackupState::SetUp);
        assert_eq!(with_key.state(false), BackupState::Unsigned);
        assert_eq!(NOTHING.state(true), BackupState::Missing);
        let remembered = RememberedBackup::from(&known);
        let hidden = KnownBackup {
            remembered: Some(&remembered),
            ..NOTHING
        };
        assert_eq!(hidden.state(true), BackupState::Missing);
        for (wish, expected) in [
            (r#"{"enabled":false}"#, BackupState::Unwanted),
            (r#"{"enabled":true}"#, BackupState::Missing),
            (r#"{"enabled":"no"}"#, BackupState::Missing),
        ] {
            let json = format!(r#"{{"m.key_backup":{wish}}}"#);
            let account_data = AccountData::from_json(&json).unwrap();
            let shown = KnownBackup::shown(&account_data, &CurrentBackup::Missing);
            assert_eq!(shown.state(true), expected, "{wish}");
        }
    }
}

//! What becomes of the key backup of an account: whether it stays or one is made.

use serde::{Deserialize, Serialize};

use crate::BackupVersion;

/// A key backup whose private key this machine has known: what it remembers of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RememberedBackup {
    version: String,
    public_key: String,
}

impl RememberedBackup {
    /// Whether this is the backup that is published, of whatever version: the one with the same key.
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

/// What to do so that an account has a key backup, and `None` for nothing. `is_published` tells
/// whether the server shows one, of whatever kind; `is_unwanted`, whether the user turned it off.
///
/// A backup is replaced by the user alone: what an earlier one holds is lost with its key.
///
/// # Errors
///
/// [`BackupHidden`] when none is shown on a machine that remembers one.
pub fn decide_key_backup(
    is_published: bool,
    remembered: Option<&RememberedBackup>,
    is_unwanted: bool,
) -> Result<BackupChoice, BackupHidden> {
    match remembered {
        _ if is_published => Ok(BackupChoice::Keep),
        _ if is_unwanted => Ok(BackupChoice::DoWithout),
        Some(remembered) => Err(BackupHidden {
            version: remembered.version.clone(),
        }),
        None => Ok(BackupChoice::Create),
    }
}

/// What to do about the key backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever carries it out must do each of them"
)]
pub enum BackupChoice {
    /// There is none: make one.
    Create,
    /// There is none, and the user wants none.
    DoWithout,
    /// It is there: it stays.
    Keep,
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
    use crate::testing::rng_from;

    // shows: STO-06
    #[test]
    fn a_backup_that_is_remembered_is_not_made_anew() {
        let version = |number: u64| {
            let mut answer = NewKeyBackup::random(&mut rng_from(number)).to_content();
            answer.insert("version", "1");
            BackupVersion::from_json(&answer.to_json()).unwrap()
        };
        let (known, other) = (version(1), version(2));
        let remembered = RememberedBackup::from(&known);
        assert!(remembered.is(&known) && !remembered.is(&other));
        let decide = |is_published, remembered, is_unwanted| {
            decide_key_backup(is_published, remembered, is_unwanted)
        };
        let hidden = decide(false, Some(&remembered), false).unwrap_err();
        assert_eq!(hidden.version, "1");
        for (is_published, remembered, is_unwanted, expected) in [
            (false, None, false, BackupChoice::Create),
            (false, None, true, BackupChoice::DoWithout),
            (false, Some(&remembered), true, BackupChoice::DoWithout),
            (true, Some(&remembered), false, BackupChoice::Keep),
            (true, None, true, BackupChoice::Keep),
        ] {
            assert_eq!(decide(is_published, remembered, is_unwanted), Ok(expected));
        }
    }
}

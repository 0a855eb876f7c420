//! What this machine remembers of the account, whichever log-in it learnt it in.

use fourfold::identity::Trust;
use fourfold::plan::RememberedBackup;
use fourfold::{BackupVersion, Secret, SecretName};

use super::error::DeviceError;
use super::this_device::Device;
use super::unstored;
use crate::local_state::{SealedRows, Table};
use crate::{LocalState, SealingKey};

/// What outlives a log-in: the identity that is pinned and whom this machine trusts, secrets that
/// were made here and are not stored yet, and the key backup.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Remembered {
    /// The pins and the devices; `None` when nothing was ever known.
    pub trust: Option<Trust>,
    /// As [`Device::unstored`].
    pub unstored: Vec<(SecretName, Secret)>,
    /// The key backup whose private key was known here last.
    pub backup: Option<RememberedBackup>,
}

impl Remembered {
    /// What is kept when a new log-in takes the place of an earlier one.
    pub(super) const TABLES: [Table; 3] = [Table::Backup, Table::Trust, Table::Unstored];

    /// What earlier log-ins have left in a state, and this one if it has keys.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WrongKey`], [`DeviceError::Damaged`], and the errors of the file system.
    pub fn of(state: &LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        match state.sealed_rows(key)? {
            Some(rows) => Self::load(&rows),
            None => Ok(Self::default()),
        }
    }

    fn load(rows: &SealedRows) -> Result<Self, DeviceError> {
        Ok(Self {
            trust: rows.get(Table::Trust, "")?,
            unstored: unstored::load(rows)?,
            backup: rows.get(Table::Backup, "")?,
        })
    }
}

impl Device {
    /// What this machine remembers of the account.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Damaged`] and the errors of the file system.
    pub fn remembered(&self) -> Result<Remembered, DeviceError> {
        Remembered::load(&self.rows)
    }

    /// Remembers the key backup, whose private key is known: later it is missed when the server does
    /// not show it. Kept when this returns.
    ///
    /// # Errors
    ///
    /// The errors of the file system.
    pub fn remember_backup(&mut self, backup: &BackupVersion) -> Result<(), DeviceError> {
        let backup = RememberedBackup::from(backup);
        self.keep(|device| Ok(device.rows.put(Table::Backup, "", &backup)?))
    }
}

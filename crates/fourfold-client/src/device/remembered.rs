//! What this machine remembers of the account, whichever log-in it learnt it in.

use fourfold::identity::Trust;
use fourfold::plan::RememberedBackup;
use fourfold::{BackupVersion, Secret, SecretName};

use super::error::DeviceError;
use super::this_device::Device;
use super::unstored;
use crate::local_state::{SealedRows, Table};
use crate::{LocalState, SealingKey};

/// The state that outlives a log-in: the pinned identity, the devices that this machine trusts,
/// secrets that were made here and are not stored yet, and the key backup.
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
    /// The state that is kept when a new log-in replaces an earlier one.
    pub(super) const TABLES: [Table; 3] = [Table::Backup, Table::Trust, Table::Unstored];

    /// The state that is left by earlier log-ins, and by this one if it has keys.
    ///
    /// # Errors
    ///
    /// [`DeviceError::WrongKey`], [`DeviceError::Damaged`], and errors of reading or writing the
    /// local state.
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
    /// The history of the account on this machine.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Damaged`] and errors of reading or writing the local state.
    pub fn remembered(&self) -> Result<Remembered, DeviceError> {
        Remembered::load(&self.rows)
    }

    /// Remembers the key backup, whose private key is known: later it is missed when the server does
    /// not show it. Kept when this returns.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn remember_backup(&mut self, backup: &BackupVersion) -> Result<(), DeviceError> {
        let backup = RememberedBackup::from(backup);
        self.keep(|device| Ok(device.rows.put(Table::Backup, "", &backup)?))
    }
}

//! Secrets that were made here and are not in secret storage yet.
//!
//! Once a public key is published, its private half must not be lost, whatever happens before it is
//! stored. So it is sealed on disk first.

use std::collections::BTreeMap;
use std::mem;

use fourfold::{Secret, SecretName};

use super::error::DeviceError;
use super::this_device::Device;
use crate::local_state::{SealedRows, Table};

impl Device {
    /// Keeps secrets, sealed, until they are in secret storage. What was kept under the same names
    /// is replaced. When this returns, they survive a power failure.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub(super) fn keep_unstored(
        &mut self,
        secrets: &[(SecretName, Secret)],
    ) -> Result<(), DeviceError> {
        let before = self.unstored()?;
        let all: BTreeMap<_, _> = before
            .iter()
            .chain(secrets)
            .map(|(name, secret)| (name.as_str(), secret.expose_secret()))
            .collect();
        self.keep(|device| Ok(device.rows.put(Table::Unstored, "", &all)?))
    }

    /// The secrets that are kept; none when all are in secret storage.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Damaged`] and errors of reading or writing the local state.
    pub fn unstored(&self) -> Result<Vec<(SecretName, Secret)>, DeviceError> {
        load(&self.rows)
    }

    /// Forgets them, once they are in secret storage or of no use any more.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub(super) fn forget_unstored(&mut self) -> Result<(), DeviceError> {
        self.keep(|device| {
            device.rows.delete(Table::Unstored, "");
            Ok(())
        })
    }
}

pub(super) fn load(rows: &SealedRows) -> Result<Vec<(SecretName, Secret)>, DeviceError> {
    let kept: Option<BTreeMap<String, Wiped>> = rows.get(Table::Unstored, "")?;
    kept.unwrap_or_default()
        .into_iter()
        .map(|(name, mut secret)| {
            let name = SecretName::new(name).map_err(|_| DeviceError::Damaged)?;
            Ok((name, Secret::new(mem::take(&mut *secret.0))))
        })
        .collect()
}

/// A text that is wiped even when the ones after it cannot be read.
#[derive(serde::Deserialize)]
#[serde(from = "String")]
struct Wiped(zeroize::Zeroizing<String>);

impl From<String> for Wiped {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;
    use crate::{LocalState, SealingKey};

    #[test]
    fn they_survive_a_restart_and_a_new_log_in_and_are_not_readable() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("f");
        let key = SealingKey::from_bytes(&[7; 32]);
        let (name, other) = (SecretName::master_key(), SecretName::backup_key());
        {
            let mut state = LocalState::create(&folder, &session("https://h")).unwrap();
            let mut device = Device::create(&mut state, &key).unwrap();
            assert!(device.unstored().unwrap().is_empty());
            let keep = |device: &mut Device, name: &SecretName, text| {
                device
                    .keep_unstored(&[(name.clone(), Secret::new(text))])
                    .unwrap();
            };
            keep(&mut device, &name, "old");
            keep(&mut device, &name, "parrot one");
            keep(&mut device, &other, "parrot two");
        }
        let kept = |device: &Device| {
            let kept = device.unstored().unwrap();
            let texts = kept
                .iter()
                .map(|(name, secret)| format!("{name}={}", secret.expose_secret()));
            texts.collect::<Vec<_>>().join(" ")
        };
        let expected = "m.cross_signing.master=parrot one m.megolm_backup.v1=parrot two";
        {
            let mut state = LocalState::open(&folder, crate::testing::USER).unwrap();
            let device = Device::open(&mut state, &key).unwrap();
            assert_eq!(kept(&device), expected);
        }
        for file in std::fs::read_dir(&folder).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"parrot"));
        }
        let mut session = session("https://h");
        session.device_id = Some("ANOTHER".to_owned());
        let mut state = LocalState::create(&folder, &session).unwrap();
        let mut device = Device::create(&mut state, &key).unwrap();
        assert_eq!(kept(&device), expected);
        device.forget_unstored().unwrap();
        assert_eq!(kept(&device), "");
    }
}

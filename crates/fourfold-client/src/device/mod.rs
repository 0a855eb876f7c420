//! The device: its keys, and what it keeps about other devices.

mod clock;
mod error;
mod event;
mod new_device;
mod olm;
mod outbox;
mod receive;
mod remembered;
mod run;
mod share;
mod sharing;
mod sync;
mod trust;
mod unstored;
mod upkeep;
mod upload;
mod verify;
mod wedged;

use std::collections::{BTreeSet, VecDeque};

use fourfold::identity::Trust;
use fourfold::sharing::{Received, SecretSharing, Share, ToDeviceEvent};
use fourfold::signable::Signable;
use fourfold::{Content, Evidence, Timestamp};

use self::clock::Clock;
pub use self::error::{DeviceError, OlmError};
pub use self::event::DeviceEvent;
pub use self::new_device::NewDevice;
use self::olm::own_keys::OwnKeys;
pub use self::remembered::Remembered;
pub use self::run::Backoff;
use self::sharing::audit;
use self::sharing::machine as sharing_machine;
pub use self::sharing::secrets::{NoSecrets, ReceivedSecret, SecretSource};
use self::sync::Position;
pub use self::sync::SyncBatch;
use self::trust::LogIns;
pub use self::verify::VerificationEvent;
use crate::local_state::SealedRows;
use crate::verification::Verifications;
use crate::{Account, LocalState, SealingKey};

/// This log-in as a device with keys of its own, to which other devices of the user can send
/// secrets.
///
/// Its private keys are made here and never leave; on disk they are sealed with a [`SealingKey`].
/// As long as it lives, the [`LocalState`] that it came from stays locked against other processes.
///
/// ```no_run
/// use fourfold_client::{Account, Device, LocalState, SealingKey};
/// # async fn example(
/// #     mut state: LocalState, account: Account, key: SealingKey,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut device = if Device::exists(&state)? {
///     Device::open(&mut state, &key)?
/// } else {
///     Device::create(&mut state, &key)?
/// };
/// device.upload_keys(&account).await?;
/// println!("{}", device.ed25519());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Device {
    user_id: String,
    device_id: String,
    ed25519: String,
    curve25519: String,
    device_keys: Content,
    rows: SealedRows,
    /// Which run of the program this is: another random number each time.
    run: u64,
    clock: Clock,
    position: Position,
    trust: Trust,
    /// When the server last said that the list of devices is as it is known here.
    confirmed: Option<Timestamp>,
    log_ins: LogIns,
    /// What the server published last: the keys of the user and the version of the backup.
    evidence: Evidence,
    machine: SecretSharing,
    is_machine_changed: bool,
    /// Events about secrets that the machine has not seen yet.
    arrived: Vec<ToDeviceEvent>,
    /// What the machine let through and is not kept yet.
    received: Vec<Received>,
    /// What the machine wants to share.
    shares: VecDeque<Share>,
    audit_number: u64,
    /// The lines of the audit log that were told and not forgotten yet.
    handed_over: BTreeSet<String>,
    verifications: Verifications,
    /// What nobody was told yet.
    events: VecDeque<DeviceEvent>,
    /// Whether the files turned out to be an older copy, and nobody was told yet.
    is_restored: bool,
}

impl Device {
    /// Whether keys were made for the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`LocalStateError`](crate::LocalStateError), in the form of [`DeviceError`].
    pub fn exists(state: &LocalState) -> Result<bool, DeviceError> {
        Ok(state.session()?.is_some() && state.has_sealed_rows()?)
    }

    /// Makes keys for the log-in that is kept in a state. They are on disk when this returns, and on
    /// the server after [`upload_keys`](Self::upload_keys).
    ///
    /// Keys of an earlier log-in with another device ID are replaced: that device is gone. What was
    /// pinned and whom this machine does not trust any more stays, if `key` opens it.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Exists`] when there are keys for this log-in and `key` opens them,
    /// [`DeviceError::LoggedOut`], [`DeviceError::NoDeviceId`], and the errors of the file system.
    pub fn create(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        NewDevice::generate(state)?.keep(state, key)
    }

    /// Opens the keys of the log-in that is kept in a state.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NoKeys`] when none were made, [`DeviceError::WrongKey`],
    /// [`DeviceError::OtherDevice`] when they belong to an earlier log-in,
    /// [`DeviceError::LoggedOut`], [`DeviceError::Damaged`], and the errors of the file system.
    pub fn open(state: &mut LocalState, key: &SealingKey) -> Result<Self, DeviceError> {
        let device_id = new_device::id(state)?;
        let rows = state.sealed_rows(key)?.ok_or(DeviceError::NoKeys)?;
        let keys = OwnKeys::load(&rows)?.ok_or(DeviceError::Damaged)?;
        if keys.device_id == device_id && keys.user_id == state.user_id() {
            Self::with(rows, &keys)
        } else {
            Err(DeviceError::OtherDevice)
        }
    }

    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The ID of the device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// The public Ed25519 key, which people compare as the fingerprint: unpadded base64.
    #[must_use]
    pub fn ed25519(&self) -> &str {
        &self.ed25519
    }

    /// The public Curve25519 key, to which others encrypt: unpadded base64.
    #[must_use]
    pub fn curve25519(&self) -> &str {
        &self.curve25519
    }

    /// The keys as they are published
    /// ([`DeviceKeys`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload_request_devicekeys)):
    /// `user_id`, `device_id`, `algorithms`, `keys`, and the signature of the device itself. Built
    /// from the private keys, not from what a server says: what signs this signs this device.
    #[must_use]
    pub fn device_keys(&self) -> &Content {
        &self.device_keys
    }

    /// Adds the signature of this device to an object that was built here, such as the master key or
    /// the data of a key backup, under `signatures[user]["ed25519:DEVICE"]`. Other signatures stay.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Unsignable`] when the object has no canonical form, and the errors of the file
    /// system.
    pub fn sign(&self, object: &mut Signable) -> Result<(), DeviceError> {
        self.keys()?.sign(object)
    }

    fn with(rows: SealedRows, keys: &OwnKeys) -> Result<Self, DeviceError> {
        let position = sync::load(&rows)?;
        Ok(Self {
            clock: Clock::start(position.moment),
            position,
            trust: trust::load(&rows, &keys.user_id, &keys.device_id)?,
            confirmed: None,
            log_ins: LogIns::default(),
            evidence: Evidence::default(),
            machine: sharing_machine::load(&rows)?,
            is_machine_changed: false,
            arrived: Vec::new(),
            received: Vec::new(),
            shares: VecDeque::new(),
            audit_number: audit::last_number(&rows)?,
            handed_over: BTreeSet::new(),
            verifications: Verifications::default(),
            events: VecDeque::new(),
            user_id: keys.user_id.clone(),
            device_id: keys.device_id.clone(),
            ed25519: keys.account.ed25519_key().to_base64(),
            curve25519: keys.account.curve25519_key().to_base64(),
            device_keys: keys.device_keys()?,
            rows,
            run: getrandom::u64().map_err(|_| DeviceError::Randomness)?,
            is_restored: false,
        })
    }

    fn keys(&self) -> Result<OwnKeys, DeviceError> {
        OwnKeys::load(&self.rows)?.ok_or(DeviceError::Damaged)
    }

    /// Keeps what is pending. After an error nothing of it happened, neither on disk nor here.
    fn commit(&mut self) -> Result<(), DeviceError> {
        let kept = self.keep_machine();
        let committed = kept.and_then(|()| Ok(self.rows.commit()?));
        self.or_rolled_back(committed)
    }

    /// After an error, goes back to what is kept.
    fn or_rolled_back<T>(&mut self, result: Result<T, DeviceError>) -> Result<T, DeviceError> {
        if result.is_err() {
            self.rows.discard();
            self.position = sync::load(&self.rows)?;
            self.trust = trust::load(&self.rows, &self.user_id, &self.device_id)?;
            self.machine = sharing_machine::load(&self.rows)?;
            self.is_machine_changed = false;
            self.arrived.clear();
            self.received.clear();
            // The machine wants them again.
            self.shares.clear();
        }
        result
    }

    fn check_account(&self, account: &Account) -> Result<(), DeviceError> {
        if account.user_id() == self.user_id && account.device_id() == Some(&self.device_id) {
            Ok(())
        } else {
            Err(DeviceError::OtherDevice)
        }
    }
}

#[cfg(test)]
mod tests;

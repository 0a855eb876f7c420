//! The device, put together of its parts.

use fourfold::sharing::Input;
use fourfold::signable::Signable;
use fourfold::{Content, Timestamp};

use super::clock::Clock;
use super::device_list::DeviceList;
use super::error::DeviceError;
use super::event_queue::EventQueue;
use super::olm::{OwnDevice, OwnKeys};
use super::outbox::Outbox;
use super::position::Position;
use super::sharing::Sharing;
use crate::Account;
use crate::local_state::SealedRows;
use crate::verification::Verifications;

/// This log-in as a device with keys of its own, to which other devices of the user can send
/// secrets.
///
/// Its private keys are made here and never leave; on disk they are sealed with a [`SealingKey`](crate::SealingKey).
/// As long as it lives, the [`LocalState`](crate::LocalState) that it came from stays locked against other processes.
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
// Each part owns its state; they meet in the functions of the device only. What a part changes is
// pending in the rows until `commit`, the one step before anything leaves: what is sent comes out of
// the outbox, which reads the disk. Where something is pending while others are waited for, a `Step`
// sees to it that a future that is dropped leaves nothing behind.
#[derive(Debug)]
pub struct Device {
    pub(super) own: OwnDevice,
    pub(super) rows: SealedRows,
    pub(super) clock: Clock,
    pub(super) position: Position,
    pub(super) devices: DeviceList,
    pub(super) sharing: Sharing,
    pub(super) verifications: Verifications,
    pub(super) outbox: Outbox,
    pub(super) events: EventQueue,
    /// Why the device could not go back to what is kept. Until it has, nothing is kept.
    pub(super) torn: Option<DeviceError>,
}

impl Device {
    /// The user, such as `@alice:example.org`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.own.user_id()
    }

    /// The ID of the device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        self.own.device_id()
    }

    /// The public Ed25519 key, which people compare as the fingerprint: unpadded base64.
    #[must_use]
    pub fn ed25519(&self) -> &str {
        self.own.ed25519()
    }

    /// The public Curve25519 key, to which others encrypt: unpadded base64.
    #[must_use]
    pub fn curve25519(&self) -> &str {
        self.own.curve25519()
    }

    /// The keys as they are published
    /// ([`DeviceKeys`](https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload_request_devicekeys)):
    /// `user_id`, `device_id`, `algorithms`, `keys`, and the signature of the device itself. Built
    /// from the private keys, not from what a server says: what signs this signs this device.
    #[must_use]
    pub fn device_keys(&self) -> &Content {
        self.own.device_keys()
    }

    /// Adds the signature of this device to an object that was built here, such as the master key or
    /// the data of a key backup, under `signatures[user]["ed25519:DEVICE"]`. Other signatures stay.
    ///
    /// # Errors
    ///
    /// [`DeviceError::Unsignable`] when the object has no canonical form, and errors of reading or
    /// writing the local state.
    pub fn sign(&self, object: &mut Signable) -> Result<(), DeviceError> {
        self.keys()?.sign(object)
    }

    pub(super) fn with(rows: SealedRows, keys: &OwnKeys) -> Result<Self, DeviceError> {
        let own = OwnDevice::new(keys)?;
        let position = Position::load(&rows)?;
        Ok(Self {
            clock: Clock::start(position.moment),
            position,
            devices: DeviceList::load(&rows, &own)?,
            sharing: Sharing::load(&rows)?,
            verifications: Verifications::default(),
            outbox: Outbox::new(own.user_id()),
            events: EventQueue::default(),
            torn: None,
            own,
            rows,
        })
    }

    pub(super) fn keys(&self) -> Result<OwnKeys, DeviceError> {
        OwnKeys::load(&self.rows)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells secret sharing what happened. Pending until the caller commits.
    pub(super) fn tell(&mut self, input: Input) {
        let context = self.devices.context(self.clock.now());
        self.sharing.handle(input, &context);
    }

    /// Carries out what secret sharing wants, as far as it needs neither the network nor a secret.
    /// Pending until the caller commits.
    pub(super) fn poll_sharing(&mut self) -> Result<(), DeviceError> {
        let context = self.devices.context(self.clock.now());
        self.sharing
            .poll(&mut self.rows, &self.outbox, &context, &mut self.events)
    }

    /// Sends what was committed.
    pub(super) async fn send_waiting(&mut self, account: &Account) -> Result<(), DeviceError> {
        let sent = self.outbox.send(&mut self.rows, account).await;
        Ok(self.or_rolled_back(sent)??)
    }

    pub(super) fn check_account(&self, account: &Account) -> Result<(), DeviceError> {
        let is_this =
            account.user_id() == self.user_id() && account.device_id() == Some(self.device_id());
        is_this.then_some(()).ok_or(DeviceError::OtherDevice)
    }
}

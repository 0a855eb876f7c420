//! This device: its keys, made when they are needed first, and what they are sealed with.

use fourfold::Content;
use fourfold::cross_signing::{ConfirmedDevice, SignDeviceError};
use fourfold::identity::{DeviceTrust, PinnedBy, Trust, UserKeys};
use fourfold::plan::{self, Action};
use fourfold::signable::Signable;
use fourfold::signed_json::SigningKey;
use fourfold_client::{
    ApplyError, Device, DeviceError, DeviceLists, ErrorKind, NewDevice, Remembered,
    escape_untrusted,
};

use crate::account::{LoggedIn, change};
use crate::error::{Error, Exit, Result};
use crate::keys::sealing_key::{self, Sealing, SealingOptions, Unsealed};
use crate::storage::judged::Writable;
use crate::terminal::messages;

/// Opens this device if it has keys. Nothing is made.
pub(crate) fn existing(
    logged_in: &mut LoggedIn,
    options: &SealingOptions,
) -> Result<Option<Device>> {
    match unsealed(logged_in, options)? {
        Some(Unsealed::Device(device, _)) => Ok(Some(*device)),
        _ => Ok(None),
    }
}

/// What of this machine is sealed and opens, an earlier log-in included.
fn unsealed(logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Option<Unsealed>> {
    if !Device::exists(&logged_in.state)? {
        return Ok(None);
    }
    let sealing = sealing_key::find(&logged_in.state, options)?;
    sealing.open(&mut logged_in.state).map(Some)
}

/// This device, and what its machine remembers.
pub(crate) struct ThisDevice {
    keys: Keys,
    pub(crate) remembered: Remembered,
}

/// Keys of this device that are kept, or that are made and not kept yet.
enum Keys {
    Kept(Box<Device>),
    /// With what they are sealed with, if that was asked for already.
    New(Box<NewDevice>, Option<Sealing>),
}

impl ThisDevice {
    /// Opens this device, or makes keys for it, which are kept and published by [`keep`](Self::keep)
    /// and [`ready`](Self::ready).
    ///
    /// Refused when the homeserver shows other keys under its ID than were made here.
    pub(crate) fn find(
        logged_in: &mut LoggedIn,
        options: &SealingOptions,
        published: &UserKeys,
    ) -> Result<Self> {
        let this = Self::open(logged_in, options)?;
        this.check_is_ours(logged_in, published)?;
        Ok(this)
    }

    /// The same before anybody looked at what the homeserver shows.
    pub(crate) fn open(logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Self> {
        let (remembered, sealing) = match unsealed(logged_in, options)? {
            Some(Unsealed::Device(device, _)) => {
                return Ok(Self {
                    remembered: device.remembered()?,
                    keys: Keys::Kept(device),
                });
            }
            Some(Unsealed::Earlier(sealing)) => {
                (sealing.remembered(&logged_in.state)?, Some(sealing))
            }
            Some(Unsealed::Nothing(sealing)) => (Remembered::default(), Some(sealing)),
            None => (Remembered::default(), None),
        };
        let new = Box::new(NewDevice::generate(&logged_in.state)?);
        Ok(Self {
            keys: Keys::New(new, sealing),
            remembered,
        })
    }

    /// Refuses when the homeserver shows other keys under the ID of this device than were made here.
    pub(crate) fn check_is_ours(&self, logged_in: &LoggedIn, published: &UserKeys) -> Result<()> {
        let id = id(logged_in)?;
        match (published.device(&id), &self.keys) {
            (None, _) => Ok(()),
            (Some(_), Keys::Kept(device)) => confirm(device, published).map(|_| ()),
            (Some(_), Keys::New(..)) => Err(Error::new(
                Exit::NotVerified,
                format!(
                    "the homeserver shows keys of the device {} that were not made here; nothing \
                     was signed",
                    escape_untrusted(&id)
                ),
            )
            .hint("log out and in again: then this device gets keys of its own")),
        }
    }

    /// The device, with keys that are kept and published from now on.
    pub(crate) fn ready(
        self,
        logged_in: &mut LoggedIn,
        options: &SealingOptions,
    ) -> Result<Device> {
        let mut device = self.keep(logged_in, options)?;
        publish(logged_in, &mut device)?;
        Ok(device)
    }

    /// The device, with keys that are kept from now on.
    pub(crate) fn keep(self, logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Device> {
        match self.keys {
            Keys::Kept(device) => Ok(*device),
            Keys::New(new, sealing) => {
                let sealing = match sealing {
                    Some(sealing) => sealing,
                    None => sealing_key::find(&logged_in.state, options)?,
                };
                let key = sealing.for_new_device()?;
                Ok(new.keep(&mut logged_in.state, &key)?)
            }
        }
    }

    pub(crate) fn device_keys(&self) -> &Content {
        match &self.keys {
            Keys::Kept(device) => device.device_keys(),
            Keys::New(new, _) => new.device_keys(),
        }
    }

    pub(crate) fn sign(&self, object: &mut Signable) -> std::result::Result<(), DeviceError> {
        match &self.keys {
            Keys::Kept(device) => device.sign(object),
            Keys::New(new, _) => new.sign(object),
        }
    }
}

/// Publishes what of the device's keys is not published yet.
pub(crate) fn publish(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = messages::busy("publishing the keys of this device");
    Ok(logged_in.wait(device.upload_keys(&logged_in.account))?)
}

/// The keys of this device as they are here, confirmed against what the homeserver shows.
pub(crate) fn confirm(device: &Device, published: &UserKeys) -> Result<ConfirmedDevice> {
    let this = ConfirmedDevice::own(device.device_keys())?;
    this.check_served(published)?;
    Ok(this)
}

/// Signs a device, unless it is signed already. Whether it was signed now.
///
/// What an interrupted attempt has left is not gone on with: the signature is made anew.
pub(crate) fn sign(
    logged_in: &mut LoggedIn,
    snapshot: &Writable,
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
    published: &UserKeys,
) -> std::result::Result<bool, NotSigned> {
    let plan =
        plan::sign_device(published, device, self_signing_key).map_err(NotSigned::refused)?;
    if plan.is_empty() {
        return Ok(false);
    }
    let applied = change::try_apply(logged_in, snapshot.clear(&plan), None);
    applied.map_err(|error| {
        let is_accepted = matches!(error, ApplyError::ReadBack { .. });
        let error = match forget_signature(logged_in) {
            Ok(()) if is_accepted => {
                Error::from(error).hint("try again; if it stays so, ask who runs the homeserver")
            }
            Ok(()) => error.into(),
            Err(error) => error,
        };
        NotSigned { is_accepted, error }
    })?;
    Ok(true)
}

/// Forgets a signature that an interrupted attempt has left.
pub(crate) fn forget_signature(logged_in: &mut LoggedIn) -> Result<()> {
    let is_signature = |plan: fourfold::Plan| {
        let mut steps = plan.steps.iter();
        steps.all(|step| matches!(step.action, Action::SignDevice(_)))
    };
    if logged_in.state.journal()?.is_some_and(is_signature) {
        logged_in.state.abandon()?;
    }
    Ok(())
}

/// Why a device is not signed, and whether the homeserver said that it is.
pub(crate) struct NotSigned {
    pub(crate) is_accepted: bool,
    pub(crate) error: Error,
}

impl NotSigned {
    fn refused(error: SignDeviceError) -> Self {
        Self {
            is_accepted: false,
            error: error.into(),
        }
    }
}

impl From<NotSigned> for Error {
    fn from(failed: NotSigned) -> Self {
        failed.error
    }
}

/// The ID of this device.
pub(crate) fn id(logged_in: &LoggedIn) -> Result<String> {
    let id = logged_in.account.device_id().map(str::to_owned);
    id.ok_or_else(|| DeviceError::NoDeviceId.into())
}

/// Everything that the homeserver publishes of the user's keys.
pub(crate) fn published(logged_in: &LoggedIn) -> Result<UserKeys> {
    let _busy = messages::busy("reading the published keys");
    let published = logged_in.wait(logged_in.account.published_keys());
    published.map_err(not_published)
}

/// The same, and who is logged in.
pub(crate) fn lists(logged_in: &LoggedIn) -> Result<DeviceLists> {
    let _busy = messages::busy("reading the list of devices");
    let lists = logged_in.wait(logged_in.account.device_lists());
    lists.map_err(not_published)
}

fn not_published(error: fourfold_client::Error) -> Error {
    let is_unknown = match error.kind() {
        ErrorKind::Matrix { errcode, .. } => errcode == "M_UNRECOGNIZED",
        ErrorKind::NotAHomeserver { status } => matches!(status, 404 | 405),
        _ => false,
    };
    let error = Error::from(error);
    if is_unknown {
        error.hint(
            "it keeps no keys of devices; secret storage alone: fourfold setup --storage-only",
        )
    } else {
        error
    }
}

/// How this machine judges the devices that the homeserver lists: as the agent does.
pub(crate) struct Judge<'a> {
    lists: &'a DeviceLists,
    /// None before this machine has keys.
    trust: Option<Trust>,
    this_device: Option<String>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        logged_in: &mut LoggedIn,
        options: &SealingOptions,
        lists: &'a DeviceLists,
    ) -> Result<Self> {
        let device = existing(logged_in, options)?;
        let trust = match device {
            None => None,
            Some(mut device) => {
                device.observe(lists)?;
                warn_of_alarm(&device);
                Some(device.trust().clone())
            }
        };
        Ok(Self {
            lists,
            trust,
            this_device: logged_in.account.device_id().map(str::to_owned),
        })
    }

    pub(crate) fn is_this_device(&self, id: &str) -> bool {
        self.this_device.as_deref() == Some(id)
    }

    pub(crate) fn verdict(&self, id: &str) -> DeviceTrust {
        match &self.trust {
            None => {
                let logged_in = self.lists.logged_in();
                DeviceTrust::at_first_sight(id, &self.lists.keys, logged_in.as_ref())
            }
            Some(trust) if self.is_this_device(id) => trust.verdict_on_this_device(),
            Some(trust) => trust.verdict(id),
        }
    }
}

/// This device, with keys that are published and are its own.
pub(crate) fn ready(
    logged_in: &mut LoggedIn,
    options: &SealingOptions,
    published: &UserKeys,
) -> Result<Device> {
    ThisDevice::find(logged_in, options, published)?.ready(logged_in, options)
}

/// Holds on to the master key, whose private half is known: from now on another one is an alarm,
/// not an identity. Whether it takes the place of another one is what the user said.
pub(crate) fn pin(
    logged_in: &LoggedIn,
    device: &mut Device,
    master: &SigningKey,
    replaces: bool,
) -> Result<()> {
    refresh(logged_in, device)?;
    let (master, how) = (master.public_key(), PinnedBy::PrivateKey);
    if replaces {
        device.replace_pin(master, how)?;
    } else {
        device.pin(master, how)?;
    }
    Ok(())
}

/// Looks at the user's devices again, and says what is wrong with them.
pub(crate) fn refresh(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = messages::busy("reading the published keys");
    logged_in.wait(device.refresh(&logged_in.account))?;
    warn_of_alarm(device);
    Ok(())
}

fn warn_of_alarm(device: &Device) {
    if let Some(alarm) = device.trust().alarm() {
        messages::warn(alarm);
    }
}

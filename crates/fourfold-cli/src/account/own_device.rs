//! This device: its keys, made when they are needed first, and what they are sealed with.

use fourfold::cross_signing::{ConfirmedDevice, KnownKeys};
use fourfold::identity::{DeviceTrust, Trust, UserKeys};
use fourfold::judged::Writable;
use fourfold::signable::Signable;
use fourfold::signed_json::{PublicKey, SigningKey};
use fourfold_client::{
    Device, DeviceError, DeviceLists, ErrorKind, NewDevice, Remembered, VerifySelfError,
};

use crate::account::LoggedIn;
use crate::error::{Error, Result};
use crate::keys::sealing_key::{self, Sealing, SealingOptions, Unsealed};
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

/// The sealed state of this machine that opens, including that of an earlier log-in.
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
        this.check_is_ours(published)?;
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
    pub(crate) fn check_is_ours(&self, published: &UserKeys) -> Result<()> {
        match &self.keys {
            Keys::Kept(device) => Ok(device.check_shown(published)?),
            Keys::New(new, _) => Ok(new.check_shown(published)?),
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

    /// Its keys as they are on this machine.
    pub(crate) fn confirmed(&self) -> Result<ConfirmedDevice> {
        let keys = match &self.keys {
            Keys::Kept(device) => device.device_keys(),
            Keys::New(new, _) => new.device_keys(),
        };
        Ok(ConfirmedDevice::own(keys)?)
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

/// Signs a device, unless it is signed already. Whether it was signed now.
pub(crate) fn sign(
    logged_in: &mut LoggedIn,
    now: &Writable,
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
    published: &UserKeys,
) -> Result<bool> {
    let _busy = messages::busy("signing the device");
    let signed = logged_in.with_state(async |account, state| {
        fourfold_client::sign_device(account, state, now, device, self_signing_key, published).await
    });
    Ok(signed?)
}

/// The same for this device.
pub(crate) fn sign_self(
    logged_in: &mut LoggedIn,
    now: &Writable,
    device: &mut Device,
    keys: &KnownKeys,
    replaces_pin: bool,
) -> std::result::Result<bool, VerifySelfError> {
    let _busy = messages::busy("signing this device");
    logged_in.with_state(async |account, state| {
        device
            .sign_self(account, state, now, keys, replaces_pin)
            .await
    })
}

/// Forgets a signature that an interrupted attempt has left: it is made anew.
pub(crate) fn forget_signature(logged_in: &mut LoggedIn) -> Result<()> {
    Ok(fourfold_client::forget_signature(&mut logged_in.state)?)
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
            "it does not store device keys; for secret storage alone: fourfold setup \
             --storage-only",
        )
    } else {
        error
    }
}

/// The trust of this machine in the devices that the homeserver lists, as in the agent.
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

/// Holds on to the master key, whose private half is known. Whether it takes the place of another one
/// is what the user said.
pub(crate) fn hold_on_to(
    logged_in: &LoggedIn,
    device: &mut Device,
    master: PublicKey,
    replaces_pin: bool,
) -> Result<()> {
    let _busy = messages::busy("reading the published keys");
    let held = logged_in.wait(device.hold_on_to(&logged_in.account, master, replaces_pin));
    warn_of_alarm(device);
    Ok(held?)
}

/// Looks at the user's devices again, and says what is wrong with them.
pub(crate) fn refresh(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = messages::busy("reading the published keys");
    logged_in.wait(device.refresh(&logged_in.account))?;
    warn_of_alarm(device);
    Ok(())
}

pub(crate) fn warn_of_alarm(device: &Device) {
    if let Some(alarm) = device.trust().alarm() {
        messages::warn(alarm);
    }
}

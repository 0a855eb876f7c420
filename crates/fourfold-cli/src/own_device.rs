//! This device: its keys, made when they are needed first, and what they are sealed with.

use fourfold::{
    Content,
    cross_signing::{ConfirmedDevice, NotConfirmed, SignDeviceError},
    identity::{PinnedBy, UserKeys},
    plan::{self, Action},
    signable::Signable,
    signed_json::SigningKey,
};
use fourfold_client::{ApplyError, Device, DeviceError, ErrorKind, NewDevice, escape_untrusted};

use crate::{
    account::LoggedIn,
    change,
    error::{Error, Exit, Result},
    sealing_key::{self, SealingOptions},
    ui,
};

/// Opens this device if it has keys. Nothing is made.
pub(crate) fn existing(
    logged_in: &mut LoggedIn,
    options: &SealingOptions,
) -> Result<Option<Device>> {
    if !Device::exists(&logged_in.state)? {
        return Ok(None);
    }
    let sealing = sealing_key::find(&logged_in.state, options)?;
    match Device::open(&mut logged_in.state, &sealing.key) {
        Err(DeviceError::NoKeys | DeviceError::OtherDevice) => Ok(None),
        Err(DeviceError::WrongKey) if !sealing.is_in_use => Ok(None),
        device => {
            let device = device?;
            sealing.remember()?;
            Ok(Some(device))
        }
    }
}

/// This device: with keys that are kept, or that are made and not kept yet.
pub(crate) enum ThisDevice {
    Kept(Box<Device>),
    New(Box<NewDevice>),
}

impl ThisDevice {
    /// Opens this device, or makes keys for it. Nothing is written.
    ///
    /// Refused when the homeserver shows other keys under its ID than were made here.
    pub(crate) fn find(
        logged_in: &mut LoggedIn,
        options: &SealingOptions,
        published: &UserKeys,
    ) -> Result<Self> {
        let device = existing(logged_in, options)?;
        check_is_ours(logged_in, device.as_ref(), published)?;
        Ok(match device {
            Some(device) => Self::Kept(Box::new(device)),
            None => Self::New(Box::new(NewDevice::generate(&logged_in.state)?)),
        })
    }

    /// Opens this device if its keys are kept.
    pub(crate) fn kept(&self) -> Option<&Device> {
        match self {
            Self::Kept(device) => Some(device),
            Self::New(_) => None,
        }
    }

    /// The device, with keys that are kept from now on.
    pub(crate) fn keep(self, logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Device> {
        match self {
            Self::Kept(device) => Ok(*device),
            Self::New(new) => {
                let sealing = sealing_key::find(&logged_in.state, options)?;
                Ok(new.keep(&mut logged_in.state, &sealing.key)?)
            }
        }
    }

    pub(crate) fn device_keys(&self) -> &Content {
        match self {
            Self::Kept(device) => device.device_keys(),
            Self::New(new) => new.device_keys(),
        }
    }

    pub(crate) fn sign(&self, object: &mut Signable) -> std::result::Result<(), DeviceError> {
        match self {
            Self::Kept(device) => device.sign(object),
            Self::New(new) => new.sign(object),
        }
    }
}

/// Publishes what of the device's keys is not published yet.
pub(crate) fn publish(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = ui::busy("publishing the keys of this device");
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
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
    published: &UserKeys,
) -> std::result::Result<bool, NotSigned> {
    let plan =
        plan::sign_device(published, device, self_signing_key).map_err(NotSigned::refused)?;
    if plan.is_empty() {
        return Ok(false);
    }
    let applied = change::try_apply(logged_in, &plan, None);
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

impl From<NotConfirmed> for Error {
    fn from(error: NotConfirmed) -> Self {
        let hint = match error {
            NotConfirmed::NotShown => {
                "fourfold device ls shows the devices; if this one stays out of sight, log out and \
                 in again: then it gets new keys"
            }
            NotConfirmed::OtherFingerprint => {
                "compare the fingerprint again, on the screen of the device itself"
            }
            _ => "the homeserver, or somebody who controls it, shows false keys: ask who runs it",
        };
        Self::new(Exit::NotVerified, format!("{error}; nothing was signed")).hint(hint)
    }
}

impl From<SignDeviceError> for Error {
    fn from(error: SignDeviceError) -> Self {
        match error {
            SignDeviceError::Device(error) => error.into(),
            error => Self::new(Exit::NotVerified, format!("{error}; nothing was signed")),
        }
    }
}

/// The ID of this device.
pub(crate) fn id(logged_in: &LoggedIn) -> Result<String> {
    let id = logged_in.account.device_id().map(str::to_owned);
    id.ok_or_else(|| DeviceError::NoDeviceId.into())
}

/// Everything that the homeserver publishes of the user's keys.
pub(crate) fn published(logged_in: &LoggedIn) -> Result<UserKeys> {
    let _busy = ui::busy("reading the published keys");
    logged_in
        .wait(logged_in.account.published_keys())
        .map_err(|error| {
            let is_unknown = match error.kind() {
                ErrorKind::Matrix { errcode, .. } => errcode == "M_UNRECOGNIZED",
                ErrorKind::NotAHomeserver { status } => matches!(status, 404 | 405),
                _ => false,
            };
            let error = Error::from(error);
            if is_unknown {
                error.hint("it keeps no keys of devices; secret storage alone: fourfold setup --storage-only")
            } else {
                error
            }
        })
}

/// Refuses when the homeserver shows other keys under the ID of this device than were made here.
fn check_is_ours(
    logged_in: &LoggedIn,
    device: Option<&Device>,
    published: &UserKeys,
) -> Result<()> {
    let id = id(logged_in)?;
    match (published.device(&id), device) {
        (None, _) => Ok(()),
        (Some(_), Some(device)) => confirm(device, published).map(|_| ()),
        (Some(_), None) => Err(Error::new(
            Exit::NotVerified,
            format!(
                "the homeserver shows keys of the device {} that were not made here; nothing was \
                 signed",
                escape_untrusted(&id)
            ),
        )
        .hint("log out and in again: then this device gets keys of its own")),
    }
}

/// A public key in groups of four, as people compare it.
pub(crate) fn fingerprint(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}

/// This device, with keys that are published and are its own.
pub(crate) fn ready(
    logged_in: &mut LoggedIn,
    options: &SealingOptions,
    published: &UserKeys,
) -> Result<Device> {
    let device = ThisDevice::find(logged_in, options, published)?;
    let mut device = device.keep(logged_in, options)?;
    publish(logged_in, &mut device)?;
    Ok(device)
}

/// Holds on to the master key, whose private half is known: from now on another one is an alarm,
/// not an identity.
pub(crate) fn pin(logged_in: &LoggedIn, device: &mut Device, master: &SigningKey) -> Result<()> {
    refresh(logged_in, device)?;
    Ok(device.pin(master.public_key(), PinnedBy::PrivateKey)?)
}

/// Looks at the user's devices again, and says what is wrong with them.
pub(crate) fn refresh(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = ui::busy("reading the published keys");
    logged_in.wait(device.refresh(&logged_in.account))?;
    if let Some(alarm) = device.trust().alarm() {
        ui::warn(alarm);
    }
    Ok(())
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::LocalState(error) => error.into(),
            DeviceError::Server(error) => error.into(),
            DeviceError::WrongKey => Self::new(Exit::WrongKey, error)
                .hint("give the right one with --store-key-file or --store-passphrase-file"),
            DeviceError::Damaged => Self::new(Exit::Corrupt, error),
            DeviceError::NotVerifiable => {
                Self::new(Exit::NotVerified, error).hint("fourfold device ls")
            }
            error => Self::usage(error),
        }
    }
}

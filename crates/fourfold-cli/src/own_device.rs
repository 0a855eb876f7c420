//! This device: its keys, made when they are needed first, and what they are sealed with.

use fourfold::{cross_signing::ConfirmedDevice, identity::PinnedBy, signed_json::SigningKey};
use fourfold_client::{
    Device, DeviceError, ErrorKind, PublishedKeys, SigningError, escape_untrusted,
};

use crate::{
    account::LoggedIn,
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

/// Makes the keys of this device. The homeserver knows nothing of them yet.
pub(crate) fn make(logged_in: &mut LoggedIn, options: &SealingOptions) -> Result<Device> {
    let sealing = sealing_key::find(&logged_in.state, options)?;
    Ok(Device::create(&mut logged_in.state, &sealing.key)?)
}

/// Publishes what of the device's keys is not published yet.
pub(crate) fn publish(logged_in: &LoggedIn, device: &mut Device) -> Result<()> {
    let _busy = ui::busy("publishing the keys of this device");
    Ok(logged_in.wait(device.upload_keys(&logged_in.account))?)
}

/// The keys of this device as they are here, confirmed against what the homeserver shows.
pub(crate) fn confirm(device: &Device, published: &PublishedKeys) -> Result<ConfirmedDevice> {
    let served = published.device(device.device_id()).ok_or_else(|| {
        Error::new(
            Exit::NotVerified,
            "the homeserver does not show the keys of this device; nothing was signed",
        )
        .hint("try again; if it stays so, log out and in again: then this device gets new keys")
    })?;
    ConfirmedDevice::own(device.device_keys(), served).map_err(|error| {
        Error::new(Exit::NotVerified, format!("{error}; nothing was signed"))
            .hint("the homeserver, or somebody who controls it, shows false keys: ask who runs it")
    })
}

/// Whether the identity signed this device already.
pub(crate) fn is_signed(device: &Device, published: &PublishedKeys) -> Result<bool> {
    let Some(served) = published.device(device.device_id()) else {
        return Ok(false);
    };
    let confirmed = confirm(device, published)?;
    Ok(confirmed.check_signed(served, published.identity()).is_ok())
}

/// Signs a device, unless it is signed already. Whether it was signed now.
pub(crate) fn sign(
    logged_in: &LoggedIn,
    device: &ConfirmedDevice,
    self_signing_key: &SigningKey,
    published: &PublishedKeys,
) -> std::result::Result<bool, NotSigned> {
    let served = published.device(device.device_id());
    let is_signed = |served| device.check_signed(served, published.identity()).is_ok();
    if served.is_some_and(is_signed) {
        return Ok(false);
    }
    let _busy = ui::busy("signing the device");
    logged_in
        .wait(
            logged_in
                .account
                .sign_device(device, self_signing_key, published),
        )
        .map(|()| true)
        .map_err(|error| NotSigned {
            is_accepted: matches!(error, SigningError::NotShown | SigningError::NotAsSigned(_)),
            error: error.into(),
        })
}

/// Why a device is not signed, and whether the homeserver said that it is.
pub(crate) struct NotSigned {
    pub(crate) is_accepted: bool,
    pub(crate) error: Error,
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
pub(crate) fn published(logged_in: &LoggedIn) -> Result<PublishedKeys> {
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
pub(crate) fn check_is_ours(
    logged_in: &LoggedIn,
    device: Option<&Device>,
    published: &PublishedKeys,
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
    published: &PublishedKeys,
) -> Result<Device> {
    let device = existing(logged_in, options)?;
    check_is_ours(logged_in, device.as_ref(), published)?;
    let mut device = match device {
        Some(device) => device,
        None => make(logged_in, options)?,
    };
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

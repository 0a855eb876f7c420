//! `fourfold device ls`: the devices, and which of them are verified.

use std::collections::BTreeMap;

use clap::Args;
use fourfold::{
    cross_signing::ConfirmedDevice,
    identity::{DeviceTrust, Trust, UserKeys},
    signed_json::PublicKey,
};
use fourfold_client::{DeviceInfo, escape_untrusted};
use serde::Serialize;

use crate::{
    account::LoggedIn, arguments::Global, error::Result, output, own_device,
    sealing_key::SealingOptions,
};

/// Options of `device ls`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    sealing: SealingOptions,
}

/// Lists every device that is logged in or has keys.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let listed = logged_in.wait(logged_in.account.devices())?;
    let published = own_device::published(&logged_in)?;
    let mut this = own_device::existing(&mut logged_in, &options.sealing)?;
    if let Some(device) = &mut this {
        own_device::refresh(&logged_in, device)?;
    }
    let trust = this.as_ref().map(fourfold_client::Device::trust);
    let own = logged_in.account.device_id();
    let devices = devices(own, &listed, &published, trust);
    if global.json {
        return output::json(&devices);
    }
    devices.iter().try_for_each(Device::print)
}

/// A device, for people and for programs.
#[derive(Debug, Serialize)]
struct Device {
    device_id: String,
    display_name: Option<String>,
    is_this_device: bool,
    fingerprint: Option<String>,
    /// Whether the published identity signed it.
    is_signed: bool,
    /// Whether this machine trusts it with secrets.
    is_verified: bool,
    /// Why not.
    problem: Option<String>,
    last_seen_ts: Option<u64>,
}

impl Device {
    fn print(&self) -> Result<()> {
        let name = match &self.display_name {
            Some(name) => format!(" \"{}\"", escape_untrusted(name)),
            None => String::new(),
        };
        let this = if self.is_this_device {
            ", this device"
        } else {
            ""
        };
        output::line(format_args!(
            "{}{name}{this}",
            escape_untrusted(&self.device_id)
        ))?;
        match &self.problem {
            None => output::line("    verified")?,
            Some(problem) => output::line(format_args!("    NOT verified: {problem}"))?,
        }
        if let Some(key) = &self.fingerprint {
            output::line(format_args!("    {}", own_device::fingerprint(key)))?;
        }
        match self.last_seen_ts.and_then(date) {
            Some(date) => output::line(format_args!("    last seen {date}")),
            None => Ok(()),
        }
    }
}

fn devices(
    own: Option<&str>,
    listed: &[DeviceInfo],
    published: &UserKeys,
    trust: Option<&Trust>,
) -> Vec<Device> {
    let mut devices: BTreeMap<&str, Option<&DeviceInfo>> =
        published.devices().map(|(id, _)| (id, None)).collect();
    devices.extend(
        listed
            .iter()
            .map(|info| (info.device_id.as_str(), Some(info))),
    );
    devices
        .into_iter()
        .map(|(id, info)| {
            let (fingerprint, judged) = judge(id, published);
            let is_signed = judged.is_ok();
            let unlisted = || info.is_none().then(|| "it is not logged in".to_owned());
            let problem = judged
                .err()
                .or_else(unlisted)
                .or_else(|| distrust(trust, id));
            Device {
                device_id: id.to_owned(),
                display_name: info.and_then(|info| info.display_name.clone()),
                is_this_device: own == Some(id),
                fingerprint: fingerprint.map(|key| key.to_base64()),
                is_signed,
                is_verified: problem.is_none(),
                problem,
                last_seen_ts: info.and_then(|info| info.last_seen_ts),
            }
        })
        .collect()
}

/// What this machine has against a device that the published identity signed.
fn distrust(trust: Option<&Trust>, device_id: &str) -> Option<String> {
    let Some(trust) = trust else {
        return Some(DeviceTrust::NotPinned.to_string());
    };
    match trust.verdict(device_id) {
        DeviceTrust::Verified => None,
        DeviceTrust::ThisDevice if trust.alarm().is_some() => {
            Some(DeviceTrust::IdentityChanged.to_string())
        }
        DeviceTrust::ThisDevice if trust.pinned().is_none() => {
            Some(DeviceTrust::NotPinned.to_string())
        }
        DeviceTrust::ThisDevice => None,
        reason => Some(reason.to_string()),
    }
}

/// The key that people compare, and what is wrong with the device.
fn judge(
    device_id: &str,
    published: &UserKeys,
) -> (Option<PublicKey>, std::result::Result<(), String>) {
    let key = match published.device(device_id) {
        None => return (None, Err("it has no keys".to_owned())),
        Some(Err(error)) => return (None, Err(error.to_string())),
        Some(Ok(keys)) => keys.ed25519(),
    };
    let judged = ConfirmedDevice::with_fingerprint(published, device_id, &key)
        .map_err(|error| error.to_string())
        .and_then(|device| {
            device
                .check_signed(published)
                .map_err(|error| error.to_string())
        });
    (Some(key), judged)
}

fn date(milliseconds: u64) -> Option<String> {
    let seconds = i64::try_from(milliseconds / 1000).ok()?;
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(moment.date().to_string())
}

//! `fourfold device ls`: the devices, and which of them are verified.

use std::collections::BTreeMap;

use clap::Args;
use fourfold::cross_signing::ConfirmedDevice;
use fourfold::identity::UserKeys;
use fourfold::signed_json::PublicKey;
use fourfold_client::{DeviceInfo, DeviceLists, escape_untrusted};
use serde::Serialize;

use crate::account::LoggedIn;
use crate::account::own_device::{self, Judge};
use crate::error::Result;
use crate::keys::sealing_key::SealingOptions;
use crate::options::Global;
use crate::terminal::{messages, output, shown};

/// Options of `device ls`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    sealing: SealingOptions,
}

/// Lists every device that is logged in or has keys.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let lists = own_device::lists(&logged_in)?;
    if let Err(error) = &lists.devices {
        messages::warn(format_args!(
            "the homeserver does not say which devices are logged in: {error}"
        ));
    }
    let judge = Judge::new(&mut logged_in, &options.sealing, &lists)?;
    let devices = devices(&judge, &lists);
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
            Some(problem) if self.is_signed => {
                output::line(format_args!("    signed, but NOT verified here: {problem}"))?;
            }
            Some(problem) => output::line(format_args!("    NOT verified: {problem}"))?,
        }
        if let Some(key) = &self.fingerprint {
            output::line(format_args!("    {}", shown::fingerprint(key)))?;
        }
        match self.last_seen_ts.and_then(date) {
            Some(date) => output::line(format_args!("    last seen {date}")),
            None => Ok(()),
        }
    }
}

fn devices(judge: &Judge<'_>, lists: &DeviceLists) -> Vec<Device> {
    let mut devices: BTreeMap<&str, Option<&DeviceInfo>> =
        lists.keys.devices().map(|(id, _)| (id, None)).collect();
    let logged_in = lists.devices.iter().flatten();
    devices.extend(logged_in.map(|info| (info.device_id.as_str(), Some(info))));
    devices
        .into_iter()
        .map(|(id, info)| {
            let verdict = judge.verdict(id);
            let fingerprint = match lists.keys.device(id) {
                Some(Ok(keys)) => Some(keys.ed25519()),
                _ => None,
            };
            Device {
                device_id: id.to_owned(),
                display_name: info.and_then(|info| info.display_name.clone()),
                is_this_device: judge.is_this_device(id),
                is_signed: fingerprint.is_some_and(|key| is_signed(&lists.keys, id, &key)),
                fingerprint: fingerprint.map(|key| key.to_base64()),
                is_verified: verdict.is_verified(),
                problem: (!verdict.is_verified()).then(|| verdict.to_string()),
                last_seen_ts: info.and_then(|info| info.last_seen_ts),
            }
        })
        .collect()
}

/// Returns `true` if the published identity signed a device, whatever that is worth here.
fn is_signed(published: &UserKeys, device_id: &str, key: &PublicKey) -> bool {
    ConfirmedDevice::with_fingerprint(published, device_id, key)
        .is_ok_and(|device| device.check_signed(published).is_ok())
}

fn date(milliseconds: u64) -> Option<String> {
    let seconds = i64::try_from(milliseconds / 1000).ok()?;
    let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    Some(moment.date().to_string())
}

//! `fourfold device rm`: log a device out.

use clap::Args;
use fourfold::identity::TombstoneReason;
use fourfold::judged::Cleared;
use fourfold::plan;
use fourfold_client::escape_untrusted;

use crate::account::password::PasswordOptions;
use crate::account::{LoggedIn, change, own_device};
use crate::error::{Error, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::{ChangeOptions, Global};
use crate::terminal::{messages, output};

/// Options of `device rm`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The ID of the device
    #[arg(value_name = "DEVICE")]
    device_id: String,
    #[command(flatten)]
    password: PasswordOptions,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Logs the device out and forgets its keys. What it has seen, it has seen.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    let id = escape_untrusted(&options.device_id);
    if logged_in.account.device_id() == Some(&options.device_id) {
        return Err(Error::refused("this is the device that you are using").hint("fourfold logout"));
    }
    let devices = logged_in.wait(logged_in.account.devices())?;
    let known = devices
        .iter()
        .find(|device| device.device_id == options.device_id);
    let Some(known) = known else {
        return Err(Error::refused(format!("there is no device {id}")).hint("fourfold device ls"));
    };
    let keys = own_device::published(&logged_in)?;
    let mut plan = plan::remove_device(&keys, true, &options.device_id);
    if let Some(name) = &known.display_name {
        plan.title = format!("{} ({name})", plan.title);
    }
    if !change::agree(global, &plan, options.change)? {
        return Ok(());
    }
    // Remembered first: anyone who has the device keeps its signature, which nothing takes back.
    let own = own_device::existing(&mut logged_in, &options.sealing)?;
    if let Some(mut own) = own {
        own.distrust(&options.device_id, TombstoneReason::LoggedOut)?;
    }
    let cleared = Cleared::that_only_removes(&plan)
        .ok_or_else(|| Error::refused("the plan would change more than the device"))?;
    change::apply_asking(&mut logged_in, cleared, &options.password)?;
    if global.json {
        return output::json(&serde_json::json!({"changed": true, "device_id": options.device_id}));
    }
    messages::say(format_args!("the device {id} is logged out"));
    Ok(())
}

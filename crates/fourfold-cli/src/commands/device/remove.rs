//! `fourfold device rm`: log a device out.

use clap::Args;
use fourfold::identity::TombstoneReason;
use fourfold_client::escape_untrusted;

use crate::{
    account::LoggedIn,
    arguments::{ChangeOptions, Global},
    change::{self, Outline},
    error::{Error, Result},
    output, own_device,
    password::PasswordOptions,
    sealing_key::SealingOptions,
    ui,
};

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
    let title = match &known.display_name {
        Some(name) => format!("log out the device {} ({name})", options.device_id),
        None => format!("log out the device {}", options.device_id),
    };
    let mut outline = Outline::new(&title);
    outline.step("log it out and delete its keys", "post /delete_devices");
    outline.warn(
        "what the device has read already stays with it; if it was stolen, rotate the keys of \
         secret storage: fourfold key rotate",
    );
    if !change::agree_to(global, &outline, &outline, options.change)? {
        return Ok(());
    }
    // Remembered first: whoever has the device keeps its signature, which nothing takes back.
    let own = own_device::existing(&mut logged_in, &options.sealing)?;
    if let Some(mut own) = own {
        own.distrust(&options.device_id, TombstoneReason::LoggedOut)?;
    }
    options.password.try_with(|password| {
        let _busy = ui::busy("logging the device out");
        logged_in.wait(
            logged_in
                .account
                .delete_device(&options.device_id, password),
        )
    })?;
    if global.json {
        return output::json(&serde_json::json!({"changed": true, "device_id": options.device_id}));
    }
    ui::say(format_args!("the device {id} is logged out"));
    Ok(())
}

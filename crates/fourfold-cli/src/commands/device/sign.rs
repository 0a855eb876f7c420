//! `fourfold device sign`: sign another device of the user, whose fingerprint was compared.

use clap::Args;
use fourfold::cross_signing::ConfirmedDevice;
use fourfold::signed_json::PublicKey;
use fourfold::{Plan, plan};
use fourfold_client::escape_untrusted;
use serde_json::json;

use super::private_keys;
use crate::account::own_device::{self, Judge};
use crate::account::{LoggedIn, change};
use crate::error::{Error, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, Global, UnlockOptions};
use crate::terminal::{messages, output};

/// Options of `device sign`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The ID of the device
    #[arg(value_name = "DEVICE")]
    device_id: String,
    /// The fingerprint that the device itself shows; spaces are ignored
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: String,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
    #[command(flatten)]
    accept: AcceptOptions,
}

/// Signs the device when the homeserver shows exactly that key for it.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let fingerprint = read_fingerprint(&options.fingerprint)?;
    let mut logged_in = LoggedIn::open(global)?;
    own_device::forget_signature(&mut logged_in)?;
    let snapshot = logged_in.snapshot_to_change(&options.unlock.input, options.accept)?;
    let lists = own_device::lists(&logged_in)?;
    let published = &lists.keys;
    let id = escape_untrusted(&options.device_id);
    if published.device(&options.device_id).is_none() {
        let refused = Error::refused(format!("the homeserver shows no device {id} with keys"));
        return Err(refused.hint("fourfold device ls"));
    }
    let judge = Judge::new(&mut logged_in, &options.sealing, &lists)?;
    ConfirmedDevice::check_logged_in(judge.verdict(&options.device_id))?;
    let device = ConfirmedDevice::with_fingerprint(published, &options.device_id, &fingerprint)?;
    let plan = if device.check_signed(published).is_ok() {
        // Nobody has to look for a key then.
        Plan::of(format!("sign the device {}", options.device_id), [])
    } else {
        let key = private_keys::self_signing_key(&snapshot, published, &options.unlock)?;
        plan::sign_device(published, &device, &key)?
    };
    if !change::agree(global, &plan, options.change)? {
        return Ok(());
    }
    change::apply(&mut logged_in, snapshot.clear(&plan))?;
    // The comparison lifts any distrust of the device on this machine.
    if let Some(mut own) = own_device::existing(&mut logged_in, &options.sealing)? {
        own_device::refresh(&logged_in, &mut own)?;
        own.confirm(&options.device_id, fingerprint)?;
    }
    if global.json {
        return output::json(&json!({
            "changed": true,
            "device_id": device.device_id(),
            "is_device_signed": true,
        }));
    }
    messages::say(format_args!("the device {id} is signed"));
    Ok(())
}

/// Reads a fingerprint in groups, as devices show it.
fn read_fingerprint(text: &str) -> Result<PublicKey> {
    let joined: String = text.split_whitespace().collect();
    PublicKey::from_base64(&joined).map_err(|_| {
        Error::usage("this is not the fingerprint of a device")
            .hint("it has 43 letters, digits, + and /; upper and lower case differ")
    })
}

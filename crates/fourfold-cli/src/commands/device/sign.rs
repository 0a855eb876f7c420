//! `fourfold device sign`: sign another device of the user, whose fingerprint was compared.

use clap::Args;
use fourfold::{
    Evidence, SecretStorage, Snapshot, cross_signing::ConfirmedDevice, signed_json::PublicKey,
};
use fourfold_client::{PublishedKeys, escape_untrusted};
use serde_json::json;

use super::private_keys;
use crate::{
    account::LoggedIn,
    arguments::{ChangeOptions, Global, UnlockOptions},
    change::{self, Outline},
    error::{Error, Exit, Result},
    output, own_device,
    sealing_key::SealingOptions,
    ui, unlock,
};

/// Options of `device sign`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The ID of the device
    #[arg(value_name = "DEVICE")]
    device_id: String,
    /// The fingerprint that the device itself shows; spaces do not matter
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: String,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    sealing: SealingOptions,
    #[command(flatten)]
    change: ChangeOptions,
}

/// Signs the device when the homeserver shows exactly that key for it.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    let fingerprint = read_fingerprint(&options.fingerprint)?;
    let mut logged_in = LoggedIn::open(global)?;
    let snapshot = logged_in.snapshot_for_change()?;
    let published = own_device::published(&logged_in)?;
    let id = escape_untrusted(&options.device_id);
    let served = published.device(&options.device_id).ok_or_else(|| {
        Error::refused(format!("the homeserver shows no device {id} with keys"))
            .hint("fourfold device ls")
    })?;
    let user_id = logged_in.account.user_id();
    let device =
        ConfirmedDevice::with_fingerprint(user_id, &options.device_id, served, &fingerprint)
            .map_err(|error| {
                Error::new(Exit::NotVerified, format!("{error}; nothing was signed"))
                    .hint("compare the fingerprint again, on the screen of the device itself")
            })?;
    let mut outline = Outline::new(&format!("sign the device {}", options.device_id));
    if device.check_signed(served, published.identity()).is_err() {
        outline.step(
            format!("sign the device {}", options.device_id),
            "post /keys/signatures/upload",
        );
    }
    if !change::agree_to(global, &outline, &outline, options.change)? {
        return Ok(());
    }
    sign(&logged_in, &snapshot, &published, &device, &options.unlock)?;
    // What this machine remembers against the device is lifted by the comparison.
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
    ui::say(format_args!("the device {id} is signed"));
    Ok(())
}

/// Signs a device with the self-signing key, which a key of secret storage opens.
pub(super) fn sign(
    logged_in: &LoggedIn,
    snapshot: &Snapshot,
    published: &PublishedKeys,
    device: &ConfirmedDevice,
    options: &UnlockOptions,
) -> Result<()> {
    let storage = SecretStorage::new(&snapshot.account_data);
    let key = unlock::one(&storage, options)?.key;
    let evidence = Evidence {
        identity: Some(published.identity().clone()),
        backup: None,
    };
    let keys = private_keys(&storage, &key, &evidence)?.checked()?;
    let Some(self_signing_key) = keys.self_signing_key() else {
        return Err(Error::usage("the self-signing key is missing"));
    };
    own_device::sign(logged_in, device, self_signing_key, published)?;
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
